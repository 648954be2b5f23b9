//! The allocator gives memory back to the system after a burst.
//!
//! The allocator of glibc keeps what is freed: once large blocks have been freed, it takes further ones of that size from its
//! heaps, and keeps up to 64 MiB of free memory at the end of each. So after a burst a server would keep its peak forever.
//! Here both thresholds stay what they are when a process starts, 128 KiB: a large block has a map of its own, which
//! its end gives back. What small blocks have left behind `malloc_trim` returns. A program with another allocator
//! loses nothing, nor does one that was started with thresholds of its own.

/// Fixes the thresholds of the allocator. Call it once, before the first coroutine.
pub(super) fn keep_thresholds() {
    let is_set = |name| std::env::var_os(name).is_some();
    if !["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"].into_iter().any(is_set) {
        set_thresholds();
    }
}

#[cfg(target_env = "gnu")]
fn set_thresholds() {
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `mallopt` has no precondition: it takes the lock of the allocator, and changes only from which size on a
        // block gets a map of its own, and how much free memory is kept.
        unsafe {
            libc::mallopt(parameter, THRESHOLD_BYTES);
        }
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
const fn set_thresholds() {}

#[cfg(not(target_env = "gnu"))]
pub(super) const fn trim_own_heap() {}

#[cfg(not(target_env = "gnu"))]
pub(super) const fn trim() {}

#[cfg(target_env = "gnu")]
const THRESHOLD_BYTES: libc::c_int = 128 * 1024;

/// `FASTBIN_CONSOLIDATION_THRESHOLD` of glibc is 64 KiB; from [`THRESHOLD_BYTES`] on the block would have a map of its own.
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
        set_thresholds();
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
