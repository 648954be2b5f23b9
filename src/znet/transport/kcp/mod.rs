//! KCP: streams in order over UDP, for networks that lose packets. It sends again sooner than TCP does.
//!
//! All conversations of a server share one UDP socket, whose thread keeps them going. A connection reads from its conversation
//! and writes to it as to a socket.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use session::Session;

use crate::green::Socket;
use crate::znet::transport::Received;

// A connection and a thread share a conversation:
mod session;

// the thread of the UDP socket,
pub(in crate::znet) mod link;

// which brings what comes, and does in time what is to be done,
pub(in crate::znet) mod pump;

// knows the conversations by address and number,
mod table;

// and lets in those that have shown that they are there.
mod proof;

// A conversation has settings,
pub(in crate::znet) mod options;

// and a protocol:
mod conversation;

// what is sent goes on until it has come,
mod sender;

// as much at a time as the network takes,
mod congestion;

// what comes is put in order;
mod receiver;

// all of it is segments,
mod segments;

// which travel in datagrams,
mod datagrams;

// some of which may be lost.
mod fec;

#[cfg(test)]
// It is tried on the worst networks.
mod trials;

/// A conversation of KCP. With its last clone the connection lets go, and what it has said goes on to the peer.
#[derive(Clone)]
pub(crate) struct Kcp(Arc<Held>);

struct Held {
    session: Arc<Session>,
    socket: Arc<Socket>,
    _companion: Option<Companion>,
}

/// Something to be dropped when the connection lets go: what goes on after that is not its any more.
pub(in crate::znet) type Companion = Box<dyn Send + Sync>;

impl Kcp {
    pub(super) fn new(session: Arc<Session>, socket: Arc<Socket>, companion: Option<Companion>) -> Self {
        Self(Arc::new(Held { session, socket, _companion: companion }))
    }

    /// Whether the peer has been heard.
    ///
    /// # Errors
    ///
    /// If it cannot be.
    pub(crate) fn is_open(&self) -> io::Result<bool> {
        self.session().is_open()
    }

    pub(super) fn recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        self.session().recv(buf)
    }

    pub(super) fn recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<Received> {
        let len = buf.len();
        buf.resize(len + max, 0);
        let received = self.recv(&mut buf[len..]);
        buf.truncate(len + received.as_ref().map_or(0, |received| received.n));
        received
    }

    pub(super) fn send(
        &self,
        slices: &[IoSlice<'_>],
        lens: impl Iterator<Item = usize>,
    ) -> io::Result<usize> {
        self.session().send(slices, lens)
    }

    pub(super) fn flush(&self) {
        self.session().flush();
    }

    pub(super) fn has_input(&self) -> bool {
        self.session().has_input()
    }

    #[cfg(feature = "admin")]
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.session().round_trip()
    }

    pub(super) fn shutdown(&self) {
        self.session().shut();
    }

    pub(super) fn end(&self) {
        self.session().release();
    }

    pub(super) fn reset(&self) {
        self.session().reset();
    }

    pub(super) fn set_patience(&self, patience: Duration) {
        self.session().set_patience(patience);
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.0.socket
    }

    fn session(&self) -> &Arc<Session> {
        &self.0.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.session.release();
    }
}

impl std::fmt::Debug for Kcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kcp").field(&self.session().peer).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::link::Link;
    use super::options::KcpOptions;
    use super::*;
    use crate::zconf::Config;

    #[test]
    fn the_descriptor_goes_with_the_connection_and_not_with_its_last_words() {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let link = Link::bind(vec![here], KcpOptions::of(&Config::default())).unwrap();
        let (session, socket) = Session::begin(&link, link.local_addr(), 7, false).unwrap();
        let kcp = Kcp::new(Arc::clone(&session), socket, None);
        let socket = Arc::downgrade(kcp.socket());
        kcp.send(&[IoSlice::new(b"last words")], std::iter::once(10)).unwrap();
        drop(kcp);
        assert!(socket.upgrade().is_none());
        assert!(session.due(link.now()).is_some(), "it goes on with what was said");
    }
}
