//! How often each route has run, and how long its handlers took. Counted only while there is an admin plane.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::lock::Lock;

/// The routes of a server, by message id, and the messages that have none.
pub(crate) struct RouteStats {
    /// Sorted by id.
    routes: Vec<(u32, RouteStat)>,
    unknown: RouteStat,
    slow: Lock<Vec<Slow>>,
}

/// What is counted of one route.
#[derive(Default)]
pub(crate) struct RouteStat {
    errors: AtomicU64,
    panics: AtomicU64,
    took: Durations,
}

/// How long something took, each time.
#[derive(Default)]
pub(crate) struct Durations {
    nanos: AtomicU64,
    slowest: AtomicU64,
    /// How many took no longer than each of [`BOUNDS`] and longer than the one before; the last: longer than all.
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

/// A handler that took long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    pub(crate) conn_id: u64,
    pub(crate) msg_id: u32,
    pub(crate) took: Duration,
    /// When it ended, by the clock of the server.
    pub(crate) ended: u64,
}

impl RouteStats {
    /// Of routes with these ids, in order.
    pub(crate) fn new(ids: impl Iterator<Item = u32>) -> Self {
        let routes = ids.map(|id| (id, RouteStat::default())).collect();
        Self { routes, unknown: RouteStat::default(), slow: Lock::default() }
    }

    /// The route of a message id; the one for all others if it has none.
    pub(crate) fn of(&self, msg_id: u32) -> &RouteStat {
        let at = self.routes.binary_search_by_key(&msg_id, |(id, _)| *id);
        at.ok().and_then(|at| self.routes.get(at)).map_or(&self.unknown, |(_, stat)| stat)
    }

    /// Notes a handler, if it took long.
    pub(crate) fn note_slow(&self, slow: Slow) {
        if slow.took < SLOW {
            return;
        }
        let mut all = self.slow.lock();
        if all.len() >= MOST_SLOW {
            // The oldest half: the list is short again for a while.
            all.drain(..MOST_SLOW / 2);
        }
        all.push(slow);
    }
}

impl RouteStats {
    /// All routes with their ids, in order.
    pub(crate) fn all(&self) -> &[(u32, RouteStat)] {
        &self.routes
    }

    /// What is counted of messages that have no route.
    pub(crate) const fn unknown(&self) -> &RouteStat {
        &self.unknown
    }

    /// The last handlers that took long, oldest first.
    pub(crate) fn slow(&self) -> Vec<Slow> {
        self.slow.lock().clone()
    }
}

impl Durations {
    /// Notes that `count` of them took so long each.
    pub(crate) fn record(&self, took: Duration, count: u64) {
        self.record_nanos(nanos(took), count);
    }

    fn record_nanos(&self, nanos: u64, count: u64) {
        let at = BOUNDS.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos.saturating_mul(count), Ordering::Relaxed);
        // Nearly always it is not: a look costs less than an attempt.
        if self.slowest.load(Ordering::Relaxed) < nanos {
            self.slowest.fetch_max(nanos, Ordering::Relaxed);
        }
    }
}

impl RouteStat {
    /// Notes that `count` messages took so long each.
    pub(crate) fn record(&self, took: Duration, count: u64) {
        self.took.record(took, count);
    }

    /// Notes that `count` messages, of which there is one at least, took so long together. Returns the mean.
    pub(crate) fn record_together(&self, took: Duration, count: u64) -> Duration {
        // Dividing a `Duration` takes several times as long as dividing a number.
        let mean = nanos(took) / count.max(1);
        self.took.record_nanos(mean, count);
        Duration::from_nanos(mean)
    }

    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a route has counted by now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
    pub(crate) errors: u64,
    pub(crate) panics: u64,
    pub(crate) seconds: f64,
    pub(crate) slowest_seconds: f64,
    /// Each bound in seconds, the last without end, and how many took no longer than it but longer than the one before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl RouteStat {
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            errors: self.errors.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            ..self.took.counted()
        }
    }
}

impl Durations {
    pub(crate) fn counted(&self) -> Counted {
        let bounds = BOUNDS.iter().map(|nanos| seconds(*nanos)).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        Counted {
            messages: buckets.iter().map(|(_, count)| count).sum(),
            seconds: seconds(self.nanos.load(Ordering::Relaxed)),
            slowest_seconds: seconds(self.slowest.load(Ordering::Relaxed)),
            buckets,
            ..Counted::default()
        }
    }
}

impl Counted {
    /// Adds what another route has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.errors += other.errors;
        self.panics += other.panics;
        self.seconds += other.seconds;
        self.slowest_seconds = self.slowest_seconds.max(other.slowest_seconds);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// The bound that so large a part took no longer than, in seconds; for those beyond the last bound, the slowest of all.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.messages as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bound, count) in &self.buckets {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return bound.min(self.slowest_seconds);
            }
        }
        0.0
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

const fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// In nanoseconds: from a microsecond to ten seconds.
const BOUNDS: [u64; 15] = [
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// What takes this long is noted one by one.
const SLOW: Duration = Duration::from_millis(10);

/// How many of those are kept.
const MOST_SLOW: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_in_its_bucket_and_the_quantiles_find_it() {
        let stats = RouteStats::new([3, 7].into_iter());
        stats.of(3).record(Duration::from_nanos(900), 98);
        stats.of(3).record(Duration::from_millis(3), 1);
        stats.of(3).record(Duration::from_secs(60), 1);
        let counted = stats.of(3).counted();
        assert_eq!(counted.messages, 100);
        assert_eq!(counted.buckets[0], (1e-6, 98));
        assert_eq!((counted.buckets[7], counted.buckets[15]), ((5e-3, 1), (f64::INFINITY, 1)));
        assert!((counted.seconds - 60.003_088_2).abs() < 1e-6, "{}", counted.seconds);
        let quantiles = [0.5, 0.98, 0.99, 1.0].map(|part| counted.quantile(part));
        assert_eq!(quantiles, [1e-6, 1e-6, 5e-3, 60.0]);
        assert_eq!(stats.of(7).counted().quantile(0.5), 0.0);
        let mut sum = stats.of(7).counted();
        sum.add(&counted);
        assert_eq!((sum.messages, stats.of(4).counted().messages), (100, 0));
    }

    #[test]
    fn of_many_slow_ones_the_last_are_kept() {
        let stats = RouteStats::new(std::iter::empty());
        let slow =
            |conn_id, millis| Slow { conn_id, msg_id: 1, took: Duration::from_millis(millis), ended: 0 };
        stats.note_slow(slow(0, 9));
        (0..5000).for_each(|id| stats.note_slow(slow(id, 10)));
        let kept = stats.slow();
        assert!(kept.len() >= MOST_SLOW / 2 && kept.len() <= MOST_SLOW, "{}", kept.len());
        assert_eq!(kept.last().unwrap().conn_id, 4999);
    }
}
