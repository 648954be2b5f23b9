//! After a burst, what it has left behind goes back to the system.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{buffers, memory};

/// Frees buffers that have not been needed since this was last called, and returns free memory to the system. On a thread of its
/// own, because it takes some milliseconds for each 100 MiB; other allocations may wait as long. If that
/// thread cannot be started, or one is running already, nothing happens: the next call does it.
pub(crate) fn give_memory_back() {
    if RUNNING.swap(true, Ordering::AcqRel) {
        return;
    }
    let started = std::thread::Builder::new().name("zinx-memory".to_string()).spawn(|| {
        buffers::free_unused();
        pause();
        memory::trim();
        RUNNING.store(false, Ordering::Release);
    });
    if started.is_err() {
        RUNNING.store(false, Ordering::Release);
    }
}

/// Until the workers that have nothing else to do have freed theirs.
#[expect(clippy::disallowed_methods, reason = "a thread of its own, that runs no coroutine")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

static RUNNING: AtomicBool = AtomicBool::new(false);
