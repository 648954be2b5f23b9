//! Memory goes back to the system after a burst.
//!
//! The allocator of glibc keeps what is freed: blocks behind the last one in use, and, once large blocks have been freed, also
//! large ones, because it raises the size from which a block gets a map of its own. So after a burst a server would keep
//! its peak for ever. `malloc_trim` gives back every free page, whatever the size of the blocks was. A program with another
//! allocator loses nothing: then there is little to give back here.

use std::sync::atomic::{AtomicBool, Ordering};

use super::buffers;

/// Frees buffers that nobody has needed since this was last called, and returns free memory to the system. On a thread of its
/// own, because it takes some milliseconds for each 100 MiB; who allocates meanwhile may wait as long. Where that
/// thread cannot be started, or one is at it already, nothing happens: the next time will do.
pub(crate) fn give_memory_back() {
    if RUNNING.swap(true, Ordering::AcqRel) {
        return;
    }
    let started = std::thread::Builder::new().name("zinx-memory".to_string()).spawn(|| {
        buffers::free_unused();
        trim();
        RUNNING.store(false, Ordering::Release);
    });
    if started.is_err() {
        RUNNING.store(false, Ordering::Release);
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `malloc_trim` has no precondition: it takes the locks of the allocator itself, may be called from any thread at
    // any time, and touches only pages that hold no block in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
const fn trim() {}

static RUNNING: AtomicBool = AtomicBool::new(false);
