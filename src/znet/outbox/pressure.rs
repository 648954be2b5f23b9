//! What an outbox keeps from when it first held much or its socket was first full: grants, who waits, what was lost.

use super::super::bounds::GRANT;
use super::Bounds;
use super::keeping::Kept;
use crate::green::WaitList;
use crate::ziface::Unsent;

/// A connection whose peer reads what it is sent, and does not come back, has none.
#[derive(Default)]
pub(super) struct Pressure {
    /// Bytes the server's bound has granted.
    granted: usize,
    /// Since when nothing has left for a full socket, in milliseconds of the server's clock; 0 while it takes what comes.
    pub(super) since: u64,
    /// What was dropped, or left when the outbox was discarded.
    pub(super) unsent: Unsent,
    /// What was sent, where the connection can be resumed.
    pub(super) kept: Option<Box<Kept>>,
    /// Those who wait for room or for the end.
    pub(super) room: WaitList,
}

impl Pressure {
    /// Whether so many bytes are granted, or can be.
    pub(super) fn has_grant(&mut self, bounds: &Bounds, bytes: usize) -> bool {
        while self.granted < bytes {
            if !bounds.grant() {
                return false;
            }
            self.granted += GRANT;
        }
        true
    }

    pub(super) fn give_back(&mut self, bounds: &Bounds) {
        bounds.give_back(std::mem::take(&mut self.granted));
    }

    /// Takes note that the socket is full, after it has taken so many bytes. The time a peer has to read begins when the
    /// socket fills, and anew with each byte that leaves.
    pub(super) fn note_blocked(&mut self, sent: usize, now: u64) {
        if self.since == 0 || sent > 0 {
            self.since = now.max(1);
        }
    }

    pub(super) const fn count_unsent(&mut self, messages: usize, bytes: usize) {
        self.unsent.messages += messages;
        self.unsent.bytes += bytes;
    }
}
