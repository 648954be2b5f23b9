//! How the frames of a connection that survives its node leave, once they are in Redis.

use bytes::Bytes;

use super::bounds::Bounds;
use super::ledger::Kind;
use super::outbox::State;
use super::replay::Replay;
use crate::znet::resume::parcel::Reached;

impl State {
    /// Redis has so much. What the peer is to be told by now of the messages handled; `is_due`: however few there are.
    pub(crate) fn saved(&mut self, bounds: &Bounds, life: u64, now: Reached, is_due: bool) -> Option<u64> {
        let (frames, handled) = now;
        let can_tell = !self.is_blocked();
        let kept = self.kept_mut()?;
        kept.note_saved(life, frames);
        let is_away = kept.away;
        let durable = self.durable_of(life)?;
        // A peer that sends and does not read could have any number of such frames queued.
        let least = if is_due { 1 } else { TELL_MESSAGES };
        let tell = can_tell && handled >= durable.told + least;
        if tell {
            durable.told = handled;
        }
        self.release_saved(bounds);
        if is_away {
            // Nothing leaves that would wake those who wait for room.
            self.wake_all();
        }
        tell.then_some(handled)
    }

    /// The peer has been told so, with the token for its next return.
    pub(crate) fn has_told(&mut self, handled: u64) {
        if let Some(durable) = self.durable_mut() {
            durable.told = handled;
        }
    }

    /// Queues the frames that may leave and have not been queued on this transport.
    fn release_saved(&mut self, bounds: &Bounds) {
        let Some(kept) = self.pressure.as_mut().and_then(|pressure| pressure.kept.as_deref_mut()) else {
            return;
        };
        let before = kept.before();
        let Some(durable) = kept.durable.as_deref_mut().filter(|_| !kept.away) else { return };
        let (from, to) = (durable.released.max(before) - before, durable.saved.saturating_sub(before));
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        for frame in kept.frames.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)).take(count) {
            self.queue.push_packed(frame);
        }
        durable.released = durable.released.max(durable.saved);
        // They are there, so they are granted as far as the server's bound allows.
        let queued = self.queue.own_bytes() + self.taken.2 + self.in_transport;
        self.pressure().queued.cover(&bounds.ledger, Kind::Queued, queued);
    }

    /// On another transport nothing has been queued yet.
    pub(super) fn release_again(&mut self, bounds: &Bounds) {
        if let Some(durable) = self.durable_mut() {
            durable.released = 0;
        }
        self.release_saved(bounds);
    }

    /// The connection is another node's: nothing more leaves here than what Redis has.
    pub(crate) fn abandon(&mut self, bounds: &Bounds) {
        self.close();
        self.stop_keeping(bounds);
    }

    /// The connection ends with this node: everything may leave.
    pub(crate) fn end_durable(&mut self, bounds: &Bounds) {
        self.end_turn(None);
        let Some(kept) = self.kept_mut() else { return };
        let total = kept.total();
        if let Some(durable) = &mut kept.durable {
            durable.saved = total;
        }
        if kept.away {
            kept.count_unreleased();
        } else {
            self.release_saved(bounds);
        }
        if let Some(kept) = self.kept_mut() {
            kept.durable = None;
        }
    }
}

impl Replay {
    pub(super) fn push_unsaved(&mut self, frame: Bytes) {
        if let Some(durable) = &mut self.durable {
            durable.unsaved_bytes += frame.len();
        }
        self.push(frame);
    }

    /// Frames and bytes that wait for Redis, those of the handler that runs among them.
    pub(super) fn unsaved(&self) -> (usize, usize) {
        let Some(durable) = &self.durable else { return (0, 0) };
        let frames = self.total() - durable.saved.max(self.before()).min(self.total());
        (frames as usize + durable.own.len(), durable.unsaved_bytes + durable.own_bytes)
    }

    fn note_saved(&mut self, life: u64, frames: u64) {
        let before = self.before();
        let Some(durable) = self.durable.as_deref_mut().filter(|durable| durable.life == life) else {
            return;
        };
        let at = |count: u64| usize::try_from(count.saturating_sub(before)).unwrap_or(usize::MAX);
        let (from, to) = (at(durable.saved), at(frames.max(durable.saved)));
        let bytes: usize = self.frames.iter().skip(from).take(to - from).map(Bytes::len).sum();
        durable.unsaved_bytes = durable.unsaved_bytes.saturating_sub(bytes);
        durable.saved = durable.saved.max(frames);
    }

    /// Counts as unsent what has not been queued for the socket.
    pub(super) fn count_unreleased(&mut self) {
        let Some(durable) = &self.durable else { return };
        let at = usize::try_from(durable.released.saturating_sub(self.before())).unwrap_or(usize::MAX);
        for frame in self.frames.iter().skip(at).chain(&durable.own) {
            self.unsent.messages += 1;
            self.unsent.bytes += frame.len();
        }
    }
}

/// The peer is told what has been handled at the latest after so many messages, or after as many bytes as on other connections.
const TELL_MESSAGES: u64 = 16;
