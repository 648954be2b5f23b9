//! The last frames that a connection has sent, kept for a peer that comes back.

use std::collections::VecDeque;

use bytes::Bytes;

use super::bounds::Bounds;
use super::durable::Durable;
use super::frame_queue::FrameQueue;
use super::ledger::{Kind, Share};
use crate::error::Result;
use crate::ziface::{ResumeRefusal, Unsent};
use crate::znet::resume::parcel::Kept;

/// The last frames sent, up to a bound, and how many were sent before them. What is in the queue is in here too.
pub(crate) struct Replay {
    pub(super) frames: VecDeque<Bytes>,
    bytes: usize,
    /// Frames sent before the first kept.
    before: u64,
    /// Frames the peer has counted.
    counted: u64,
    /// Most frames and bytes.
    max: (usize, usize),
    /// The peer is away: what is sent is kept and not queued.
    pub(super) away: bool,
    /// The socket cannot be used any more: nothing is put into the queue, nor back.
    pub(super) lost: bool,
    /// Kept while away, or queued and lost.
    pub(super) unsent: Unsent,
    pub(super) share: Share,
    /// How far they are in Redis, if they are to be there before they leave.
    pub(super) durable: Option<Box<Durable>>,
}

impl Replay {
    pub(super) const fn new(max: (usize, usize)) -> Self {
        let unsent = Unsent { messages: 0, bytes: 0 };
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            before: 0,
            counted: 0,
            max,
            away: false,
            lost: false,
            unsent,
            share: Share::new(),
            durable: None,
        }
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.frames.len() > self.max.0 || self.bytes > self.max.1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.len();
            self.before += 1;
        }
    }

    /// Asks for a grant of so many bytes more, if a frame of that length would be kept. `false` if the server's bound is reached.
    pub(super) fn has_grant(&mut self, bounds: &Bounds, frame: usize) -> bool {
        frame > self.max.1
            || self.share.cover(&bounds.ledger, Kind::Resume, self.held() + frame + FRAME_BYTES)
    }

    /// Frames sent before the first kept.
    pub(super) const fn before(&self) -> u64 {
        self.before
    }

    /// Frames that were ever sent.
    pub(super) fn total(&self) -> u64 {
        self.before + self.frames.len() as u64
    }

    /// Most frames and bytes.
    pub(super) const fn most(&self) -> (usize, usize) {
        self.max
    }

    pub(super) fn clone_all(&self) -> Kept {
        Kept { frames: self.frames.iter().cloned().collect(), before: self.before, counted: self.counted }
    }

    pub(super) fn held(&self) -> usize {
        let own = self.durable.as_ref().map_or(0, |durable| durable.own_bytes);
        self.bytes + own + self.frames.len() * FRAME_BYTES
    }

    pub(super) const fn counted(&self) -> u64 {
        self.counted
    }

    /// Forgets the first `count` frames ever sent: the peer has them.
    pub(super) fn forget(&mut self, count: u64) -> Result<(), ResumeRefusal> {
        if count < self.counted {
            // It has counted more since: this was long on its way, from a socket that it has given up.
            return Err(ResumeRefusal::Busy);
        }
        if count < self.before {
            return Err(ResumeRefusal::OverBound);
        }
        // What is not in Redis yet has not left.
        let sent = self.durable.as_ref().map_or(u64::MAX, |durable| durable.saved).min(self.total());
        if count > sent {
            return Err(ResumeRefusal::BadCount);
        }
        self.counted = count;
        while self.before < count {
            self.drop_first();
        }
        Ok(())
    }

    /// The frames, which are kept no longer, and what is counted.
    #[cfg(feature = "redis")]
    pub(super) fn take_all(&mut self) -> Kept {
        let (before, counted) = (self.before, self.counted);
        let frames: Vec<_> = std::mem::take(&mut self.frames).into();
        (self.bytes, self.unsent) = (0, Unsent::default());
        Kept { frames, before, counted }
    }

    /// Puts frames before those that are there. Those that are too many are dropped, the first ones first.
    pub(super) fn put_before(&mut self, kept: Kept) {
        let after = std::mem::take(&mut self.frames);
        (self.before, self.counted, self.bytes) = (kept.before, kept.counted, 0);
        kept.frames.into_iter().chain(after).for_each(|frame| self.push(frame));
    }

    /// Counts as unsent what was queued.
    pub(super) fn count_lost(&mut self, queue: &FrameQueue) {
        self.unsent.messages += queue.messages();
        self.unsent.bytes += queue.bytes();
    }
}

/// What a frame takes beside its bytes.
const FRAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kept: &mut Replay, lens: &[usize]) {
        lens.iter().for_each(|len| kept.push(Bytes::from(vec![0; *len])));
    }

    #[test]
    fn the_last_frames_are_kept_within_both_bounds() {
        let mut kept = Replay::new((3, 100));
        sent(&mut kept, &[10, 10, 10, 10]);
        assert_eq!((kept.frames.len(), kept.before, kept.bytes), (3, 1, 30));
        sent(&mut kept, &[85]);
        assert_eq!((kept.frames.len(), kept.before, kept.bytes), (2, 3, 95));
        // One that is larger than the bound is not kept, nor is what was before it.
        sent(&mut kept, &[101]);
        assert_eq!((kept.frames.len(), kept.before, kept.bytes), (0, 6, 0));
    }

    #[test]
    fn what_the_peer_has_is_forgotten() {
        let mut kept = Replay::new((3, 100));
        sent(&mut kept, &[1, 2, 3, 4, 5]);
        assert_eq!(kept.forget(1), Err(ResumeRefusal::OverBound));
        assert_eq!(kept.forget(2), Ok(()));
        assert_eq!(kept.frames.len(), 3);
        assert_eq!(kept.forget(4), Ok(()));
        assert_eq!((kept.frames.len(), kept.bytes), (1, 5));
        assert_eq!(kept.forget(3), Err(ResumeRefusal::Busy));
        assert_eq!(kept.forget(6), Err(ResumeRefusal::BadCount));
        assert_eq!(
            (kept.forget(5), kept.bytes, kept.forget(u64::MAX)),
            (Ok(()), 0, Err(ResumeRefusal::BadCount))
        );
    }
}
