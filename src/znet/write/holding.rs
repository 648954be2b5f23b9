//! Whether the socket is watched, and whether one sender has it to itself.

use super::bounds::Bounds;
use super::outbox::{Sender, State};

impl State {
    /// Whether the connection's own coroutine watches the socket, and so waits for input.
    pub(crate) const fn is_watched(&self) -> bool {
        self.watched
    }

    pub(crate) const fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Whether something waits to be sent, or is being sent.
    pub(crate) fn sends(&self) -> bool {
        self.sender != Sender::Idle || !self.queue.is_empty()
    }

    /// Whether something waits to be sent on a full socket that is not watched.
    pub(crate) fn needs_writer(&self) -> bool {
        let waits = !self.queue.is_empty() || self.in_transport > 0;
        self.sender == Sender::Blocked && !self.writer && !self.watched && waits
    }

    /// Keeps what will be queued from leaving, if nothing is queued, sent or watched.
    pub(crate) fn hold(&mut self) -> bool {
        let free = self.sender == Sender::Idle && self.queue.is_empty() && !self.writer;
        if free {
            self.sender = Sender::Sending;
        }
        free
    }

    /// Lets it leave again.
    pub(crate) fn release(&mut self, bounds: &Bounds) {
        self.sender = Sender::Idle;
        if self.discarded {
            self.give_back(bounds);
        }
    }
}
