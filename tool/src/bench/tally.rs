//! What is counted: how many answers, after how long, and what failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use zinx::green::{self, Event};

pub(super) struct Tally {
    /// Several, so that connections seldom meet.
    latencies: Vec<Mutex<Histogram<u64>>>,
    is_open_loop: bool,
    base: Instant,
    /// When the measured time begins and ends, in nanoseconds since `base`.
    from: AtomicU64,
    until: AtomicU64,
    answered: AtomicU64,
    started: Event,
    is_over: AtomicBool,
    /// Connections that are open.
    open: AtomicU64,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn new(is_open_loop: bool) -> Self {
        Self {
            latencies: (0..SHARDS).map(|_| Mutex::new(histogram())).collect(),
            is_open_loop,
            base: Instant::now(),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            answered: AtomicU64::new(0),
            started: Event::new(),
            is_over: AtomicBool::new(false),
            open: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            first_failure: Mutex::new(None),
        }
    }

    /// All connections are there: lets them send.
    pub(super) fn begin(&self) {
        self.started.set();
    }

    pub(super) fn wait_begun(&self) {
        self.started.wait();
    }

    pub(super) fn measure_from(&self, now: Instant) {
        self.from.store(self.nanos(now), Ordering::Release);
    }

    /// Ends the measured time; how long it was.
    pub(super) fn end(&self) -> Duration {
        let until = self.nanos(Instant::now());
        self.until.store(until, Ordering::Release);
        self.is_over.store(true, Ordering::Release);
        Duration::from_nanos(until - self.from.load(Ordering::Acquire))
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Counts answers that came now to messages that were due at these times. In a closed loop, those count that come within the
    /// measured time; in an open one, those that were due in it. Returns how many.
    pub(super) fn note(&self, shard: u32, due: impl Iterator<Item = Instant>, now: Instant) -> u64 {
        let (from, until) = (self.from.load(Ordering::Acquire), self.until.load(Ordering::Acquire));
        let mut latencies = self.shard(shard);
        let (mut count, mut noted) = (0, 0);
        for due in due {
            count += 1;
            let at = self.nanos(if self.is_open_loop { due } else { now });
            if (from..until).contains(&at) {
                let took = u64::try_from(now.saturating_duration_since(due).as_nanos()).unwrap_or(u64::MAX);
                latencies.saturating_record(took.max(1));
                noted += 1;
            }
        }
        drop(latencies);
        self.answered.fetch_add(count, Ordering::Relaxed);
        noted
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has ended; a fault unless we ended it.
    pub(super) fn closed(&self, why: impl FnOnce() -> String) {
        if !self.is_over() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(why);
        }
        self.open.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn wait_closed(&self, patience: Duration) {
        let begun = Instant::now();
        while self.open.load(Ordering::Acquire) > 0 && begun.elapsed() < patience {
            green::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All latencies, in nanoseconds.
    pub(super) fn latencies(&self) -> Histogram<u64> {
        let mut all = histogram();
        for shard in 0..SHARDS {
            // They are alike.
            let _ = all.add(&*self.shard(shard));
        }
        all
    }

    fn shard(&self, shard: u32) -> MutexGuard<'_, Histogram<u64>> {
        let place = &self.latencies[(shard % SHARDS) as usize];
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// From a nanosecond to an hour, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are right")
}

const LONGEST: u64 = 3_600_000_000_000;
const SHARDS: u32 = 8;
