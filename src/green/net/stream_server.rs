//! A server without messages, on TCP or a Unix socket: a handler for each connection.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use super::gate::{Gate, Newcomer};
use super::port::Port;
use super::streams::Streams;
use crate::green::{
    Builder, Event, Group, Permit, Pool, Select, TcpListener, TcpStream, Thread, UnixStream, is_unwinding,
};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// Listens, and runs a handler on a coroutine of its own for each connection, until it is stopped.
///
/// [`bind`](Self::bind) makes one for TCP, [`bind_unix`](StreamServer::bind_unix) one for a Unix socket.
///
/// A connection is closed when its handler returns, however it ends: an error or a panic is logged and ends nothing
/// else. Clones are the same server.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::time::Duration;
/// use zinx::green::{self, StreamServer, TcpStream};
///
/// let server = StreamServer::bind("127.0.0.1:0")?.max_conns(1000);
/// server.start(|mut stream, _peer| stream.write_all(b"hello"))?;
/// let mut said = String::new();
/// TcpStream::connect(server.local_addr())?.read_to_string(&mut said)?;
/// assert_eq!(said, "hello");
/// assert!(server.stop(Duration::from_secs(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias(
    "Environ",
    "LoggingLogAdapter",
    "SecureEnviron",
    "WSGIHandler",
    "WSGISecureEnviron",
    "WSGIServer"
))]
pub struct StreamServer<S: Streams = TcpStream> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Streams> {
    address: S::Address,
    handler: OnceLock<Box<Handler<S>>>,
    /// Whose places the connections take, and whose members their handlers are.
    pool: Lock<Pool>,
    state: Lock<State<S>>,
    handlers: Group,
    stopped: Event,
    backlog: AtomicU32,
}

type Handler<S> = dyn Fn(S, <S as Streams>::Address) -> io::Result<()> + Send + Sync;

struct State<S: Streams> {
    port: Port<S>,
    open: HashMap<u64, S>,
    last: u64,
}

impl StreamServer {
    /// Listens on `address`, as [`TcpListener::bind`] does; port 0 takes any free one. Clients can connect from
    /// now on, and are served from [`start`](Self::start) on.
    ///
    /// # Errors
    ///
    /// Those of the system: the port is taken, the address is not ours. `NotFound` if there is no address.
    pub fn bind(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(address, BACKLOG)?;
        let address = listener.local_addr();
        Ok(Self::on(listener, address))
    }
}

impl StreamServer<UnixStream> {
    /// Listens on `path`; one that begins with a NUL is abstract: it is no file. A peer that has not bound its socket has an
    /// empty path for its address.
    ///
    /// The file is removed when the server stops accepting, or is dropped before it was started, unless another has taken its
    /// place meanwhile; [`restart`](Self::restart) makes it again. Under gevent, the program removes it.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path is there already, even if nothing listens there because the process before was killed: then
    /// remove it first. Those of the system: there is no such folder, the path is longer than 107 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::time::Duration;
    /// use zinx::green::{StreamServer, UnixStream};
    ///
    /// let path = std::env::temp_dir().join(format!("zinx-doc-{}", std::process::id()));
    /// let server = StreamServer::bind_unix(&path)?.max_conns(1000);
    /// server.start(|mut stream, _peer| stream.write_all(b"hello"))?;
    /// let mut said = String::new();
    /// UnixStream::connect(&path)?.read_to_string(&mut said)?;
    /// assert_eq!(said, "hello");
    /// assert!(server.stop(Duration::from_secs(1)) && !path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "AF_UNIX")]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Self> {
        let listener = UnixStream::listen(&path.as_ref().to_path_buf(), BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self::on(listener, address))
    }
}

impl<S: Streams> StreamServer<S> {
    fn on(listener: S::Listener, address: S::Address) -> Self {
        let port = Port::new(listener, address.clone());
        let shared = Shared {
            address,
            handler: OnceLock::new(),
            pool: Lock::new(Pool::new(DEFAULT_MAX_CONNS)),
            state: Lock::new(State { port, open: HashMap::new(), last: 0 }),
            handlers: Group::new(),
            stopped: Event::new(),
            backlog: AtomicU32::new(BACKLOG),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves at most `count` connections at a time, 10,000 by default. The next one waits for a handler, and those behind it
    /// in the backlog of the system. Call it before [`start`](Self::start).
    #[must_use]
    pub fn max_conns(self, count: usize) -> Self {
        self.pool(&Pool::new(count))
    }

    /// As [`max_conns`](Self::max_conns), with the places of a pool that other servers and work may share; without a peer none is
    /// taken. The handlers are its members: it joins and kills them. [`stop`](Self::stop) ends those of this server only.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::{Pool, StreamServer};
    ///
    /// let pool = Pool::new(100);
    /// let plain = StreamServer::bind("127.0.0.1:0")?.pool(&pool);
    /// let other = StreamServer::bind("127.0.0.1:0")?.pool(&pool);
    /// # drop((plain, other));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "spawn")]
    pub fn pool(self, pool: &Pool) -> Self {
        *self.shared.pool.lock() = pool.clone();
        self
    }

    /// At most `connections` may wait to be accepted; the system caps it at `net.core.somaxconn`. Default 1,024. To be
    /// called before [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn backlog(self, connections: u32) -> io::Result<Self> {
        self.shared.backlog.store(connections, Ordering::Relaxed);
        if let Some(listener) = self.shared.lock().port.listener() {
            S::set_backlog(listener, connections)?;
        }
        Ok(self)
    }

    /// The address it is bound to, with the port the system chose; of a Unix socket, its path.
    #[doc(alias("server_host", "server_port"))]
    pub fn local_addr(&self) -> S::Address {
        self.shared.address.clone()
    }

    /// Whether it accepts connections: from [`start`](Self::start) or [`restart`](Self::restart) on, until it is stopped.
    #[doc(alias = "started")]
    #[doc(alias = "closed")]
    #[doc(alias = "BaseServer")]
    pub fn is_accepting(&self) -> bool {
        self.shared.lock().port.is_accepting()
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins to accept, and returns. Every connection and its peer's address go to `handler`.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it has a handler already: go on with [`restart`](Self::restart). Those of the system.
    #[doc(alias("set_handle", "set_listener", "set_spawn"))]
    pub fn start(
        &self,
        handler: impl Fn(S, S::Address) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let handler: Box<Handler<S>> = Box::new(handler);
        self.shared.handler.set(handler).map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
        self.restart()
    }

    /// Accepts again after [`stop`](Self::stop), at the same address and with the same handler. While it accepts, does
    /// nothing.
    ///
    /// # Errors
    ///
    /// Those of the system: another has taken the port or the path meanwhile.
    #[doc(alias = "start_accepting")]
    pub fn restart(&self) -> io::Result<()> {
        let earlier = self.shared.lock().port.earlier();
        if let Some(earlier) = earlier {
            earlier.join();
        }
        let (gate, server, pool) = (Gate::new(), self.clone(), self.shared.pool.lock().clone());
        let enter = move |newcomer, asked: &Event, stream, peer| {
            let permit = Select::new().on(asked, |()| None).on(pool.places(), Some).wait();
            if let Some(permit) = permit {
                server.handle(newcomer, stream, peer, permit, pool.clone());
            }
        };
        let shared = &self.shared;
        let mut state = shared.lock();
        let backlog = shared.backlog.load(Ordering::Relaxed);
        if state.port.open("zinx-acceptor", backlog, move |asked| gate.wait(asked), enter)? {
            shared.stopped.clear();
        }
        Ok(())
    }

    /// As [`start`](Self::start), and waits until it is stopped by another.
    ///
    /// If the wait is cut short, by a kill, a time limit or a panic, clients are refused from then on. Open connections
    /// go on; [`stop`](Self::stop) ends them, and [`restart`](Self::restart) begins again.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    #[doc(alias = "serve_forever")]
    pub fn serve(
        &self,
        handler: impl Fn(S, S::Address) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        self.start(handler)?;
        let serving = Serving(self);
        self.shared.stopped.wait();
        if !is_unwinding() {
            // Stopped as it should be, and perhaps started again since.
            std::mem::forget(serving);
        }
        Ok(())
    }

    /// Stops listening: clients are refused when this returns. Open connections go on. Twice is the same as once.
    pub fn stop_accepting(&self) {
        if let Some(acceptor) = self.shared.close_port() {
            acceptor.join();
        }
    }

    /// [Stops accepting](Self::stop_accepting), waits for the handlers at most for `timeout`, and then ends both
    /// directions of what is left, so that their reads and writes end, and kills its handlers, for whose end it waits a
    /// second more. `true` if nothing was left.
    ///
    /// [`serve`](Self::serve) returns. Do not call it from a handler: it would wait for itself.
    #[doc(alias = "stop_timeout")]
    pub fn stop(&self, timeout: Duration) -> bool {
        self.stop_accepting();
        let all_ended = self.shared.handlers.join_timeout(timeout);
        if !all_ended {
            let left: Vec<_> = self.shared.lock().open.values().cloned().collect();
            left.iter().for_each(S::end);
            self.shared.handlers.kill_timeout(LAST_WAIT);
        }
        self.shared.stopped.set();
        all_ended
    }

    /// Waits until no handler runs.
    pub fn join(&self) {
        self.shared.handlers.join();
    }

    fn handle(&self, newcomer: Newcomer, stream: S, peer: S::Address, permit: Permit, pool: Pool) {
        let (open, from) = (self.open(stream.clone(), permit), peer.clone());
        let body = move || {
            let _member = pool.enter();
            newcomer.begin();
            let outcome = catch_unwind(AssertUnwindSafe(|| open.server.run_handler(stream.clone(), from)));
            stream.part();
            drop(open);
            if let Err(payload) = outcome {
                resume_unwind(payload);
            }
        };
        if let Err(error) = self.shared.handlers.spawn(Builder::new().name("stream handler"), body) {
            static LOG: Throttle = Throttle::new();
            throttled!(warn, LOG, "no coroutine for {peer:?}: {error}");
        }
    }

    fn open(&self, stream: S, permit: Permit) -> Open<S> {
        let mut state = self.shared.lock();
        state.last += 1;
        let number = state.last;
        state.open.insert(number, stream);
        Open { server: self.clone(), number, _permit: permit }
    }

    fn run_handler(&self, stream: S, peer: S::Address) {
        let handler = self.shared.handler.get().expect("set before the first accept");
        if let Err(error) = handler(stream, peer.clone()) {
            static LOG: Throttle = Throttle::new();
            throttled!(info, LOG, "the handler of {peer:?} failed: {error}");
        }
    }
}

/// A call of `serve`. Dropped, it closes the port.
struct Serving<'a, S: Streams>(&'a StreamServer<S>);

impl<S: Streams> Drop for Serving<'_, S> {
    fn drop(&mut self) {
        // The acceptor ends by itself: a drop during an unwinding must not wait.
        let _ = self.0.shared.close_port();
    }
}

impl<S: Streams> Shared<S> {
    /// Refuses clients from now on, and ends the acceptor; returns it. Never waits.
    fn close_port(&self) -> Option<Thread> {
        let closing = self.lock().port.take();
        closing.close()
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock()
    }
}

/// A connection's place in its server. Dropped, it closes the connection, even if others share it.
struct Open<S: Streams> {
    server: StreamServer<S>,
    number: u64,
    _permit: Permit,
}

impl<S: Streams> Drop for Open<S> {
    fn drop(&mut self) {
        let stream = self.server.shared.lock().open.remove(&self.number);
        if let Some(stream) = stream {
            stream.end();
        }
    }
}

impl<S: Streams> Clone for StreamServer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Streams> fmt::Debug for StreamServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamServer")
            .field("address", &self.shared.address)
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}

/// Connections that wait to be accepted, at most; the system has its own cap.
const BACKLOG: u32 = 1024;

const DEFAULT_MAX_CONNS: usize = 10_000;

/// How long handlers that were killed are waited for.
const LAST_WAIT: Duration = Duration::from_secs(1);
