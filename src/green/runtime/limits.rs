//! What the machine allows: memory maps for stacks, open files for sockets.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many coroutines can have a stack at once: each stack takes two memory maps (itself and its guard page), and
/// `vm.max_map_count` bounds the maps of the process. Less, if [`Runtime::max_stacks`](crate::green::Runtime) says so.
///
/// Read when the runtime starts, less a reserve for the rest of the program. `usize::MAX` if the system does not
/// say.
pub fn max_coroutines() -> usize {
    MAX_STACKS.load(Ordering::Relaxed).min(room_for_stacks())
}

/// How many stacks the maps of the process have room for.
fn room_for_stacks() -> usize {
    ROOM_FOR_STACKS.load(Ordering::Relaxed)
}

/// How many coroutines have a stack now, those of the runtime itself included. An idle connection has none.
pub fn live_coroutines() -> usize {
    LIVE_STACKS.load(Ordering::Relaxed)
}

/// Raises the soft limit of open files as far as the hard limit allows, towards `wanted`; returns what is now allowed.
pub fn raise_open_files(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = wanted as u64;
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return usize::try_from(soft).unwrap_or(usize::MAX);
    }
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    let new = Rlimit { current: Some(raised), maximum: limit.maximum };
    let allowed = if setrlimit(Resource::Nofile, new).is_ok() { raised } else { soft };
    usize::try_from(allowed).unwrap_or(usize::MAX)
}

/// A place for one stack; dropped with the coroutine's body.
#[derive(Debug)]
pub(super) struct StackPermit(());

impl StackPermit {
    /// Takes a place, or says why there is none: at the limit the next `mmap` would take the process down.
    pub(super) fn take() -> io::Result<Self> {
        let max = max_coroutines();
        let taken = LIVE_STACKS
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| (live < max).then_some(live + 1));
        let Err(live) = taken else { return Ok(Self(())) };
        let raise =
            if max < room_for_stacks() { "MaxStacks" } else { "vm.max_map_count (each needs two maps)" };
        Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("{live} coroutines are alive, and {max} are the most: raise {raise}"),
        ))
    }
}

impl Drop for StackPermit {
    fn drop(&mut self) {
        LIVE_STACKS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads the map limit. Called once, when the runtime starts.
pub(super) fn measure_maps() {
    let Some(allowed) = read_number("/proc/sys/vm/max_map_count") else { return };
    let used = fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let free = allowed.saturating_sub(used + RESERVED_MAPS);
    ROOM_FOR_STACKS.store(free / MAPS_PER_STACK, Ordering::Relaxed);
}

/// Sets how many stacks there may be at once; 0: as many as there is room for. Called once, when the runtime starts.
pub(super) fn set_max_stacks(stacks: usize, workers: usize) {
    if stacks > 0 {
        MAX_STACKS.store(stacks.max(workers * STACKS_PER_WORKER), Ordering::Relaxed);
    }
}

fn read_number(path: &str) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

static MAX_STACKS: AtomicUsize = AtomicUsize::new(usize::MAX);
static ROOM_FOR_STACKS: AtomicUsize = AtomicUsize::new(usize::MAX);
static LIVE_STACKS: AtomicUsize = AtomicUsize::new(0);

/// The poller, a carrier, and a little more.
const STACKS_PER_WORKER: usize = 4;

/// A stack and its guard page.
const MAPS_PER_STACK: usize = 2;

/// Maps left to the allocator, to threads and to stacks whose body has ended but whose memory is not yet returned.
const RESERVED_MAPS: usize = 2048;
