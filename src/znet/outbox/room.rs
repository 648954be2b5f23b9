//! How much an outbox holds, and whether there is room for more: in its own queue, and under the bound over all.

use super::super::ledger::{FREE_BYTES, Kind};
use super::{Bounds, Sender, State};

/// Whether a frame fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The queue is full.
    Full,
    /// The server holds as much as it may.
    OverAll,
}

impl State {
    /// Whether there is room for a frame of which so many bytes are still to be granted. In an empty queue there is for
    /// a frame of any size, if the server's bound allows it.
    pub(super) fn room_for(&mut self, bounds: &Bounds, frame: usize, to_grant: usize) -> Room {
        let (bytes, messages) = (self.bytes(), self.messages());
        if messages > 0 && (messages >= bounds.messages || bytes + frame > bounds.bytes) {
            return Room::Full;
        }
        let needed = self.queue.own_bytes() + self.taken.2 + to_grant;
        let granted =
            needed <= FREE_BYTES || self.pressure().queued.cover(&bounds.ledger, Kind::Queued, needed);
        if granted { Room::Enough } else { Room::OverAll }
    }

    /// Drops frames, oldest first, until one of `frame` bytes fits. `false` where nothing can be dropped: the peer counts
    /// the frames of a connection that can be resumed.
    pub(crate) fn drop_oldest_for(&mut self, bounds: &Bounds, frame: usize) -> bool {
        while self.room_for(bounds, frame, frame) != Room::Enough {
            let before = self.queue.bytes();
            if self.keeps() || !self.queue.drop_oldest() {
                return false;
            }
            let dropped = before - self.queue.bytes();
            self.count_unsent(1, dropped);
        }
        true
    }

    /// Bytes queued or being sent.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes() + self.taken.0
    }

    /// Frames queued or being sent.
    pub(crate) fn messages(&self) -> usize {
        self.queue.messages() + self.taken.1
    }

    /// What is granted to the queue.
    pub(crate) fn granted_queued(&self) -> usize {
        self.pressure.as_ref().map_or(0, |pressure| pressure.queued.granted())
    }

    /// Whether so much waits on a full socket that the peer, which does not read, should not be read from either.
    pub(crate) fn holds_back_reading(&self) -> bool {
        self.sender == Sender::Blocked && self.queue.bytes() > HOLD_BACK_FROM
    }

    /// Wakes senders once half of the room is free: one wake-up for many frames.
    pub(super) fn make_room(&mut self, bounds: &Bounds) {
        if self.queue.bytes() <= bounds.bytes / 2 && self.queue.messages() <= bounds.messages / 2 {
            self.wake_all();
        }
    }
}

/// More than this queued on a full socket, and the peer is not read from until it has read.
const HOLD_BACK_FROM: usize = 64 * 1024;
