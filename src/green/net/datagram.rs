//! Datagram sockets: UDP, and Unix.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recvfrom,
    sendto, socket_with, socketpair,
};

use super::readiness::Readiness;
use super::resolve::first_of;
use super::socket::Socket;
use super::unix::{address_of, local_path, open, path_of, until_taken};
use crate::green::runtime::blocking::blocking;
use crate::green::runtime::settings;

/// A UDP socket. Clones are the same socket, which closes with the last of them.
///
/// A datagram is read whole or cut to the length of the buffer: the rest is lost. One that the network loses is
/// not reported. In a destructor that runs while its coroutine unwinds, what would wait fails with `WouldBlock`.
///
/// # Examples
///
/// ```
/// use zinx::green::UdpSocket;
///
/// let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// one.send_to(b"ping", other.local_addr()?)?;
/// let mut buf = [0; 64];
/// let (len, peer) = other.recv_from(&mut buf)?;
/// assert_eq!((&buf[..len], peer), (&b"ping"[..], one.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UdpSocket {
    socket: Arc<Socket>,
}

impl UdpSocket {
    /// Binds to `address`, as [`TcpListener::bind`](crate::green::TcpListener::bind) does; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// The last address's: the port is taken, the address is not ours. `NotFound` if the name has no address.
    pub fn bind(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        settings::ensure_started().map_err(io::Error::other)?;
        let addresses = blocking(move || address.to_socket_addrs().map(Vec::from_iter))?;
        first_of(addresses, |address| {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let fd = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            bind(&fd, &address)?;
            Ok(Self { socket: Arc::new(Socket::new(fd)?) })
        })
    }

    /// Names the peer that [`send`](Self::send) sends to and [`recv`](Self::recv) hears. Others are not heard any more.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        Ok(connect(&*self.socket, &peer)?)
    }

    /// The address it is bound to, with the port the system chose.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::try_from(getsockname(&*self.socket)?)?)
    }

    /// Sends one datagram to `peer`, waiting while the system has no room for it. Returns its length.
    ///
    /// # Errors
    ///
    /// Those of the system, such as `data` being too long for a datagram.
    #[doc(alias = "sendto")]
    pub fn send_to(&self, data: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.socket.attempt(Readiness::WRITE, |socket| sendto(socket, data, SEND, &peer))
    }

    /// Waits for the next datagram and returns its length and who sent it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "recvfrom")]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let receive = |socket: &Socket| recvfrom(socket, &mut *buf, RecvFlags::DONTWAIT);
        let (len, _, peer) = self.socket.attempt(Readiness::READ, receive)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        Ok((len, peer.ok_or(io::ErrorKind::Unsupported)?))
    }

    /// As [`send_to`](Self::send_to), to the peer that was [named](Self::connect).
    ///
    /// # Errors
    ///
    /// `NotConnected` if none was, `ConnectionRefused` if nothing received the last datagram, and those of the system.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::WRITE, |socket| socket.try_send(data))
    }

    /// Waits for the next datagram and returns its length.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if the peer that was [named](Self::connect) does not listen, and those of the system.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::READ, |socket| socket.try_recv(buf))
    }
}

/// A Unix datagram socket. Clones are the same socket. Addresses are as for [`UnixListener`](crate::green::UnixListener).
///
/// # Examples
///
/// ```
/// use zinx::green::UnixDatagram;
///
/// let (one, other) = UnixDatagram::pair()?;
/// one.send(b"ping")?;
/// let mut buf = [0; 64];
/// assert_eq!(other.recv(&mut buf)?, 4);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixDatagram {
    socket: Arc<Socket>,
}

impl UnixDatagram {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: Arc::new(Socket::new(fd)?) })
    }

    /// A socket without an address: it can send, and cannot be answered.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn unbound() -> io::Result<Self> {
        Self::new(open(SocketType::DGRAM)?)
    }

    /// Binds to `path`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path is there already, and those of the system.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = open(SocketType::DGRAM)?;
        bind(&fd, &address_of(path.as_ref())?)?;
        Self::new(fd)
    }

    /// Two sockets that send to each other.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn pair() -> io::Result<(Self, Self)> {
        settings::ensure_started().map_err(io::Error::other)?;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Names the peer that [`send`](Self::send) sends to.
    ///
    /// # Errors
    ///
    /// `NotFound` and `ConnectionRefused` if nothing receives there, and those of the system.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        Ok(connect(&*self.socket, &address_of(path.as_ref())?)?)
    }

    /// The path it is bound to; empty if it has none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<PathBuf> {
        local_path(&self.socket)
    }

    /// Sends one datagram to `path`. While the receiver has no room it waits, and tries again after a while that grows to
    /// 20 ms: the system does not report that room.
    ///
    /// # Errors
    ///
    /// `NotFound` and `ConnectionRefused` if nothing receives there, and those of the system.
    #[doc(alias = "sendto")]
    pub fn send_to(&self, data: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let peer = address_of(path.as_ref())?;
        until_taken(|| sendto(&*self.socket, data, SEND, &peer))
    }

    /// Waits for the next datagram and returns its length and who sent it; an empty path if that has none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "recvfrom")]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, PathBuf)> {
        let receive = |socket: &Socket| recvfrom(socket, &mut *buf, RecvFlags::DONTWAIT);
        let (len, _, peer) = self.socket.attempt(Readiness::READ, receive)?;
        Ok((len, peer.map_or_else(|| Ok(PathBuf::new()), path_of)?))
    }

    /// As [`send_to`](Self::send_to), to the peer that was [named](Self::connect); waits until it has room.
    ///
    /// # Errors
    ///
    /// `NotConnected` if none was, and those of the system.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::WRITE, |socket| socket.try_send(data))
    }

    /// Waits for the next datagram and returns its length.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::READ, |socket| socket.try_recv(buf))
    }
}

/// A socket for datagrams, as a [`DatagramServer`](crate::green::DatagramServer) needs it.
pub trait Datagrams: Clone + Send + Sync + 'static {
    /// The address of a sender.
    type Address: Clone + fmt::Debug + Send + Sync + 'static;

    /// Waits for the next datagram and returns its length and who sent it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, Self::Address)>;
}

impl Datagrams for UdpSocket {
    type Address = SocketAddr;

    fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf)
    }
}

impl Datagrams for UnixDatagram {
    type Address = PathBuf;

    fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, PathBuf)> {
        self.recv_from(buf)
    }
}

/// For socket options and [`Poll`](crate::green::Poll). Do not make it blocking: that would block the worker.
impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// For socket options and [`Poll`](crate::green::Poll). Do not make it blocking: that would block the worker.
impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("local", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixDatagram").field("local", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
