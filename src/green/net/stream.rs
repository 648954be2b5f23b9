//! A TCP stream for coroutines: it connects, reads and writes without holding its worker.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Type};

use super::dial::connect_race;
use super::readiness::Readiness;
use super::resolve::first_of;
use super::socket::Socket;
use crate::green::runtime::blocking::blocking;
use crate::green::runtime::settings;
use crate::green::spawn::interrupt::is_unwinding;

/// A connected TCP stream. Reading and writing wait without holding the worker; on a plain thread they block it.
///
/// One coroutine may read while another writes: clones share the connection, which closes with the last of them. In a
/// destructor that runs while its coroutine unwinds, what would wait fails with `WouldBlock`.
#[derive(Clone, Debug)]
pub struct TcpStream {
    socket: Arc<Socket>,
}

impl TcpStream {
    /// Of a descriptor that does not block.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { socket: Arc::new(Socket::of_nonblocking(fd)) }
    }

    /// Connects to `address` (`"host:port"` or a socket address). If a name has several addresses, one of each family is
    /// tried in turn: the next as soon as one fails, or beside it if it has not answered for 250 ms. Names are resolved off
    /// the workers. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// The last address's error, or `NotFound` if the name has no address.
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
    #[doc(alias = "create_connection")]
    pub fn connect(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        settings::ensure_started().map_err(io::Error::other)?;
        let addresses = blocking(move || address.to_socket_addrs().map(Vec::from_iter))?;
        Self::connect_first(addresses)
    }

    /// Connects to the first of `addresses` that answers.
    pub(in crate::green) fn connect_first(addresses: Vec<SocketAddr>) -> io::Result<Self> {
        // A destructor of a coroutine that unwinds must not wait.
        if addresses.len() < 2 || is_unwinding() {
            return first_of(addresses, Self::connect_one);
        }
        connect_race(addresses, Self::connect_one)
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
    /// `NotConnected` if the peer has gone already.
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

    /// Ends both directions, also for those that wait on them.
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

    /// As [`Socket::accompany`]. Only while nothing else has the socket.
    pub(crate) fn accompany(&mut self, companion: impl Send + Sync + 'static) {
        if let Some(socket) = Arc::get_mut(&mut self.socket) {
            socket.accompany(companion);
        }
    }

    fn sock_ref(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }
}

/// For socket options (`socket2::SockRef::from(&stream)`). If you make it blocking, it blocks the worker.
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
        let stream = TcpStream::new(OwnedFd::from(socket));
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
        self.socket.wait_to(Readiness::READ, |socket| socket.try_recv(buf))
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::WRITE, |socket| socket.try_send(buf))
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
