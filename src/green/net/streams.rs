//! What a stream server can serve: TCP, and Unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::readiness::Readiness;
use super::socket::Socket;
use crate::green::runtime::buffers::ReadBuffer;
use crate::green::runtime::timer::set_alarm;
use crate::green::{TcpListener, TcpStream, UnixListener, UnixStream, Until};

/// The connections of a [`StreamServer`](crate::green::StreamServer): [`TcpStream`] or [`UnixStream`].
pub trait Streams: Clone + Send + Sync + 'static {
    /// The address of a peer.
    type Address: Clone + fmt::Debug + Send + Sync + 'static;

    #[doc(hidden)]
    type Listener: Send + Sync + 'static;

    /// Listens without waiting for anything.
    #[doc(hidden)]
    fn listen(address: &Self::Address, backlog: u32) -> io::Result<Self::Listener>;

    #[doc(hidden)]
    fn set_backlog(listener: &Self::Listener, connections: u32) -> io::Result<()>;

    /// Waits for the next connection. `Interrupted` once the listener is closed.
    #[doc(hidden)]
    fn accept(listener: &Self::Listener) -> io::Result<(Self, Self::Address)>;

    /// Refuses clients from now on, and ends the accept that waits. Never waits.
    #[doc(hidden)]
    fn close(listener: &Self::Listener);

    /// Ends both directions, also for those that wait on them.
    #[doc(hidden)]
    fn end(&self);

    /// Ends the stream in order.
    #[doc(hidden)]
    fn part(self);
}

impl Streams for TcpStream {
    type Address = SocketAddr;
    type Listener = TcpListener;

    fn listen(address: &SocketAddr, backlog: u32) -> io::Result<TcpListener> {
        TcpListener::bind_to(*address, backlog)
    }

    fn set_backlog(listener: &TcpListener, connections: u32) -> io::Result<()> {
        listener.set_backlog(connections)
    }

    fn accept(listener: &TcpListener) -> io::Result<(Self, SocketAddr)> {
        listener.accept()
    }

    fn close(listener: &TcpListener) {
        listener.close();
    }

    fn end(&self) {
        self.shutdown();
    }

    fn part(self) {
        part(&self.into_socket());
    }
}

impl Streams for UnixStream {
    /// Empty, unless the peer has bound its socket to a path.
    type Address = PathBuf;
    type Listener = UnixListener;

    fn listen(path: &PathBuf, backlog: u32) -> io::Result<UnixListener> {
        UnixListener::bind_own(path, backlog)
    }

    fn set_backlog(listener: &UnixListener, connections: u32) -> io::Result<()> {
        listener.set_backlog(connections)
    }

    fn accept(listener: &UnixListener) -> io::Result<(Self, PathBuf)> {
        listener.accept_from()
    }

    fn close(listener: &UnixListener) {
        listener.close();
    }

    fn end(&self) {
        self.shutdown();
    }

    fn part(self) {
        part(&self.into_socket());
    }
}

/// Ends the stream, and reads until the peer's end for a while: closed with input unread, the system would destroy what
/// is on its way to the peer.
fn part(socket: &Arc<Socket>) {
    socket.shutdown_write();
    let until = Until::after(LINGER);
    set_alarm(socket, until.end_or_far());
    while !until.is_over() {
        let received = socket.try_recv(&mut ReadBuffer::take(0));
        match received {
            Ok(0) => return,
            Ok(_) => crate::green::fairness_point(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.wait(Readiness::READ.or(Readiness::INTERRUPT));
            }
            Err(_) => return,
        }
    }
}

/// How long a peer may take to end its side after the handler has returned.
const LINGER: Duration = Duration::from_secs(1);
