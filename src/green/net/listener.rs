//! A TCP listener for coroutines, and the pause after an accept that failed.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Type};

use super::inherited::listening_at;
use super::readiness::Readiness;
use super::resolve::first_of;
use super::socket::Socket;
use super::stream::TcpStream;
use crate::green::Event;
use crate::green::runtime::blocking::{blocking, step_aside};
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
    /// Whoever has passed the socket listens there when we do not.
    is_inherited: bool,
    /// Readable once the accept of a plain thread is interrupted, which waits in the system: it looks whether it is.
    bell: OwnedFd,
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
        Self::of(socket, local, false)
    }

    fn of(socket: socket2::Socket, local: SocketAddr, is_inherited: bool) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { socket: Socket::new(OwnedFd::from(socket))?, local, is_inherited, bell })
    }

    /// Listens on the first of `addresses` at which a socket listens that was passed to the process (systemd's socket
    /// activation). `None` if there is none.
    pub(crate) fn inherit(addresses: &[SocketAddr]) -> io::Result<Option<Self>> {
        settings::ensure_started().map_err(io::Error::other)?;
        for &local in addresses {
            if let Some(socket) = listening_at(local)? {
                socket.set_nonblocking(true)?;
                socket.set_tcp_nodelay(true)?;
                return Self::of(socket, local, true).map(Some);
            }
        }
        Ok(None)
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
        self.accept_or(|| false)
    }

    /// As [`accept`](Self::accept). If no connection is there, `look_again` may say that one may be by now: then it is not waited for.
    pub(crate) fn accept_or(
        &self,
        mut look_again: impl FnMut() -> bool,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        fair::fairness_point();
        loop {
            let attempt = self.socket.noted();
            match acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((fd, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    return Ok((TcpStream::new(fd), peer.ok_or(io::ErrorKind::Unsupported)?));
                }
                Err(rustix::io::Errno::WOULDBLOCK) if look_again() => continue,
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                // The peer was gone before we came, or a signal did: the next may be there.
                Err(rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => continue,
                // It listens no more.
                Err(rustix::io::Errno::INVAL) => return Err(io::ErrorKind::Interrupted.into()),
                Err(error) => return Err(error.into()),
            }
            if self.wait(attempt)?.meets(Readiness::INTERRUPT) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    fn wait(&self, attempt: u32) -> io::Result<Readiness> {
        if may::coroutine::is_coroutine() {
            return self.socket.wait_again(attempt, Readiness::ANY);
        }
        let interrupted = self.socket.take(Readiness::INTERRUPT);
        if interrupted != Readiness::NONE {
            return Ok(interrupted);
        }
        let mut watched =
            [self.socket.as_fd(), self.bell.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // A poll that a signal interrupts returns early: the caller tries, and comes back.
        let _ = step_aside(|| poll(&mut watched, None));
        // Whatever it says: the socket knows whether there was an interrupt, and for whom.
        let _ = rustix::io::read(&self.bell, &mut [0; 8][..]);
        Ok(self.socket.take(Readiness::INTERRUPT))
    }

    /// Ends the accept that waits, or the next that would, with `Interrupted`.
    pub fn interrupt(&self) {
        self.socket.interrupt();
        // Full, it is readable all the same.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Of each connection accepted from now on, the system holds about so many bytes that it has not sent yet; then the socket is full.
    pub(crate) fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes)
    }

    /// Changes how many connections may wait to be accepted.
    pub(super) fn set_backlog(&self, connections: u32) -> io::Result<()> {
        Ok(rustix::net::listen(&self.socket, i32::try_from(connections).unwrap_or(i32::MAX))?)
    }

    /// Refuses clients from now on, also if others still hold the listener, and ends the accept that waits. Never waits. If the
    /// socket was passed to the process, clients wait there for the next one instead.
    pub(crate) fn close(&self) {
        if self.is_inherited {
            self.interrupt();
        } else {
            self.socket.shutdown_both();
        }
    }
}

/// The pause after an accept that failed: 5 ms, doubling to 500 ms, ended early by [`end_pause`](Self::end_pause).
#[derive(Debug, Default)]
#[doc(alias("max_delay", "min_delay"))]
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

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
