//! What watches a full socket, so that what is queued leaves once the peer reads on.
//!
//! It follows from state, whatever led there. While the connection's own coroutine waits for input it holds a [`Watch`],
//! and sends when the socket takes more. At any other time it may be in user code, and stay there: then the next yield
//! of the one that finds the socket full starts a writer coroutine (`writer.rs`).

use crate::green::Readiness;
use crate::znet::conn::connection::Connection;
use crate::znet::write::outbox::State;

/// While this lives, the connection's own coroutine watches the socket.
pub(crate) struct Watch<'a> {
    conn: &'a Connection,
    /// What to wait for.
    interest: Readiness,
}

impl Watch<'_> {
    /// What to wait for.
    pub(crate) const fn interest(&self) -> Readiness {
        self.interest
    }

    /// Watches on without it, until [`Connection::watch_on`]. Returns what to wait for.
    pub(crate) const fn leave(self) -> Readiness {
        let interest = self.interest();
        std::mem::forget(self);
        interest
    }

    /// Ends it. `false` if nothing waits to be sent, or is being sent.
    pub(crate) fn end(self) -> bool {
        let conn = self.conn;
        std::mem::forget(self);
        conn.end_watch()
    }
}

/// Also where a time limit ends the wait: nothing here yields.
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.conn.end_watch();
    }
}

impl State {
    /// The connection's own coroutine watches the socket from now on. Returns what it waits for.
    pub(super) fn begin_watch(&mut self) -> Readiness {
        self.set_watched(true);
        // A writer sends already.
        if self.has_writer() { READ_OR_ASKED } else { Readiness::ANY }
    }
}

impl Connection {
    /// Begins to watch the socket. In the connection's own coroutine, which is about to wait.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let interest = self.outbox().lock().begin_watch();
        Watch { conn: self, interest }
    }

    /// What was left.
    pub(crate) const fn watch_on(&self) -> Watch<'_> {
        Watch { conn: self, interest: Readiness::ANY }
    }

    fn end_watch(&self) -> bool {
        let mut state = self.outbox().lock();
        state.set_watched(false);
        let (sends, to_defer) = (state.sends(), state.needs_writer() && state.defer_here());
        drop(state);
        if to_defer {
            self.writer().flush_at_yield();
        }
        sends
    }
}

const READ_OR_ASKED: Readiness = Readiness::READ.or(Readiness::HANGUP).or(Readiness::INTERRUPT);
