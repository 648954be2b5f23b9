//! The time that a server's connections go by: milliseconds since the server was made, without those in which the process
//! stood still. The sweeper reads the system's clock and stores it here, so that handling a message need not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::green::stood_still;

/// The clock of a server: milliseconds in which the process ran.
pub(crate) struct Clock {
    epoch: Instant,
    /// How long the process had stood still by then.
    stood_still: Duration,
    now: AtomicU64,
    /// No connection is over a limit of time before this, if nothing has begun since all were last looked at.
    due: AtomicU64,
    /// The same for what has begun since then.
    due_if_begun: AtomicU64,
    /// Something has.
    begun: AtomicBool,
    /// What it read when all connections were last looked at.
    looked: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            stood_still: stood_still(),
            now: AtomicU64::new(1),
            due: AtomicU64::new(0),
            due_if_begun: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            looked: AtomicU64::new(0),
        }
    }

    /// The last reading, never 0.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// What the clock reads from `at` on, never 0.
    pub(crate) fn reads_at(&self, at: Instant) -> u64 {
        let since = self.ran(at.saturating_duration_since(self.epoch));
        u64::try_from(since.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
    }

    /// Reads the monotonic clock.
    pub(crate) fn tick(&self) -> u64 {
        let ran = self.ran(self.epoch.elapsed());
        let now = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX).max(1);
        self.now.store(now, Ordering::Relaxed);
        now
    }

    /// Whether a connection may be over a limit of time. After a standstill the clock may go back once: what was due then is
    /// not known.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        let due_if_begun =
            || self.begun.load(Ordering::Acquire) && now >= self.due_if_begun.load(Ordering::Relaxed);
        now >= self.due.load(Ordering::Acquire) || due_if_begun() || now < self.looked.load(Ordering::Relaxed)
    }

    /// A connection may be over a limit of time by then, that was not before.
    pub(crate) fn due_by(&self, at: u64) {
        self.due.fetch_min(at, Ordering::AcqRel);
    }

    /// The time of a connection runs from now on that did not: a frame has begun, say. The caller has noted it.
    pub(crate) fn begins(&self) {
        // Not looked at first: either the next look at the connections sees what the caller has noted, or this follows it.
        self.begun.swap(true, Ordering::AcqRel);
    }

    /// All connections are about to be looked at; what begins from now on is over no limit before `at`. `begins`: something does,
    /// of which nobody tells.
    pub(crate) fn begin_look(&self, now: u64, at: u64, begins: bool) {
        self.looked.store(now, Ordering::Relaxed);
        self.due_if_begun.store(at, Ordering::Relaxed);
        // Whoever has set a time before this is seen by the look.
        self.due.swap(u64::MAX, Ordering::AcqRel);
        self.begun.swap(begins, Ordering::AcqRel);
    }

    /// A time since the epoch, without the time in which the process has stood still.
    fn ran(&self, since: Duration) -> Duration {
        since.saturating_sub(stood_still().saturating_sub(self.stood_still))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_where_nothing_has_begun() {
        let clock = Clock::new();
        assert!(clock.is_due(1), "before the first look");
        clock.begin_look(1, 100, false);
        assert!(!clock.is_due(1) && !clock.is_due(u64::MAX - 1));
        clock.begins();
        assert!(!clock.is_due(99) && clock.is_due(100));
        clock.due_by(50);
        assert!(!clock.is_due(49) && clock.is_due(50));
        clock.begin_look(200, 300, true);
        assert!(clock.is_due(199), "the clock has gone back");
        assert!(!clock.is_due(299) && clock.is_due(300));
    }
}
