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

/// Returns free memory to the system.
#[cfg(target_env = "gnu")]
pub(super) fn trim() {
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `malloc_trim` has no precondition: it takes the locks of the allocator itself, may be called from any thread at
    // any time, and touches only pages that hold no block in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
const fn set_thresholds() {}

#[cfg(not(target_env = "gnu"))]
pub(super) const fn trim() {}

#[cfg(target_env = "gnu")]
const THRESHOLD_BYTES: libc::c_int = 128 * 1024;
