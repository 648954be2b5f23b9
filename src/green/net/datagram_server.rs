//! A server for datagrams, UDP or Unix: a handler for each.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::datagram::{Datagrams, UdpSocket, UnixDatagram};
use crate::green::runtime::until::Until;
use crate::green::{Builder, Coroutine, Event, Failed, Group, Pool};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// Receives datagrams and runs a handler on a coroutine of its own for each, until it is stopped. [`bind`](Self::bind) makes
/// one for UDP, [`bind_unix`](DatagramServer::bind_unix) one for a Unix socket. Clones are the same server.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{DatagramServer, UdpSocket};
///
/// let server = DatagramServer::bind("127.0.0.1:0")?;
/// server.start(|socket, data, peer| socket.send_to(&data.to_ascii_uppercase(), peer).map(drop))?;
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"hello", server.local_addr())?;
/// let mut buf = [0; 64];
/// assert_eq!(client.recv_from(&mut buf)?, (5, server.local_addr()));
/// assert_eq!(&buf[..5], b"HELLO");
/// assert!(server.stop(Duration::from_secs(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DatagramServer<S: Datagrams = UdpSocket> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Datagrams> {
    socket: S,
    address: S::Address,
    /// Whose places the handlers take.
    pool: Lock<Pool>,
    handlers: Group,
    receiver: Lock<Option<Coroutine>>,
    stopped: Event,
}

impl DatagramServer {
    /// Binds to `address`, as [`UdpSocket::bind`] does. Datagrams are kept by the system until [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::bind`].
    pub fn bind(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self::on(socket, address))
    }
}

impl DatagramServer<UnixDatagram> {
    /// Binds to `path`, as [`UnixDatagram::bind`] does; one that begins with a NUL is abstract. A sender without an address
    /// of its own cannot be answered: its path is empty.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::bind`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::green::{DatagramServer, UnixDatagram};
    ///
    /// let name = |end| format!("\0zinx-doc-{}-{end}", std::process::id());
    /// let server = DatagramServer::bind_unix(name("server"))?;
    /// server.start(|socket, data, peer| socket.send_to(&data, peer).map(drop))?;
    /// let client = UnixDatagram::bind(name("client"))?;
    /// client.send_to(b"hello", server.local_addr())?;
    /// assert_eq!(client.recv(&mut [0; 64])?, 5);
    /// assert!(server.stop(Duration::from_secs(1)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let address = socket.local_addr()?;
        Ok(Self::on(socket, address))
    }
}

impl<S: Datagrams> DatagramServer<S> {
    fn on(socket: S, address: S::Address) -> Self {
        let shared = Shared {
            socket,
            address,
            pool: Lock::new(Pool::new(DEFAULT_MAX_HANDLERS)),
            handlers: Group::new(),
            receiver: Lock::default(),
            stopped: Event::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs at most `count` handlers at a time. Datagrams that come meanwhile wait in the system, which drops what it has
    /// no room for. Default 1,000. To be called before [`start`](Self::start).
    #[must_use]
    pub fn max_handlers(self, count: usize) -> Self {
        self.pool(&Pool::new(count))
    }

    /// As [`max_handlers`](Self::max_handlers), with the places of a pool, which other servers and other work may share. The
    /// handlers are members of it: it joins and kills them too. [`stop`](Self::stop) ends those of this server only.
    #[must_use]
    #[doc(alias = "spawn")]
    pub fn pool(self, pool: &Pool) -> Self {
        *self.shared.pool.lock() = pool.clone();
        self
    }

    /// The address it is bound to, with the port the system chose; of a Unix socket, its path.
    pub fn local_addr(&self) -> S::Address {
        self.shared.address.clone()
    }

    /// The socket, to send from the server's address.
    #[doc(alias = "sendto")]
    pub fn socket(&self) -> &S {
        &self.shared.socket
    }

    /// Begins to receive, and returns. Every datagram, at most 64 KiB, and its sender's address go to `handler`. An error
    /// or a panic of it is logged and ends no other handler.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it receives already. `OutOfMemory` if there is no room for a coroutine.
    pub fn start(
        &self,
        handler: impl Fn(&S, Vec<u8>, S::Address) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let mut receiver = self.shared.receiver.lock();
        if receiver.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.shared.stopped.clear();
        let (socket, pool) = (self.shared.socket.clone(), self.shared.pool.lock().clone());
        let handlers = self.shared.handlers.clone();
        let receive = move || receive_all(&socket, &pool, &handlers, &Arc::new(handler));
        *receiver = Some(Builder::new().name("datagrams").spawn(receive)?.coroutine().clone());
        Ok(())
    }

    /// As [`start`](Self::start), and waits until it is stopped by another.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    #[doc(alias = "serve_forever")]
    pub fn serve(
        &self,
        handler: impl Fn(&S, Vec<u8>, S::Address) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        self.start(handler)?;
        self.shared.stopped.wait();
        Ok(())
    }

    /// Stops receiving, waits for the handlers at most for `timeout`, and then kills what is left. `true` if nothing was
    /// left. The address stays bound, and [`start`](Self::start) receives again. Twice is the same as once.
    pub fn stop(&self, timeout: Duration) -> bool {
        let until = Until::after(timeout);
        let receiver = self.shared.receiver.lock().take();
        if let Some(receiver) = receiver {
            receiver.kill_timeout(until.left().unwrap_or(Duration::MAX));
        }
        let handlers = &self.shared.handlers;
        let all_ended = handlers.join_timeout(until.left().unwrap_or(Duration::MAX));
        if !all_ended {
            handlers.kill_timeout(LAST_WAIT);
        }
        self.shared.stopped.set();
        all_ended
    }
}

fn receive_all<S, H>(socket: &S, pool: &Pool, handlers: &Group, handler: &Arc<H>)
where
    S: Datagrams,
    H: Fn(&S, Vec<u8>, S::Address) -> io::Result<()> + Send + Sync + 'static,
{
    let mut buf = vec![0; MAX_BYTES];
    loop {
        match socket.receive(&mut buf) {
            Ok((len, peer)) => {
                let (theirs, handler, data) = (socket.clone(), Arc::clone(handler), buf[..len].to_vec());
                let from = peer.clone();
                let handled = pool.try_start(pool.places().acquire(), move || {
                    if let Err(error) = handler(&theirs, data, peer.clone()) {
                        static LOG: Throttle = Throttle::new();
                        throttled!(info, LOG, "the handler of a datagram of {peer:?} failed: {error}");
                    }
                });
                let handled = match handled {
                    Ok(handled) => handled,
                    // It is lost, as any may be.
                    Err(error) => {
                        static LOG: Throttle = Throttle::new();
                        throttled!(warn, LOG, "no coroutine for a datagram of {from:?}: {error}");
                        continue;
                    }
                };
                handlers.add(handled.coroutine());
                handled.link_exception(move |failed| {
                    if let Failed::Panicked(panicked) = failed {
                        static LOG: Throttle = Throttle::new();
                        throttled!(error, LOG, "the handler of a datagram of {from:?} panicked: {panicked}");
                    }
                });
            }
            Err(error) => {
                static LOG: Throttle = Throttle::new();
                throttled!(warn, LOG, "no datagram: {error}");
                crate::green::sleep(PAUSE);
            }
        }
    }
}

impl<S: Datagrams> Clone for DatagramServer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Datagrams> fmt::Debug for DatagramServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramServer").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

const DEFAULT_MAX_HANDLERS: usize = 1000;

/// The longest datagram there is.
const MAX_BYTES: usize = 64 * 1024;

/// After an error, which may be there again.
const PAUSE: Duration = Duration::from_millis(10);

/// How long handlers that were killed are waited for.
const LAST_WAIT: Duration = Duration::from_secs(1);
