//! What an outbox keeps from when it first held much or its socket was first full: grants, waiting senders, what was lost.

use super::ledger::Share;
use super::replay::Replay;
use crate::green::WaitList;
use crate::ziface::Unsent;

/// A connection whose peer reads what it is sent, and does not come back, has none.
#[derive(Default)]
pub(super) struct Pressure {
    /// What the server's bound has granted to the queue. Given back when it is empty: until then a frame that has left in
    /// part is still there as a whole.
    pub(super) queued: Share,
    /// Since when nothing has left for a full socket, in milliseconds of the server's clock; 0 while it takes what comes.
    pub(super) since: u64,
    /// Bytes that the connection's own handlers have queued since the socket was last empty, while it was full.
    pub(super) replies: usize,
    /// What was dropped, or left when the outbox was discarded.
    pub(super) unsent: Unsent,
    /// What was sent, where the connection can be resumed.
    pub(super) kept: Option<Box<Replay>>,
    /// Those that wait for room or for the end.
    pub(super) room: WaitList,
}

impl Pressure {
    /// Takes note that the socket is full, after it has taken so many bytes. The time a peer has to read begins when the
    /// socket fills, and again with each byte that leaves.
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
