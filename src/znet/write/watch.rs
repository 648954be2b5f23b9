//! What watches a full socket, so that what is queued leaves once the peer reads on.
//!
//! It follows from state, whatever led there. While the connection's own coroutine waits for input it holds a [`Watch`],
//! and sends when the socket takes more. At any other time it may be in user code, and stay there: then the next yield
//! of the one that finds the socket full starts a writer coroutine (`writer.rs`).

use crate::green::Readiness;
use crate::znet::conn::connection::Connection;

/// While this lives, the connection's own coroutine watches the socket.
pub(crate) struct Watch<'a> {
    conn: &'a Connection,
    /// A writer does so already.
    beside_writer: bool,
}

impl Watch<'_> {
    /// What to wait for.
    pub(crate) const fn interest(&self) -> Readiness {
        if self.beside_writer { READ_OR_ASKED } else { Readiness::ANY }
    }

    /// Watches on without it, until [`Connection::watch_on`]. Returns what to wait for.
    pub(crate) const fn leave(self) -> Readiness {
        let interest = self.interest();
        std::mem::forget(self);
        interest
    }
}

/// Also where a time limit ends the wait: nothing here yields.
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let to_defer = {
            let mut state = self.conn.outbox().lock();
            state.set_watched(false);
            state.needs_writer() && state.defer_here()
        };
        if to_defer {
            self.conn.writer().flush_at_yield();
        }
    }
}

impl Connection {
    /// Begins to watch the socket. In the connection's own coroutine, which is about to wait.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let mut state = self.outbox().lock();
        state.set_watched(true);
        Watch { conn: self, beside_writer: state.has_writer() }
    }

    /// What was left.
    pub(crate) const fn watch_on(&self) -> Watch<'_> {
        Watch { conn: self, beside_writer: false }
    }
}

const READ_OR_ASKED: Readiness = Readiness::READ.or(Readiness::HANGUP).or(Readiness::INTERRUPT);
