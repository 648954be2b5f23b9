//! How a coroutine begins: on the worker it is given to or, while another coroutine holds that one, on the next that is
//! free.
//!
//! `may` leaves a coroutine with the worker it was given to, and that may be held from the very moment. So what is to run
//! lies in a place of its own, the watchdog gives it to a second worker in such a case, and the first that comes takes it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Panicked;
use super::limits::StackPermit;
use super::watchdog::is_held;

/// Has `body` run in a coroutine of `may`, on a stack of the default size or of so many bytes. Given a worker, it waits for
/// that one.
pub(super) fn start(
    worker: Option<usize>,
    stack_bytes: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let body = Mutex::new(Some(body));
    let start = Start { worker: AtomicUsize::new(worker.unwrap_or_else(next_worker)), stack_bytes, body };
    let start = Arc::new(start);
    start.give_to_worker()?;
    if worker.is_none() {
        let mut waiting = lock(&WAITING);
        if waiting.len() == waiting.capacity() {
            // Not left to the watchdog alone: many may begin between two of its looks.
            waiting.retain(|start| !start.has_begun());
        }
        waiting.push(start);
    }
    Ok(())
}

/// Gives those that have not begun to another worker if theirs is held. To be called by the watchdog now and then.
pub(super) fn look_after() {
    let mut waiting = lock(&WAITING);
    waiting.retain(|start| !start.has_begun());
    let stuck: Vec<_> = waiting.iter().filter(|start| is_held(start.worker())).cloned().collect();
    drop(waiting);
    stuck.into_iter().for_each(|start| start.move_on());
}

/// A coroutine that is to begin.
struct Start<F> {
    worker: AtomicUsize,
    stack_bytes: Option<usize>,
    body: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send + 'static> Start<F> {
    fn give_to_worker(self: &Arc<Self>) -> io::Result<()> {
        let permit = StackPermit::take()?;
        let mut builder = may::coroutine::Builder::new().id(self.worker());
        if let Some(bytes) = self.stack_bytes {
            // `may` counts in words, and takes an odd number as a wish to print the stack's use.
            builder = builder.stack_size((bytes / size_of::<usize>()).next_multiple_of(2));
        }
        let this = Arc::clone(self);
        let begin = move || {
            let body = lock(&this.body).take();
            drop(this);
            if let Some(body) = body {
                body();
            }
            leave_wake_up();
            drop(permit);
        };
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `may` asks that `begin` (1) uses no thread-local across a yield and (2) fits its stack. The compiler
        // can check neither. Inside this crate (1) holds: thread-locals are banned in `.clippy.toml` and the one
        // there is, in `worker.rs`, is reached through functions that never yield; (2) is backed by a guard page. For
        // code we do not own it is the caller's promise, stated under "Contract" of `spawn`.
        let spawn = || unsafe { builder.spawn(begin) }.map(drop);
        // Where the system has no memory for the stack, `may` panics. What the body owns is dropped.
        catch_unwind(AssertUnwindSafe(spawn)).unwrap_or_else(|payload| {
            Err(io::Error::new(io::ErrorKind::OutOfMemory, Panicked::new(payload).to_string()))
        })
    }
}

trait Waiting: Send + Sync {
    fn worker(&self) -> usize;

    fn has_begun(&self) -> bool;

    /// Has it begin on another worker too, if one is free.
    fn move_on(self: Arc<Self>);
}

impl<F: FnOnce() + Send + 'static> Waiting for Start<F> {
    fn worker(&self) -> usize {
        self.worker.load(Ordering::Relaxed)
    }

    fn has_begun(&self) -> bool {
        lock(&self.body).is_none()
    }

    fn move_on(self: Arc<Self>) {
        let (before, worker) = (self.worker(), next_worker());
        if is_held(worker) {
            return;
        }
        self.worker.store(worker, Ordering::Relaxed);
        if self.give_to_worker().is_err() {
            // There is no room for a second stack. The next look tries again.
            self.worker.store(before, Ordering::Relaxed);
        }
    }
}

/// The worker for the next coroutine: each in turn, one that is held only if all are.
fn next_worker() -> usize {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let workers = may::config().get_workers().max(1);
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % workers;
    let mut from_there = (turn..workers).chain(0..turn);
    from_there.find(|&worker| !is_held(worker)).unwrap_or(turn)
}

/// Yields once more, so that the coroutine does not end within the call that woke it. `may` runs a coroutine that is
/// unparked while it parks inside the parking call itself, and to end there is to wait for that call for ever.
fn leave_wake_up() {
    may::coroutine::yield_now();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those that had not begun at the last look, and those that came since.
static WAITING: Mutex<Vec<Arc<dyn Waiting>>> = Mutex::new(Vec::new());
