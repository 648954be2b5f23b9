//! The ledger: how much memory the peers of a server make it hold, by kind, under one bound for all.
//!
//! What is held for a peer has a [`Share`], which asks the ledger before it grows and gives back what it was
//! granted. Shares grow in steps, so a message seldom touches the ledger, and the first [`FREE_BYTES`] of each are free.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::green::small_read_buffer_bytes;
use crate::lock::Lock;

/// What is held for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frames that wait to be sent.
    Queued,
    /// Frames of broadcasts, shared by all queues they are in.
    Shared,
    /// Frames kept until the peer has counted them, where it can resume.
    Resume,
    /// Messages read ahead and kept for handlers.
    Replay,
    /// Frames that have begun to arrive, and large ones until they are handled.
    Arriving,
    /// Requests that wait to be handled.
    Tasks,
    /// Messages whose senders wait for room.
    Waiting,
}

/// Bytes that the peers of a server make it hold, by kind. The first 4 KiB of each kind and connection are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HeldBytes {
    /// Frames that wait to be sent.
    pub queued: usize,
    /// Frames of broadcasts from 16 KiB on. Each counts once, however many queues it is in.
    pub broadcasts: usize,
    /// Frames kept for peers that may resume.
    pub resume: usize,
    /// Messages kept for handlers that wait for others.
    pub kept: usize,
    /// Frames of which a part has arrived, and large ones until they are handled.
    pub arriving: usize,
    /// Requests that wait for a worker.
    pub tasks: usize,
    /// Messages whose senders wait for room. When the bound is reached, they may be a quarter of it beyond it, or one message
    /// if that is larger.
    pub waiting: usize,
    /// Small read buffers, held by handlers that wait. Those of all servers of the process.
    pub read_buffers: usize,
}

impl HeldBytes {
    /// All kinds together: what `MaxQueuedBytes` bounds, except for the quarter that `waiting` may be beyond it.
    pub const fn total(&self) -> usize {
        let sent = self.queued + self.broadcasts + self.resume + self.waiting;
        sent + self.kept + self.arriving + self.tasks + self.read_buffers
    }
}

/// What all peers of a server have been granted.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// `MaxQueuedBytes`.
    most: AtomicUsize,
    all: AtomicUsize,
    by_kind: [AtomicUsize; KINDS],
    /// What senders hold beyond the bound while they wait.
    overdrawn: AtomicUsize,
    /// What senders hold while they wait for what is about to be given back.
    claimed: AtomicUsize,
    peak: AtomicUsize,
    /// The same, since it was last asked for.
    recent: AtomicUsize,
    /// From when on it makes sense to look for a connection to evict, by which may be, in milliseconds of the server's clock.
    look_from: [AtomicU64; 3],
    looking: Lock<()>,
}

impl Ledger {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: AtomicUsize::new(most),
            all: AtomicUsize::new(0),
            by_kind: Default::default(),
            overdrawn: AtomicUsize::new(0),
            claimed: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            recent: AtomicUsize::new(0),
            look_from: Default::default(),
            looking: Lock::new(()),
        }
    }

    /// The bound.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Sets the bound. If more is held already, nothing is granted until it is not.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// What is held now.
    pub(crate) fn held(&self) -> HeldBytes {
        let now = |held: &AtomicUsize| held.load(Ordering::Relaxed);
        let of = |kind: Kind| now(&self.by_kind[kind as usize]);
        HeldBytes {
            queued: of(Kind::Queued),
            broadcasts: of(Kind::Shared),
            resume: of(Kind::Resume),
            kept: of(Kind::Replay),
            arriving: of(Kind::Arriving),
            tasks: of(Kind::Tasks),
            waiting: of(Kind::Waiting) + now(&self.overdrawn) + now(&self.claimed),
            read_buffers: small_read_buffer_bytes(),
        }
    }

    /// The most that was ever held at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The most that was held at once since this was last called.
    pub(crate) fn take_recent_peak(&self) -> usize {
        self.recent.swap(self.all.load(Ordering::Relaxed), Ordering::Relaxed)
    }

    /// How many bytes too many there would be with so many more, in the steps in which they are granted.
    pub(crate) fn missing(&self, more: usize) -> usize {
        let held = self.all.load(Ordering::Relaxed) + self.claimed.load(Ordering::Relaxed);
        (held + small_read_buffer_bytes() + more.next_multiple_of(MIN_STEP)).saturating_sub(self.limit())
    }

    /// Takes the only right to look for a connection to evict, if that makes sense `now`.
    pub(crate) fn look(&self, whom: usize, now: u64) -> Option<MutexGuard<'_, ()>> {
        let looking = self.looking.lock();
        (now >= self.look_from[whom].load(Ordering::Relaxed)).then_some(looking)
    }

    /// No one may look for these before `then`.
    pub(crate) fn look_again(&self, whom: usize, then: u64) {
        self.look_from[whom].store(then, Ordering::Relaxed);
    }

    /// Lets a sender that waits hold so many bytes beyond the bound. `false` if others do so already, and it would be more
    /// than a quarter of the bound.
    pub(super) fn overdraw(&self, bytes: usize) -> bool {
        let add = |held: usize| self.may_overdraw(held, bytes).then_some(held + bytes);
        self.overdrawn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Whether [`overdraw`](Self::overdraw) would succeed.
    pub(super) fn can_overdraw(&self, bytes: usize) -> bool {
        self.may_overdraw(self.overdrawn.load(Ordering::Relaxed), bytes)
    }

    fn may_overdraw(&self, held: usize, bytes: usize) -> bool {
        held == 0 || held + bytes <= self.limit() / OVERDRAFT
    }

    /// Gives back what was overdrawn.
    pub(super) fn pay_back(&self, bytes: usize) {
        self.overdrawn.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Lets a sender that waits hold so many bytes for which there is room as soon as so many others are given back. `false` if
    /// others wait for those already.
    pub(super) fn claim(&self, bytes: usize, leaving: usize) -> bool {
        let add = |held: usize| {
            let all = self.all.load(Ordering::Relaxed) + small_read_buffer_bytes();
            (all + held + bytes <= self.limit() + leaving).then_some(held + bytes)
        };
        self.claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Gives back what was claimed.
    pub(super) fn unclaim(&self, bytes: usize) {
        self.claimed.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn grant(&self, kind: Kind, bytes: usize) -> bool {
        let all = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all + small_read_buffer_bytes() > self.limit() {
            self.all.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.by_kind[kind as usize].fetch_add(bytes, Ordering::Relaxed);
        if all > self.recent.load(Ordering::Relaxed) {
            self.recent.fetch_max(all, Ordering::Relaxed);
            self.peak.fetch_max(all, Ordering::Relaxed);
        }
        true
    }

    fn give_back(&self, kind: Kind, bytes: usize) {
        if bytes > 0 {
            self.by_kind[kind as usize].fetch_sub(bytes, Ordering::Relaxed);
            self.all.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// One step is always possible: a small frame fits a server whose bound is smaller.
    fn limit(&self) -> usize {
        self.most().max(MAX_STEP)
    }
}

/// What one holder has been granted. Its owner gives it back before it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share(usize);

impl Share {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    pub(crate) const fn granted(&self) -> usize {
        self.0
    }

    /// Grows to cover so many bytes, of which the first [`FREE_BYTES`] are free. `false` if the bound is reached.
    pub(crate) fn cover(&mut self, ledger: &Ledger, kind: Kind, bytes: usize) -> bool {
        let needed = bytes.saturating_sub(FREE_BYTES);
        if needed <= self.0 {
            return true;
        }
        let missing = (needed - self.0).next_multiple_of(MIN_STEP);
        // In larger steps the larger it is: never much more than twice what is needed.
        let step = missing.max(self.0.clamp(MIN_STEP, MAX_STEP));
        let granted = [step, missing].into_iter().find(|&step| ledger.grant(kind, step));
        self.0 += granted.unwrap_or(0);
        granted.is_some()
    }

    /// Gives back what is granted far beyond so many bytes.
    pub(crate) fn shrink_to(&mut self, ledger: &Ledger, kind: Kind, bytes: usize) {
        let needed = bytes.saturating_sub(FREE_BYTES).next_multiple_of(MIN_STEP);
        if self.0 > 2 * needed {
            ledger.give_back(kind, self.0 - needed);
            self.0 = needed;
        }
    }

    /// Gives all back.
    pub(crate) fn give_back(&mut self, ledger: &Ledger, kind: Kind) {
        ledger.give_back(kind, std::mem::take(&mut self.0));
    }
}

/// Bytes of each kind that a connection holds without asking, so that a flood to some leaves the others a voice.
pub(crate) const FREE_BYTES: usize = 4 * 1024;

/// What a share asks for at once.
const MIN_STEP: usize = 4 * 1024;
const MAX_STEP: usize = 64 * 1024;

/// The part of the bound that senders who wait may hold beyond it.
const OVERDRAFT: usize = 4;

const KINDS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_covers_what_it_holds_and_not_much_more() {
        let (ledger, mut share) = (Ledger::new(1 << 30), Share::default());
        assert!(share.cover(&ledger, Kind::Replay, FREE_BYTES));
        assert_eq!(ledger.held(), HeldBytes::default());
        for bytes in (FREE_BYTES + 1..2 << 20).step_by(777) {
            assert!(share.cover(&ledger, Kind::Replay, bytes));
            let needed = bytes - FREE_BYTES;
            assert!((needed..=2 * needed + MIN_STEP).contains(&share.granted()), "{bytes}");
            assert_eq!(ledger.held().kept, share.granted());
        }
        share.shrink_to(&ledger, Kind::Replay, 100_000);
        assert!((95_904..110_000).contains(&ledger.held().total()));
        share.give_back(&ledger, Kind::Replay);
        assert_eq!((share.granted(), ledger.held()), (0, HeldBytes::default()));
        assert!(ledger.peak() > 2_000_000);
    }

    #[test]
    fn at_the_bound_nothing_more_is_granted_until_some_is_given_back() {
        let (ledger, mut one, mut other) = (Ledger::new(1 << 20), Share::default(), Share::default());
        assert!(one.cover(&ledger, Kind::Queued, 1_000_000));
        assert!(!other.cover(&ledger, Kind::Replay, 100_000));
        assert!(other.cover(&ledger, Kind::Replay, 40_000), "exactly what is missing still fits");
        assert!(ledger.missing(100_000) > 0);
        one.give_back(&ledger, Kind::Queued);
        assert!(other.cover(&ledger, Kind::Replay, 100_000));
        assert_eq!(ledger.held().queued, 0);
    }

    #[test]
    fn who_waits_may_overdraw_by_a_quarter_or_by_one_message() {
        let ledger = Ledger::new(1 << 20);
        assert!(ledger.overdraw(200_000) && !ledger.overdraw(100_000) && ledger.overdraw(60_000));
        assert_eq!((ledger.held().waiting, ledger.missing(0)), (260_000, 0));
        ledger.pay_back(200_000);
        ledger.pay_back(60_000);
        assert!(ledger.overdraw(1 << 20) && !ledger.overdraw(1), "one may be of any size");
    }

    #[test]
    fn what_is_not_missing_is_granted() {
        let (ledger, mut most) = (Ledger::new(1 << 20), Share::default());
        assert!(most.cover(&ledger, Kind::Queued, 900_000));
        for bytes in 100_000..160_000 {
            let mut share = Share::default();
            assert!(share.cover(&ledger, Kind::Resume, FREE_BYTES + 1));
            let (is_missing, all) = (ledger.missing(bytes) > 0, share.granted() + FREE_BYTES + bytes);
            assert!(is_missing || share.cover(&ledger, Kind::Resume, all), "{bytes}");
            share.give_back(&ledger, Kind::Resume);
        }
    }

    #[test]
    fn the_place_of_what_is_leaving_may_be_claimed_once() {
        let (ledger, mut share) = (Ledger::new(1 << 20), Share::default());
        assert!(share.cover(&ledger, Kind::Queued, 1_000_000) && !ledger.claim(500_000, 0));
        let claim = |bytes| ledger.claim(bytes, share.granted());
        assert!(claim(500_000) && claim(400_000) && !claim(200_000));
        assert_eq!((ledger.held().waiting, ledger.missing(0) > 0), (900_000, true));
        share.give_back(&ledger, Kind::Queued);
        assert!(ledger.missing(0) == 0 && !ledger.claim(200_000, 0) && ledger.claim(100_000, 0));
        ledger.unclaim(1_000_000);
        assert_eq!(ledger.held(), HeldBytes::default());
    }

    #[test]
    fn a_bound_smaller_than_a_step_still_lets_a_small_frame_through() {
        let (ledger, mut share) = (Ledger::new(1), Share::default());
        assert!(share.cover(&ledger, Kind::Queued, 60_000));
        assert!(!share.cover(&ledger, Kind::Queued, 80_000));
    }
}
