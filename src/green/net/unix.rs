//! Unix sockets: a listener, a stream, and their addresses.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, bind, connect,
    getpeername, getsockname, listen, socket_with,
};

use super::readiness::Readiness;
use super::socket::Socket;
use super::socket_file::SocketFile;
use crate::green::runtime::settings;
use crate::lock::Lock;

/// A listening Unix socket.
///
/// An address is a path. One that begins with a NUL is abstract, as in Python: it is no file, and goes with its socket. A
/// file stays when the listener is dropped, and binding it again is an error until it is removed.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use zinx::green::{self, UnixListener, UnixStream};
///
/// let name = format!("\0zinx-doc-{}", std::process::id());
/// let listener = UnixListener::bind(&name, 16)?;
/// let greeter = green::spawn(move || listener.accept()?.write_all(b"hello"));
/// let mut said = String::new();
/// UnixStream::connect(&name)?.read_to_string(&mut said)?;
/// assert_eq!(said, "hello");
/// greeter.get().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    /// Goes when the listener is closed, or is dropped: before the socket, for with that its number could be another file's.
    file: Lock<Option<SocketFile>>,
    socket: Socket,
    /// The system does not say so to one that does not block.
    closed: AtomicBool,
}

impl UnixListener {
    /// Listens on `path`; `backlog` connections may wait to be accepted.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path is there already, and those of the system.
    pub fn bind(path: impl AsRef<Path>, backlog: u32) -> io::Result<Self> {
        let fd = open(SocketType::STREAM)?;
        bind(&fd, &address_of(path.as_ref())?)?;
        listen(&fd, i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self { file: Lock::default(), socket: Socket::new(fd)?, closed: AtomicBool::new(false) })
    }

    /// As [`bind`](Self::bind); the file goes when the listener is closed or dropped.
    pub(super) fn bind_own(path: &Path, backlog: u32) -> io::Result<Self> {
        let mut listener = Self::bind(path, backlog)?;
        *listener.file.get_mut() = SocketFile::of(path);
        Ok(listener)
    }

    /// Changes how many connections may wait to be accepted.
    pub(super) fn set_backlog(&self, connections: u32) -> io::Result<()> {
        Ok(listen(&self.socket, i32::try_from(connections).unwrap_or(i32::MAX))?)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Those of the system; `Interrupted` after [`close`](Self::close); `WouldBlock` in a destructor that runs while its
    /// coroutine unwinds, if nothing listens there.
    pub fn accept(&self) -> io::Result<UnixStream> {
        self.accept_from().map(|(stream, _)| stream)
    }

    /// As [`accept`](Self::accept), with the peer's path.
    pub(super) fn accept_from(&self) -> io::Result<(UnixStream, PathBuf)> {
        let (fd, peer) = self.socket.attempt(Readiness::ANY, |socket| {
            if self.closed.load(Ordering::Acquire) {
                return Err(Errno::INTR);
            }
            acceptfrom_with(socket, FLAGS)
        })?;
        Ok((UnixStream::new(fd)?, peer.map_or_else(|| Ok(PathBuf::new()), path_of)?))
    }

    /// Refuses clients from now on, and ends the accept that waits with `Interrupted`. Twice is the same as once.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let file = self.file.lock().take();
        drop(file);
        self.socket.shutdown_both();
    }

    /// The path it is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<PathBuf> {
        local_path(&self.socket)
    }
}

/// A connected Unix stream socket: as [`TcpStream`](crate::green::TcpStream), with paths for addresses.
#[derive(Clone, Debug)]
pub struct UnixStream {
    socket: Arc<Socket>,
}

impl UnixStream {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: Arc::new(Socket::new(fd)?) })
    }

    /// Connects to `path`. While the listener's backlog is full, it waits and tries again.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such path, `ConnectionRefused` if nothing listens there, and those of the system.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let (fd, address) = (open(SocketType::STREAM)?, address_of(path.as_ref())?);
        until_taken(|| connect(&fd, &address))?;
        Self::new(fd)
    }

    /// Two streams that are connected to each other and have no address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        settings::ensure_started().map_err(io::Error::other)?;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Our own path; empty if there is none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<PathBuf> {
        local_path(&self.socket)
    }

    /// The peer's path; empty if it has none.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the peer has gone already.
    pub fn peer_addr(&self) -> io::Result<PathBuf> {
        getpeername(&*self.socket)?.map_or_else(|| Ok(PathBuf::new()), path_of)
    }

    /// Sends our end of stream; what the peer sends can still be read.
    pub fn shutdown_write(&self) {
        self.socket.shutdown_write();
    }

    /// Ends both directions, and wakes those that wait on them.
    pub fn shutdown(&self) {
        self.socket.shutdown_both();
    }

    pub(super) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }
}

/// As [`UnixStream::pair`].
///
/// # Errors
///
/// Those of the system.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use zinx::green;
///
/// let (mut one, mut other) = green::socketpair()?;
/// one.write_all(b"hi")?;
/// let mut heard = [0; 2];
/// other.read_exact(&mut heard)?;
/// assert_eq!(&heard, b"hi");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn socketpair() -> io::Result<(UnixStream, UnixStream)> {
    UnixStream::pair()
}

impl Read for &UnixStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::READ, |socket| socket.try_recv(buf))
    }
}

impl Write for &UnixStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.wait_to(Readiness::WRITE, |socket| socket.try_send(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for UnixStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for UnixStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For socket options and [`Poll`](crate::green::Poll). Do not make it blocking: that would block the worker.
impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub(super) fn open(kind: SocketType) -> io::Result<OwnedFd> {
    settings::ensure_started().map_err(io::Error::other)?;
    Ok(socket_with(AddressFamily::UNIX, kind, FLAGS, None)?)
}

/// Calls again while the other side has no room, which no event tells of.
pub(super) fn until_taken<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    let mut pause = Duration::from_micros(100);
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !crate::green::is_unwinding() => {
                crate::green::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return Ok(other?),
        }
    }
}

/// The address that a path means.
pub(super) fn address_of(path: &Path) -> io::Result<SocketAddrUnix> {
    let address = match path.as_os_str().as_bytes() {
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name),
        _ => SocketAddrUnix::new(path),
    };
    Ok(address?)
}

/// The path that an address is.
pub(super) fn path_of(address: SocketAddrAny) -> io::Result<PathBuf> {
    let address = SocketAddrUnix::try_from(address)?;
    let mut bytes = Vec::new();
    // To `rustix`, none is an abstract one of no length.
    if let Some(name) = address.abstract_name().filter(|name| !name.is_empty()) {
        bytes.push(0);
        bytes.extend(name);
    } else if let Some(path) = address.path() {
        bytes.extend(path.to_bytes());
    }
    Ok(PathBuf::from(OsStr::from_bytes(&bytes)))
}

pub(super) fn local_path(socket: &Socket) -> io::Result<PathBuf> {
    path_of(getsockname(socket)?)
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

const LONGEST_PAUSE: Duration = Duration::from_millis(20);
