//! Log lines that a peer can cause: at most one a second, with the number left out.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets one log line a second pass.
pub(crate) struct Throttle {
    /// The second, counted from 1, in which the last line passed.
    second: AtomicU64,
    left_out: AtomicU64,
}

/// How many lines were left out before one that passes; prints nothing for none.
pub(crate) struct LeftOut(u64);

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self { second: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// `Some` where a line may be logged now.
    pub(crate) fn pass(&self) -> Option<LeftOut> {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let second = EPOCH.get_or_init(Instant::now).elapsed().as_secs() + 1;
        if self.second.swap(second, Ordering::Relaxed) == second {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(LeftOut(self.left_out.swap(0, Ordering::Relaxed)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " (and {} more like it)", self.0) }
    }
}
