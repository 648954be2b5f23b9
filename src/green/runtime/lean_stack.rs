//! Stacks that give their lowest page back, for coroutines that live long and mostly wait.
//!
//! `generator` writes a marker at the bottom of each stack it makes, eight times the same word, and so touches a page that few
//! coroutines ever reach: half of what an idle connection costs. Here that page is returned to the system when the
//! coroutine starts, and the marker is written back before it ends, because `may` looks for it then and takes a
//! marker that is gone for an overflow. Which word it is differs between releases, so it is taken from the stack. This
//! reaches below what the crates promise, so it is done only if the
//! first coroutine of its kind has found every assumption true, and is off when in doubt.

use std::fs;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::OnceLock;

use rustix::mm::{Advice, madvise};

use crate::green::Runtime;

/// The lowest page of the running coroutine's stack, given back until this is dropped.
pub(in crate::green) struct LeanStack {
    bottom: NonNull<Marker>,
    word: usize,
}

impl LeanStack {
    /// Gives the page back. Call it first thing in a coroutine with a stack of the default size, always at the
    /// same place in the code; dropped last thing. `None` if an assumption does not hold.
    #[inline(never)]
    pub(in crate::green) fn enter() -> Option<Self> {
        let mark = 0_u8;
        let here = std::ptr::from_ref(black_box(&mark));
        let depth = here.addr().next_multiple_of(PAGE_BYTES) - here.addr();
        let known = CALIBRATED.get_or_init(|| calibrate(here.addr(), depth)).as_ref()?;
        if depth != known.depth {
            return None;
        }
        let bottom = here.map_addr(|here| here + depth - known.stack_bytes).cast_mut().cast::<Marker>();
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `bottom` is the lowest word of this coroutine's own stack: the frame of this function lies as deep in
        // its page as the one that was checked against the process's map list, is reached by the same calls, and so
        // lies as deep in its stack. Nothing but the marker is down there yet, since the coroutine has just begun.
        // `generator` reads and writes the marker only before the coroutine starts and after it has ended.
        let word = unsafe {
            let found = bottom.read_volatile();
            let is_marker = found != GIVEN_BACK && found == [found[0]; 8];
            (is_marker && madvise(bottom.cast(), PAGE_BYTES, Advice::LinuxDontNeed).is_ok())
                .then_some(found[0])
        };
        Some(Self { bottom: NonNull::new(bottom)?, word: word? })
    }
}

impl Drop for LeanStack {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: as in `enter`; and the coroutine is ending, so that no frame lies down there any more. Words that
        // are not zero were written by a stack that has grown to its end: they are left to be found.
        unsafe {
            if self.bottom.as_ptr().read_volatile() == GIVEN_BACK {
                self.bottom.as_ptr().write_volatile([self.word; 8]);
            }
        }
    }
}

type Marker = [usize; 8];

/// What was true of the first coroutine.
struct Calibrated {
    /// Bytes from the frame of [`LeanStack::enter`] up to the end of the stack.
    depth: usize,
    stack_bytes: usize,
}

/// Looks up where the stack that holds `here` begins: it must end where the page of `here` does, have the length that
/// was asked for, and have a guard page below.
fn calibrate(here: usize, depth: usize) -> Option<Calibrated> {
    let stack_bytes = Runtime::current()?.stack_bytes;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut below = (0, false);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        if (start..end).contains(&here) {
            let guarded = below == (start, true);
            let found = rest.starts_with("rw-p") && guarded && here + depth - start == stack_bytes;
            return (found && rustix::param::page_size() == PAGE_BYTES)
                .then_some(Calibrated { depth, stack_bytes });
        }
        below = (end, rest.starts_with("---p"));
    }
    None
}

static CALIBRATED: OnceLock<Option<Calibrated>> = OnceLock::new();

const PAGE_BYTES: usize = 4096;
const GIVEN_BACK: Marker = [0; 8];
