//! A UDP server: a handler for each datagram.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::datagram::UdpSocket;
use crate::green::runtime::until::Until;
use crate::green::{Builder, Coroutine, Event, Failed, Pool};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// Receives datagrams and runs a handler on a coroutine of its own for each, until it is stopped. Clones are the same
/// server.
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
#[derive(Clone)]
pub struct DatagramServer {
    shared: Arc<Shared>,
}

struct Shared {
    socket: UdpSocket,
    address: SocketAddr,
    handlers: Lock<Pool>,
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
        let shared = Shared {
            address: socket.local_addr()?,
            socket,
            handlers: Lock::new(Pool::new(DEFAULT_MAX_HANDLERS)),
            receiver: Lock::default(),
            stopped: Event::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs at most `count` handlers at a time. Datagrams that come meanwhile wait in the system, which drops what it has
    /// no room for. Default 1,000. To be called before [`start`](Self::start).
    #[must_use]
    pub fn max_handlers(self, count: usize) -> Self {
        *self.shared.handlers.lock() = Pool::new(count);
        self
    }

    /// The address it is bound to, with the port the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// The socket, to send from the server's address.
    #[doc(alias = "sendto")]
    pub fn socket(&self) -> &UdpSocket {
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
        handler: impl Fn(&UdpSocket, Vec<u8>, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let mut receiver = self.shared.receiver.lock();
        if receiver.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.shared.stopped.clear();
        let (socket, handlers) = (self.shared.socket.clone(), self.shared.handlers.lock().clone());
        let receive = move || receive_all(&socket, &handlers, &Arc::new(handler));
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
        handler: impl Fn(&UdpSocket, Vec<u8>, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
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
        let handlers = self.shared.handlers.lock().clone();
        let all_ended = handlers.join_timeout(until.left().unwrap_or(Duration::MAX));
        if !all_ended {
            handlers.kill_timeout(LAST_WAIT);
        }
        self.shared.stopped.set();
        all_ended
    }
}

fn receive_all<H>(socket: &UdpSocket, handlers: &Pool, handler: &Arc<H>)
where
    H: Fn(&UdpSocket, Vec<u8>, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
{
    let mut buf = vec![0; MAX_BYTES];
    loop {
        match socket.recv_from(&mut buf) {
            Ok((len, peer)) => {
                let (theirs, handler, data) = (socket.clone(), Arc::clone(handler), buf[..len].to_vec());
                let handled = handlers.spawn(move || {
                    if let Err(error) = handler(&theirs, data, peer) {
                        static LOG: Throttle = Throttle::new();
                        throttled!(info, LOG, "the handler of a datagram of {peer} failed: {error}");
                    }
                });
                handled.link_exception(move |failed| {
                    if let Failed::Panicked(panicked) = failed {
                        static LOG: Throttle = Throttle::new();
                        throttled!(error, LOG, "the handler of a datagram of {peer} panicked: {panicked}");
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

impl fmt::Debug for DatagramServer {
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
