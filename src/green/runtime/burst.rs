//! After a burst, what it has left behind goes back to the system.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{buffers, memory};

/// Frees buffers that are not needed, and returns free memory to the system, now and [some times more](ROUNDS). On a thread of
/// its own, because it takes some milliseconds for each 100 MiB; other allocations may wait as long. If it is
/// called again meanwhile, that thread begins anew. If no thread can be started nothing happens: the next call does it.
pub(crate) fn give_memory_back() {
    if LEFT.swap(ROUNDS, Ordering::AcqRel) > 0 {
        return;
    }
    let started = std::thread::Builder::new().name("zinx-memory".to_string()).spawn(|| {
        loop {
            buffers::free_unused();
            pause(WORKERS_FREE);
            memory::trim();
            if LEFT.fetch_sub(1, Ordering::AcqRel) == 1 {
                return;
            }
            pause(BETWEEN);
        }
    });
    if started.is_err() {
        LEFT.store(0, Ordering::Release);
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, that runs no coroutine")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Rounds that are still to be made.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// The first one finds the buffers that the burst needed. The next one sees that they are not needed any more, and returns what
/// the first has joined at the end of each worker's heap. One more for a worker that had something else to do.
const ROUNDS: u32 = 3;

/// Until the workers that have nothing else to do have freed theirs.
const WORKERS_FREE: Duration = Duration::from_millis(50);

const BETWEEN: Duration = Duration::from_secs(1);
