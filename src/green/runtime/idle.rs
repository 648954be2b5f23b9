//! Coroutines of `may` whose green thread has ended. Each waits, with its stack, for the next that is spawned on its worker by a green
//! thread of that worker: to wake it is a third of the work of making one.

use std::sync::Arc;

use super::limits::StackPermit;
use super::start::Starting;
use super::worker;
use crate::lock::Lock;

/// One that waits.
pub(super) struct Idle {
    coroutine: may::coroutine::Coroutine,
    next: Lock<Option<Next>>,
}

/// What it runs next.
struct Next {
    start: Arc<dyn Starting>,
    home: usize,
    permit: StackPermit,
}

impl Idle {
    /// Has it run what starts on this worker, which calls.
    pub(super) fn run(&self, start: Arc<dyn Starting>, home: usize, permit: StackPermit) {
        *self.next.lock() = Some(Next { start, home, permit });
        self.coroutine.unpark();
    }

    /// Waits for the next. The coroutine has no record meanwhile.
    fn wait(&self) -> Next {
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

/// Runs green threads one after the other, for as long as the worker has few others that wait. Called by a coroutine, on a stack of the
/// default size, when its first has ended.
pub(super) fn run_others() {
    let idle = Arc::new(Idle { coroutine: may::coroutine::current(), next: Lock::default() });
    while worker::keep_idle(&idle) {
        let Next { start, home, permit } = idle.wait();
        start.begin(home, None);
        drop(permit);
    }
}

/// How many wait on each worker.
pub(super) const MOST_IDLE: usize = 16;
