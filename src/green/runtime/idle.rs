//! Coroutines of `may` whose green thread has ended. Each waits, with its stack, for the next that is spawned on its worker by a green
//! thread of that worker: to wake it is a third of the work of making one.

use crate::lock::Lock;

/// One that waits for a `T` to run.
pub(super) struct Idle<T> {
    coroutine: may::coroutine::Coroutine,
    next: Lock<Option<T>>,
}

impl<T> Idle<T> {
    /// The coroutine that calls.
    pub(super) fn new() -> Self {
        Self { coroutine: may::coroutine::current(), next: Lock::default() }
    }

    /// Has it run something on this worker, which calls.
    pub(super) fn run(&self, next: T) {
        *self.next.lock() = Some(next);
        self.coroutine.unpark();
    }

    /// Waits for what to run. The coroutine has no record meanwhile.
    pub(super) fn wait(&self) -> T {
        loop {
            let next = self.next.lock().take();
            if let Some(next) = next {
                return next;
            }
            // A token left by the green thread that has ended here ends this early.
            may::coroutine::park();
        }
    }
}

/// How many wait on each worker.
pub(super) const MOST_IDLE: usize = 16;
