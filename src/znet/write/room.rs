//! How much an outbox holds, and whether there is room for more: in its own queue, and under the bound over all.

use super::bounds::Bounds;
use super::ledger::{FREE_BYTES, Kind};
use super::outbox::{Room, Sender, State};
use crate::zconf::QueueFull;

impl State {
    /// Whether there is room for a frame of which so many bytes are still to be granted. In an empty queue there is for
    /// a frame of any size, if the server's bound allows it; and if the oldest frames are dropped, beside those that
    /// another is sending: they cannot be dropped.
    pub(super) fn room_for(&mut self, bounds: &Bounds, frame: usize, to_grant: usize) -> Room {
        if !self.has_room(bounds, frame) {
            return Room::Full;
        }
        let needed = self.queue.own_bytes() + self.taken.2 + self.in_transport + to_grant;
        let granted =
            needed <= FREE_BYTES || self.pressure().queued.cover(&bounds.ledger, Kind::Queued, needed);
        if granted { Room::Enough } else { Room::OverAll }
    }

    /// Whether this queue itself has room for a frame.
    pub(super) fn has_room(&self, bounds: &Bounds, frame: usize) -> bool {
        let has_room = self.messages() < bounds.messages() && self.bytes() + frame <= bounds.bytes();
        (has_room || self.is_first(bounds)) && self.has_room_unsaved(frame)
    }

    /// How many frames and bytes the queue may hold for which nothing has to be granted, dropped or noted. None while another
    /// sends, the socket is full, or a queue like this is not all that there is.
    pub(super) fn plain_room(&self, bounds: &Bounds) -> (usize, usize) {
        let granted = match &self.pressure {
            None => 0,
            Some(pressure) if pressure.kept.is_none() => pressure.queued.granted(),
            Some(_) => return (0, 0),
        };
        if self.sender != Sender::Idle {
            return (0, 0);
        }
        (bounds.messages(), bounds.bytes().min((FREE_BYTES + granted).saturating_sub(self.in_transport)))
    }

    /// Takes note of what the transport holds of what has left the queue: records that a full socket did not take. They are there, so
    /// they are granted as far as the server's bound allows.
    pub(super) fn note_in_transport(&mut self, bounds: &Bounds, bytes: usize) {
        self.in_transport = bytes;
        let needed = self.queue.own_bytes() + bytes;
        if bytes > 0 && needed > FREE_BYTES {
            self.pressure().queued.cover(&bounds.ledger, Kind::Queued, needed);
        }
    }

    /// Whether a frame would be the first that counts.
    fn is_first(&self, bounds: &Bounds) -> bool {
        let is_empty = self.queue.messages() == 0 && self.unsaved().0 == 0;
        is_empty && (self.taken.1 == 0 || bounds.policy() == QueueFull::DropOldest)
    }

    /// Drops frames, oldest first, until one of `frame` bytes fits. `false` if nothing can be dropped: the peer counts
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

    /// Bytes queued or being sent, or that wait for Redis before that.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes() + self.taken.0 + self.unsaved().1
    }

    /// Frames queued or being sent, or that wait for Redis before that.
    pub(crate) fn messages(&self) -> usize {
        self.queue.messages() + self.taken.1 + self.unsaved().0
    }

    /// What is granted to the queue.
    pub(crate) fn granted_queued(&self) -> usize {
        self.pressure.as_ref().map_or(0, |pressure| pressure.queued.granted())
    }

    /// Whether the peer, which does not read the replies to what it has sent, should not be read from either. What others send it is
    /// no reason: it may well be waiting for us to read, and two ends that both send much would wait for each other.
    pub(crate) fn holds_back_reading(&self) -> bool {
        let replies = self.pressure.as_ref().map_or(0, |pressure| pressure.replies);
        self.sender == Sender::Blocked && replies.min(self.queue.bytes()) > HOLD_BACK_FROM
    }

    /// Whether handlers of the connection's own have queued something since the socket was last empty, while it was full.
    pub(super) fn has_replies(&self) -> bool {
        self.pressure.as_ref().is_some_and(|pressure| pressure.replies > 0)
    }

    /// See [`Outbox::note_reply`](super::outbox::Outbox::note_reply).
    pub(super) fn note_reply(&mut self, bytes: usize) {
        self.pressure().replies += bytes;
    }

    /// Wakes senders once half of the room is free: one wake-up for many frames.
    pub(super) fn make_room(&mut self, bounds: &Bounds) {
        if self.queue.bytes() <= bounds.bytes() / 2 && self.queue.messages() <= bounds.messages() / 2 {
            self.wake_all();
        }
    }
}

/// More replies than this queued on a full socket, in bytes, and the peer is not read from until it has read.
const HOLD_BACK_FROM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::outbox::Appended;
    use super::*;
    use crate::zconf::Config;

    /// Frames of this length; two fit.
    const FRAME: usize = 100;

    fn bounds(policy: QueueFull) -> Bounds {
        let mut config = Config::default();
        (config.max_msg_chan_bytes, config.queue_full) = (2 * FRAME, policy);
        Bounds::new(&config)
    }

    fn append(state: &mut State, bounds: &Bounds) -> bool {
        let appended = state.append_with(bounds, FRAME, |queue| {
            queue.push_packed(&vec![0; FRAME].into());
            Ok(())
        });
        matches!(appended.unwrap(), Appended::Queued { .. })
    }

    #[test]
    fn the_oldest_frame_that_is_not_being_sent_is_dropped() {
        let bounds = bounds(QueueFull::DropOldest);
        let mut state = State::default();
        assert!(append(&mut state, &bounds) && append(&mut state, &bounds));
        let being_sent = state.take();
        assert!(append(&mut state, &bounds), "one fits beside those that are being sent");
        assert!(!append(&mut state, &bounds), "only one does");
        assert!(state.drop_oldest_for(&bounds, FRAME) && append(&mut state, &bounds));
        assert_eq!((state.messages(), state.unsent().messages), (3, 1));
        state.put_back(being_sent);
        assert!(!append(&mut state, &bounds));
        assert!(state.drop_oldest_for(&bounds, FRAME) && append(&mut state, &bounds));
        assert_eq!((state.messages(), state.unsent().messages), (2, 3));
    }

    #[test]
    fn what_the_transport_has_not_sent_is_granted_until_all_has_left() {
        let mut config = Config::default();
        config.max_queued_bytes = 256 * 1024;
        let bounds = Bounds::new(&config);
        let mut state = State::default();
        state.note_in_transport(&bounds, 48 * 1024);
        assert!(state.granted_queued() >= 44 * 1024);
        assert_eq!(state.plain_room(&bounds).1, (FREE_BYTES + state.granted_queued()) - 48 * 1024);
        let frame = 200 * 1024;
        assert!(state.room_for(&bounds, frame, frame) == Room::Enough);
        let frame = 220 * 1024;
        assert!(state.room_for(&bounds, frame, frame) == Room::OverAll);
        state.drained(&bounds);
        assert_eq!((state.granted_queued(), state.in_transport), (0, 0));
    }

    #[test]
    fn what_is_being_sent_counts_where_nothing_is_dropped() {
        let bounds = bounds(QueueFull::Wait);
        let mut state = State::default();
        assert!(append(&mut state, &bounds) && append(&mut state, &bounds));
        let _being_sent = state.take();
        assert!(!append(&mut state, &bounds));
    }
}
