//! Until when to wait: the one place where a duration becomes a time.
//!
//! A duration that the clock cannot reach, such as [`Duration::MAX`], means "forever"; zero means "at once". Nothing
//! here overflows.

use std::time::{Duration, Instant};

use super::timer::stood_still;
use crate::error::{Error, Result};
use crate::green::spawn::interrupt::is_unwinding;

/// Until when to wait. `None`: forever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(Option<Span>);

#[derive(Clone, Copy, Debug)]
struct Span {
    begun: Instant,
    end: Instant,
    /// How long the process had stood still when this began, if such time is left out.
    stood_still: Option<Duration>,
}

impl Span {
    fn end(&self) -> Instant {
        let since = self.stood_still.map_or(Duration::ZERO, |before| stood_still().saturating_sub(before));
        self.end.checked_add(since).unwrap_or(self.end)
    }
}

impl Until {
    pub(crate) fn after(timeout: Duration) -> Self {
        let begun = Instant::now();
        Self(begun.checked_add(timeout).map(|end| Span { begun, end, stood_still: None }))
    }

    /// As [`after`](Self::after), for what a peer is given: time in which the process does not run is left out, so the end
    /// may move. A waiter that wakes up looks whether it is over, and waits on if it is not.
    pub(crate) fn after_running(timeout: Duration) -> Self {
        let before = stood_still();
        Self(Self::after(timeout).0.map(|span| Span { stood_still: Some(before), ..span }))
    }

    /// As [`after`](Self::after); `None` is forever, and costs no look at the clock.
    pub(in crate::green) fn within(timeout: Option<Duration>) -> Self {
        timeout.map_or_else(Self::never, Self::after)
    }

    pub(crate) const fn never() -> Self {
        Self(None)
    }

    /// Whichever comes first.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(mine), Some(theirs)) if theirs.end() < mine.end() => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    /// Whichever comes last.
    pub(crate) fn later(self, other: Self) -> Self {
        match (self.end(), other.end()) {
            (Some(mine), Some(theirs)) if theirs > mine => other,
            (Some(_), None) => other,
            _ => self,
        }
    }

    pub(crate) fn end(self) -> Option<Instant> {
        self.0.as_ref().map(Span::end)
    }

    /// The end, for those who need a time: in a century if there is none.
    pub(crate) fn end_or_far(self) -> Instant {
        self.end().unwrap_or_else(|| Instant::now() + CENTURY)
    }

    /// How long is left; `None` is forever.
    pub(crate) fn left(self) -> Option<Duration> {
        self.end().map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// What to wait for at most: `None` once the time is up, `Some(None)` if there is no limit. While the caller is
    /// unwinding the time is always up.
    pub(in crate::green) fn to_wait(self) -> Option<Option<Duration>> {
        if is_unwinding() {
            return None;
        }
        match self.left() {
            Some(Duration::ZERO) => None,
            left => Some(left),
        }
    }

    pub(crate) fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// # Errors
    ///
    /// [`Error::TimedOut`] once it is over.
    pub(crate) fn check(self, what: &'static str) -> Result<()> {
        match self.0 {
            Some(span) if self.is_over() => Err(Error::TimedOut { what, waited: span.begun.elapsed() }),
            _ => Ok(()),
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clock_cannot_reach_is_for_ever() {
        for far in [Duration::MAX, Duration::MAX / 2, Duration::from_secs(i64::MAX as u64)] {
            let until = Until::after(far);
            assert_eq!((until.left(), until.to_wait()), (None, Some(None)), "{far:?}");
            assert!(!until.is_over() && until.check("wait").is_ok());
            assert!(until.end_or_far() > Instant::now() + CENTURY / 2);
        }
    }

    #[test]
    fn zero_is_over_at_once_and_the_earlier_end_counts() {
        let (at_once, later) = (Until::after(Duration::ZERO), Until::after(CENTURY));
        assert!(at_once.is_over() && at_once.to_wait().is_none());
        assert!(at_once.check("wait").is_err());
        for (one, other) in [(at_once, later), (later, at_once), (at_once, Until::never())] {
            assert!(one.or(other).is_over());
        }
        assert!(Until::never().or(later).to_wait().flatten() > Some(CENTURY / 2));
    }
}
