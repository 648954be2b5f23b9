//! A read deadline of one connection: set by its handlers, kept by the sweeper.

use std::sync::atomic::{AtomicU64, Ordering};

/// A time of the server's clock, twice; 0: none. One more once what had arrived by then has been read.
#[derive(Default)]
pub(crate) struct ReadDeadline(pub(super) AtomicU64);

impl ReadDeadline {
    /// Returns what was set before.
    pub(super) fn set(&self, at: u64) -> u64 {
        self.0.swap(at.saturating_mul(2) & !LAST_READ, Ordering::Relaxed)
    }

    /// Moves what is set. What has arrived by then may be read again.
    pub(super) fn put_off(&self, by: u64) {
        let later = |at: u64| (at != 0).then(|| (at / 2).saturating_add(by).saturating_mul(2) & !LAST_READ);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    pub(super) const fn is_over(deadline: u64, now: u64) -> bool {
        deadline != 0 && now >= deadline / 2
    }
}

/// Whether a deadline has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    No,
    /// What has arrived by now may still be read.
    Yes,
    /// It has been read.
    LastRead,
}

pub(super) const LAST_READ: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_the_ends_of_the_clock_are_deadlines_too() {
        let deadline = ReadDeadline::default();
        for (at, now, is_over) in [(1, 1, true), (7, 6, false), (7, 7, true), (u64::MAX, u64::MAX / 4, false)]
        {
            let _ = deadline.set(at);
            assert_eq!(
                ReadDeadline::is_over(deadline.0.load(Ordering::Relaxed), now),
                is_over,
                "{at} at {now}"
            );
        }
        assert_ne!(deadline.set(7), 0);
        deadline.put_off(10);
        let later = deadline.0.load(Ordering::Relaxed);
        assert!(!ReadDeadline::is_over(later, 16) && ReadDeadline::is_over(later, 17));
        assert_ne!(deadline.set(0), 0);
        deadline.put_off(10);
        assert!(!ReadDeadline::is_over(deadline.0.load(Ordering::Relaxed), u64::MAX));
    }
}
