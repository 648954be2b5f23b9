//! The socket that a connection's own coroutine reads from.

use std::io;
use std::sync::Arc;

use crate::green::Socket;
use crate::znet::conn::connection::Connection;

/// The socket to read from. A connection that can be resumed has another once its peer has come back, and none before: so
/// it is looked up each time, and the one lost is closed at once.
pub(crate) struct Line<'a> {
    conn: &'a Connection,
    /// That of a connection that ends with it.
    only: Option<Arc<Socket>>,
}

impl<'a> Line<'a> {
    pub(crate) fn of(conn: &'a Connection, socket: Arc<Socket>) -> Self {
        Self { conn, only: conn.resume().is_none().then_some(socket) }
    }

    /// Uses the socket. `None` if there is none.
    #[inline]
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Arc<Socket>) -> T) -> Option<T> {
        match &self.only {
            Some(socket) => Some(work(socket)),
            None => {
                let socket = self.conn.outbox().lock().socket();
                socket.as_ref().map(work)
            }
        }
    }

    #[inline]
    pub(crate) fn read(&self, work: impl FnOnce(&Arc<Socket>) -> io::Result<usize>) -> io::Result<usize> {
        self.with(work).unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }
}
