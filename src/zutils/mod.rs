//! Ids that no other machine gives out, and a map that many may change at once.

mod shard_lock_maps;
pub use shard_lock_maps::ShardLockMaps;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Snowflake ids, laid out as Go Zinx's: milliseconds since 1970, 10 bits of worker, 12 bits counted within the
/// millisecond; they fit a signed 64-bit number until 2039. Each is greater than the one before, even if the clock is set back, and even if more than 4096 are
/// asked for in a millisecond: the next millisecond is then begun early.
///
/// # Examples
///
/// ```
/// use zinx::zutils::IdWorker;
///
/// let ids = IdWorker::new(7)?;
/// let (first, second) = (ids.next_id(), ids.next_id());
/// assert!(first < second);
/// assert_eq!(IdWorker::worker_of(first), 7);
/// # Ok::<(), zinx::Error>(())
/// ```
#[derive(Debug)]
pub struct IdWorker {
    worker: u64,
    /// Milliseconds and count of the last id, without the worker between them.
    last: AtomicU64,
}

impl IdWorker {
    /// Ids of the worker with this number, 0 to 1023: each process that gives out ids has another.
    ///
    /// # Errors
    ///
    /// Where the number is greater than 1023.
    #[doc(alias = "NewIDWorker")]
    pub fn new(worker: u64) -> Result<Self> {
        if worker >= 1 << WORKER_BITS {
            return Err(Error::other(format!("worker {worker} is greater than 1023")));
        }
        Ok(Self { worker, last: AtomicU64::new(0) })
    }

    /// The next id. From any coroutine or thread, without waiting.
    #[doc(alias = "NextID")]
    pub fn next_id(&self) -> u64 {
        let now = unix_millis(SystemTime::now()) << COUNT_BITS;
        let next = |last: u64| (last + 1).max(now);
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        let id = next(last.unwrap_or_else(|last| last));
        let (millis, count) = (id >> COUNT_BITS, id & ((1 << COUNT_BITS) - 1));
        millis << (COUNT_BITS + WORKER_BITS) | self.worker << COUNT_BITS | count
    }

    /// The worker that gave out an id.
    pub const fn worker_of(id: u64) -> u64 {
        id >> COUNT_BITS & ((1 << WORKER_BITS) - 1)
    }
}

/// Milliseconds since 1970, in UTC; 0 before.
pub(crate) fn unix_millis(at: SystemTime) -> u64 {
    let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

const WORKER_BITS: u32 = 10;
const COUNT_BITS: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_many_threads_are_unique_and_of_their_worker() {
        let ids = IdWorker::new(1023).unwrap();
        let given: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..20_000).map(|_| ids.next_id()).collect())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(given.iter().all(|ids| ids.is_sorted()));
        let mut all = given.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80_000);
        assert!(all.iter().all(|id| IdWorker::worker_of(*id) == 1023 && *id < 1 << 63));
    }

    #[test]
    fn an_id_tells_its_millisecond() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let id = IdWorker::new(0).unwrap().next_id();
        let made = id >> (COUNT_BITS + WORKER_BITS);
        assert!((before..before + 10_000).contains(&made));
    }

    #[test]
    fn a_worker_beyond_ten_bits_is_an_error() {
        assert_eq!(IdWorker::new(1024).unwrap_err().to_string(), "worker 1024 is greater than 1023");
    }
}
