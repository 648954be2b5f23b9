//! The allocator gives memory back to the system after a burst, and not before.
//!
//! The allocator of glibc starts with two thresholds of 128 KiB: a larger block has a map of its own, which its end gives back, and so
//! much may be free at the end of a heap. Then a server that sends large messages has the system map and clear each of them, which takes as
//! long as to write it, and the others of its worker wait. Here both are as large as glibc itself lets them grow. So what was freed stays,
//! until memory is given back after a burst: for that time the second threshold is small again, and what blocks have left behind elsewhere
//! `malloc_trim` returns. A program with another allocator loses nothing, nor does one that was started with thresholds of its own.

use std::sync::atomic::{AtomicBool, Ordering};

/// Fixes the thresholds of the allocator. Call it once, before the first coroutine.
pub(super) fn fix_thresholds() {
    let is_set = |name| std::env::var_os(name).is_some();
    if ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"].into_iter().any(is_set) {
        return;
    }
    IS_OURS.store(true, Ordering::Relaxed);
    #[cfg(target_env = "gnu")]
    set(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
    keep_much();
}

/// From now on what is free at the end of a heap goes back.
pub(super) fn keep_little() {
    if IS_OURS.load(Ordering::Relaxed) {
        #[cfg(target_env = "gnu")]
        set(libc::M_TRIM_THRESHOLD, KEPT_LITTLE_BYTES);
    }
}

/// From now on it stays.
pub(super) fn keep_much() {
    if IS_OURS.load(Ordering::Relaxed) {
        #[cfg(target_env = "gnu")]
        set(libc::M_TRIM_THRESHOLD, 2 * MAPPED_BYTES);
    }
}

#[cfg(target_env = "gnu")]
fn set(parameter: libc::c_int, bytes: libc::c_int) {
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `mallopt` has no precondition: it takes the lock of the allocator, and changes only from which size on a
    // block gets a map of its own, and how much free memory is kept.
    unsafe {
        libc::mallopt(parameter, bytes);
    }
}

/// Returns free memory to the system. What this leaves at the end of a thread's heap [`trim_own_heap`] returns.
#[cfg(target_env = "gnu")]
pub(super) fn trim() {
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `malloc_trim` has no precondition: it takes the locks of the allocator itself, may be called from any thread at
    // any time, and touches only pages that hold no block in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns free memory at the end of the heap that this thread takes blocks from. Here `malloc_trim` may have joined it from
/// small blocks and large ones, and leaves it: only the end of a large block has the allocator look.
#[cfg(target_env = "gnu")]
pub(super) fn trim_own_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LOOKED_AT_BYTES)));
}

#[cfg(not(target_env = "gnu"))]
pub(super) const fn trim_own_heap() {}

#[cfg(not(target_env = "gnu"))]
pub(super) const fn trim() {}

/// The thresholds are ours to change: no one has set them before the program was started.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// From this size on a block has a map of its own: `DEFAULT_MMAP_THRESHOLD_MAX` of glibc.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: libc::c_int = 32 << 20;

/// What glibc starts with.
#[cfg(target_env = "gnu")]
const KEPT_LITTLE_BYTES: libc::c_int = 128 << 10;

/// `FASTBIN_CONSOLIDATION_THRESHOLD` of glibc is 64 KiB: from that on a free block has it look.
#[cfg(target_env = "gnu")]
const LOOKED_AT_BYTES: usize = 96 * 1024;

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process and a thread of its own, that run no coroutine")]
    fn what_is_free_at_the_end_of_a_heap_goes_back_too() {
        const CHILD: &str = "ZINX_TEST_MEMORY_CHILD";
        if std::env::var_os(CHILD).is_some() {
            return std::thread::spawn(fill_and_trim).join().unwrap();
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "green::runtime::memory::tests::what_is_free_at_the_end_of_a_heap_goes_back_too";
        let status = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").status().unwrap();
        assert!(status.success(), "{status}");
    }

    fn fill_and_trim() {
        fix_thresholds();
        keep_little();
        // Of the small blocks the thread itself keeps seven, and the allocator the others, not joined with what is free beside them.
        let small = |_| Box::new([1_u8; 64]);
        let kept_by_thread: [_; 7] = std::array::from_fn(small);
        let large: Vec<_> = (0..100).map(|_| vec![1_u8; 100 << 10]).collect();
        let behind: [_; 1000] = std::array::from_fn(small);
        let all = resident_kib();
        drop((kept_by_thread, large, behind));
        trim();
        let trimmed = resident_kib();
        assert!(trimmed + 5000 > all, "{trimmed} KiB of {all}: nothing was left");
        trim_own_heap();
        let at_last = resident_kib();
        assert!(at_last + 9000 < trimmed, "{at_last} KiB of {trimmed} stay");
    }

    /// Looks without a block on the heap, whose end would have the allocator look.
    fn resident_kib() -> usize {
        let mut text = [0; 128];
        let len = std::fs::File::open("/proc/self/statm").unwrap().read(&mut text).unwrap();
        let pages = std::str::from_utf8(&text[..len]).unwrap().split(' ').nth(1).unwrap();
        pages.parse::<usize>().unwrap() * rustix::param::page_size() / 1024
    }
}
