//! Telling whether code runs on a given coroutine.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::green::Runtime;

/// The coroutine that last called [`StackMark::set`], told apart by where its stack lies. Costs one word, where a
/// coroutine-local value would cost a map.
#[derive(Debug, Default)]
pub(crate) struct StackMark(AtomicUsize);

impl StackMark {
    /// Marks the calling coroutine. Call it from its outermost function.
    pub(crate) fn set(&self) {
        self.0.store(stack_position(), Ordering::Relaxed);
    }

    /// Marks the coroutine that another marks.
    pub(crate) fn copy(&self, other: &Self) {
        self.0.store(other.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Marks none.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether the marked coroutine is the one that calls.
    pub(crate) fn is_current(&self) -> bool {
        let mark = self.0.load(Ordering::Relaxed);
        let here = stack_position();
        // Stacks grow downwards; the mark lies within a page of the top, and a guard page ends the stack below.
        here <= mark && mark - here < Runtime::current().map_or(0, |runtime| runtime.stack_bytes)
    }
}

#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
