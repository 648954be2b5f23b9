//! What workers do, in figures, for metrics.

#[cfg(feature = "admin")]
use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "admin")]
use std::time::Duration;

#[cfg(feature = "admin")]
use super::awaits;
#[cfg(feature = "admin")]
use crate::longest::Longest;

/// The turns of a worker, while waits are timed. Written by it alone.
#[cfg(feature = "admin")]
pub(super) struct TimedTurns {
    /// The thread, as the system knows it.
    thread: i32,
    /// When the turn that runs began; 0 while none does.
    since: AtomicU32,
    longest: Longest,
}

/// What is known of a worker.
#[cfg(feature = "admin")]
pub(crate) struct WorkerFigures {
    pub(crate) worker: usize,
    /// The thread, as the system knows it.
    pub(crate) thread: i32,
    /// The longest turn of the last minute, to the millisecond; one that runs counts too.
    pub(crate) longest_turn: Duration,
}

#[cfg(feature = "admin")]
impl TimedTurns {
    /// Those of the thread that calls.
    pub(super) fn here() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        Self { thread, since: AtomicU32::new(0), longest: Longest::new() }
    }

    #[inline]
    pub(super) fn begin(&self, now: u32) {
        self.since.store(now, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn end(&self, now: u32) {
        let since = self.since.load(Ordering::Relaxed);
        if since != 0 {
            self.since.store(0, Ordering::Relaxed);
            if now > since {
                self.longest.note(now.into(), millis(now - since));
            }
        }
    }

    /// What is known of the worker with this number.
    pub(super) fn figures(&self, worker: usize) -> WorkerFigures {
        WorkerFigures { worker, thread: self.thread, longest_turn: self.longest() }
    }

    fn longest(&self) -> Duration {
        let (now, since) = (awaits::now(), self.since.load(Ordering::Relaxed));
        let running = if since == 0 { Duration::ZERO } else { millis(now.saturating_sub(since)) };
        self.longest.of_late(now.into()).max(running)
    }
}

#[cfg(feature = "admin")]
fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

/// How many rides others than their own worker have carried on, because that one was busy.
#[cfg(feature = "admin")]
pub(crate) fn stolen_rides() -> u64 {
    STOLEN.load(Ordering::Relaxed)
}

/// So many are carried on by another worker.
pub(super) fn count_stolen(rides: usize) {
    STOLEN.fetch_add(rides as u64, Ordering::Relaxed);
}

static STOLEN: AtomicU64 = AtomicU64::new(0);
