//! TCP for coroutines: a listener and a stream that wait without holding their worker.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Type};

use super::socket::{Readiness, Socket};
use crate::green::Event;
use crate::green::runtime::blocking::blocking;
use crate::green::runtime::{fair, settings};

/// A listening TCP socket.
///
/// Unlike `may`'s it does not share its port: binding a port that is taken is an error.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use zinx::green::{self, TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0", 128)?;
/// let address = listener.local_addr();
/// green::spawn(move || -> std::io::Result<()> {
///     loop {
///         let (mut client, peer) = listener.accept()?;
///         green::spawn(move || client.write_all(format!("hello, {peer}").as_bytes()));
///     }
/// });
/// let mut said = String::new();
/// let mut stream = TcpStream::connect(address)?;
/// stream.read_to_string(&mut said)?;
/// assert_eq!(said, format!("hello, {}", stream.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens on `address` (`"host:port"` or a socket address), the first of those that a name resolves to which can
    /// be had; port 0 takes any free one. Names are resolved off the workers. `backlog` connections may wait to be
    /// accepted (the system caps it at `net.core.somaxconn`). Accepted connections have `TCP_NODELAY` set.
    ///
    /// # Errors
    ///
    /// The last address's: the port is taken, the address is not ours. `NotFound` if the name has no address.
    pub fn bind(address: impl ToSocketAddrs + Send + 'static, backlog: u32) -> io::Result<Self> {
        let addresses = blocking(move || address.to_socket_addrs().map(Vec::from_iter))?;
        Self::bind_first(addresses, backlog)
    }

    /// Listens on the first of `addresses` that can be had, without waiting for anything.
    pub(crate) fn bind_first(addresses: Vec<SocketAddr>, backlog: u32) -> io::Result<Self> {
        first_of(addresses, |address| Self::bind_to(address, backlog))
    }

    /// As [`bind`](Self::bind), without waiting for anything.
    pub(in crate::green) fn bind_to(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        settings::ensure_started().map_err(io::Error::other)?;
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let local = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { socket: Socket::new(OwnedFd::from(socket))?, local })
    }

    /// The address it is bound to, with the port the system chose.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for the next connection; returns it with the peer's address, also of a peer that has gone already.
    ///
    /// # Errors
    ///
    /// Those of the system, such as no descriptor being free: wait ([`Backoff`]) and try again. `Interrupted` after
    /// [`interrupt`](Self::interrupt).
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        fair::fairness_point();
        loop {
            match acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((fd, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    return Ok((TcpStream::new(fd)?, peer.ok_or(io::ErrorKind::Unsupported)?));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                // The peer was gone before we came, or a signal did: the next may be there.
                Err(rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => continue,
                // It listens no more.
                Err(rustix::io::Errno::INVAL) => return Err(io::ErrorKind::Interrupted.into()),
                Err(error) => return Err(error.into()),
            }
            if self.socket.wait_unless_unwinding(Readiness::ANY)?.meets(Readiness::INTERRUPT) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    /// Ends the accept that waits, or the next that would, with `Interrupted`.
    pub fn interrupt(&self) {
        self.socket.interrupt();
    }

    /// Has clients refused from now on, whoever still holds the listener, and ends the accept that waits. Never waits.
    pub(crate) fn close(&self) {
        self.socket.shutdown_both();
    }
}

/// The pause after an accept that failed: 5 ms, doubling to 500 ms, ended early by [`end_pause`](Self::end_pause).
#[derive(Debug, Default)]
pub struct Backoff {
    ended: Event,
}

impl Backoff {
    /// A back-off at its beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pauses after the `failures`-th failure in a row, counted from 1. Returns how long at most.
    pub fn pause(&self, failures: u32) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        // Cleared after the wait, not before: a descriptor that came free since the failure ends the pause at once.
        self.ended.wait_timeout(pause);
        self.ended.clear();
        pause
    }

    /// Ends a pause: what was lacking may be there now, for we have closed one of our own.
    pub fn end_pause(&self) {
        self.ended.set();
    }
}

/// A connected TCP stream. Reading and writing wait without holding the worker; on a plain thread they block it.
///
/// One coroutine may read while another writes: clones share the connection, which closes with the last of them. In a
/// destructor that runs while its coroutine unwinds, what would wait fails with `WouldBlock`.
#[derive(Clone, Debug)]
pub struct TcpStream {
    socket: Arc<Socket>,
}

impl TcpStream {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: Arc::new(Socket::new(fd)?) })
    }

    /// Connects to `address` (`"host:port"` or a socket address), trying each address the name resolves to. Names are
    /// resolved off the workers. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// The last address's error, or `NotFound` where the name has no address.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::io::{Read, Write};
    /// use zinx::green::{self, TcpStream};
    ///
    /// let answer = green::run(|| {
    ///     let mut stream = TcpStream::connect("localhost:4915")?;
    ///     stream.write_all(b"hello\n")?;
    ///     let mut buf = [0; 64];
    ///     stream.read(&mut buf).map(|n| buf[..n].to_vec())
    /// });
    /// # let _ = answer;
    /// ```
    pub fn connect(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        settings::ensure_started().map_err(io::Error::other)?;
        let addresses = blocking(move || address.to_socket_addrs().map(Vec::from_iter))?;
        Self::connect_first(addresses)
    }

    /// Connects to the first of `addresses` that answers.
    pub(in crate::green) fn connect_first(addresses: Vec<SocketAddr>) -> io::Result<Self> {
        first_of(addresses, Self::connect_one)
    }

    fn connect_one(address: SocketAddr) -> io::Result<Self> {
        let connecting = Connecting::begin(address)?;
        while !connecting.is_connected()? {
            connecting.socket().wait_unless_unwinding(Readiness::WRITE)?;
        }
        Ok(connecting.into_stream())
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the peer has gone already.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.sock_ref().peer_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Our own address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.sock_ref().local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Sends our end of stream; what the peer sends can still be read.
    pub fn shutdown_write(&self) {
        self.socket.shutdown_write();
    }

    /// Ends both directions, also for whoever waits on them.
    pub fn shutdown(&self) {
        self.socket.shutdown_both();
    }

    pub(crate) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }

    /// Sends what the socket takes at once, and our end of stream behind it.
    pub(crate) fn send_and_end(&self, bytes: &[u8]) {
        // A peer that has gone does not want to know.
        let _ = self.socket.try_send(bytes);
        self.socket.shutdown_write();
    }

    /// As [`Socket::accompany`]. Only while nobody else has the socket.
    pub(crate) fn accompany(&mut self, companion: impl Send + Sync + 'static) {
        if let Some(socket) = Arc::get_mut(&mut self.socket) {
            socket.accompany(companion);
        }
    }

    fn sock_ref(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }
}

/// For socket options (`socket2::SockRef::from(&stream)`). Who makes it blocking, blocks the worker.
impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A stream that is being connected.
pub(super) struct Connecting {
    stream: TcpStream,
}

impl Connecting {
    /// Begins; the socket is writable once it is decided.
    pub(super) fn begin(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let begun = socket.connect(&address.into());
        let stream = TcpStream::new(OwnedFd::from(socket))?;
        match begun {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Err(error)
            }
            _ => Ok(Self { stream }),
        }
    }

    /// Whether it is connected. `false` while that is not decided: the first edge may be the registration's.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.sock_ref().take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            other => other.map(|_| true),
        }
    }

    pub(super) const fn socket(&self) -> &Arc<Socket> {
        &self.stream.socket
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        fair::fairness_point();
        loop {
            match self.socket.try_recv(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.socket.wait_unless_unwinding(Readiness::READ)?;
        }
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        fair::fairness_point();
        loop {
            match self.socket.try_send(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.socket.wait_unless_unwinding(Readiness::WRITE)?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tries each address until one does; returns the last one's error.
fn first_of<T>(addresses: Vec<SocketAddr>, attempt: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
