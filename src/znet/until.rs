//! Until when to wait.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    begun: Instant,
    /// `None`: for ever.
    end: Option<Instant>,
}

impl Until {
    pub(crate) fn after(timeout: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, end: begun.checked_add(timeout) }
    }

    pub(crate) fn at(end: Instant) -> Self {
        Self { begun: Instant::now(), end: Some(end) }
    }

    pub(crate) fn never() -> Self {
        Self { begun: Instant::now(), end: None }
    }

    /// Whichever comes first.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self.end, other.end) {
            (Some(mine), Some(theirs)) if theirs < mine => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    pub(crate) const fn end(self) -> Option<Instant> {
        self.end
    }

    /// How long is left; `None` is for ever.
    pub(crate) fn left(self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// # Errors
    ///
    /// [`Error::TimedOut`] once it is over.
    pub(crate) fn check(self, what: &'static str) -> Result<()> {
        match self.left() {
            Some(Duration::ZERO) => Err(Error::TimedOut { what, waited: self.begun.elapsed() }),
            _ => Ok(()),
        }
    }
}
