//! How a coroutine begins: on the worker it is given to or, while another coroutine holds that one, on the next that is
//! free.
//!
//! A worker may be busy for a long time just when it is given a coroutine. So the body lies in a place of its own: in that
//! case the watchdog offers it to a second worker, and the first of the two that arrives takes it. That worker is its
//! home from then on.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::home::{self, Arrival};
use super::idle::Idle;
use super::limits::StackPermit;
use super::worker;
use crate::green::Panicked;
use crate::lock::Lock;

/// Where a coroutine begins.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::green) enum Where {
    /// On each worker in turn.
    #[default]
    Anywhere,
    /// On this worker, or another while that is held.
    Near(usize),
    /// On this worker.
    At(usize),
}

/// A coroutine that has come to its home, and is told which that is.
pub(in crate::green) struct Begun {
    pub(in crate::green) home: usize,
    /// Dropped when it is there.
    pub(in crate::green) arrival: Option<Arrival>,
}

/// Runs `body` in a coroutine of `may`, on a stack of the default size or of so many bytes.
pub(in crate::green) fn start(
    place: Where,
    stack_bytes: Option<usize>,
    body: impl FnOnce(Begun) + Send + 'static,
) -> io::Result<()> {
    let home = match place {
        Where::Anywhere => home::next(),
        Where::Near(home) if home::of(home).is_held() => home::next(),
        Where::Near(home) | Where::At(home) => home,
    };
    let start = Arc::new(Start { home: AtomicUsize::new(home), stack_bytes, body: Lock::new(Some(body)) });
    start.give_to(home)?;
    if !matches!(place, Where::At(_)) {
        let mut waiting = WAITING.lock();
        if waiting.len() == waiting.capacity() {
            // Not left to the watchdog alone: many may begin between two of its looks.
            waiting.retain(|start| !start.has_begun());
        }
        waiting.push(start);
    }
    Ok(())
}

/// Gives those that have not begun to another worker if theirs is held. The watchdog calls it now and then.
pub(super) fn look_after() {
    let mut waiting = WAITING.lock();
    waiting.retain(|start| !start.has_begun());
    let stuck: Vec<_> = waiting.iter().filter(|start| home::of(start.home()).is_held()).cloned().collect();
    drop(waiting);
    stuck.into_iter().for_each(|start| start.move_on());
}

/// A coroutine that is to begin.
struct Start<F> {
    home: AtomicUsize,
    stack_bytes: Option<usize>,
    body: Lock<Option<F>>,
}

impl<F: FnOnce(Begun) + Send + 'static> Start<F> {
    fn give_to(self: &Arc<Self>, home: usize) -> io::Result<()> {
        let permit = StackPermit::take()?;
        let here = worker::is_home(home);
        let default_stack = self.stack_bytes.is_none();
        if here
            && default_stack
            && let Some(idle) = worker::take_idle()
        {
            let start: Arc<Self> = Arc::clone(self);
            idle.run(Next { start, home, permit });
            worker::count_woken();
            return Ok(());
        }
        let arrival = (!here).then(|| home::of(home).expect());
        let mut builder = may::coroutine::Builder::new().id(home);
        if let Some(bytes) = self.stack_bytes {
            // `may` counts in words, and takes an odd number as a wish to print the stack's use.
            builder = builder.stack_size((bytes / size_of::<usize>()).next_multiple_of(2));
        }
        let this = Arc::clone(self);
        let begin = move || {
            if here {
                // Begun inside of the caller: goes behind it in the queue, which costs no system call.
                may::coroutine::yield_now();
            }
            this.begin(home, arrival);
            drop(permit);
            if default_stack {
                run_others();
            }
        };
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `may` asks that `begin` (1) uses no thread-local across a yield and (2) fits its stack. (1) is for
        // coroutines that change threads. This one does not: it begins on its home, is woken there alone, and looks
        // after each wait, and before anything of the caller's runs, whether it is there: `home.rs`, `Record::park`.
        // Code that waits by calling `may` itself is outside of this, as `docs/safety.md` says. (2) is backed by a
        // guard page: what does not fit ends the process.
        let spawn =
            || unsafe { if here { builder.spawn_local(begin) } else { builder.spawn(begin) } }.map(drop);
        // If the system has no memory for the stack, `may` panics. What the body owns is dropped.
        let spawned = catch_unwind(AssertUnwindSafe(spawn)).unwrap_or_else(|payload| {
            Err(io::Error::new(io::ErrorKind::OutOfMemory, Panicked::new(payload).to_string()))
        });
        if here {
            worker::count_woken();
        } else {
            home::of(home).call_poller_to_arrivals();
        }
        spawned
    }
}

/// What a coroutine whose green thread has ended runs next.
pub(super) struct Next {
    start: Arc<dyn Starting>,
    home: usize,
    permit: StackPermit,
}

/// Runs green threads one after the other, for as long as the worker has few others that wait for one. Called by a coroutine, on a stack of
/// the default size, when its first has ended.
fn run_others() {
    let idle = Arc::new(Idle::new());
    while worker::keep_idle(&idle) {
        let Next { start, home, permit } = idle.wait();
        start.begin(home, None);
        drop(permit);
    }
}

/// A [`Start`] of any body.
pub(super) trait Starting: Send + Sync {
    /// Runs the body, unless another worker has.
    fn begin(self: Arc<Self>, home: usize, arrival: Option<Arrival>);

    fn home(&self) -> usize;

    fn has_begun(&self) -> bool;

    /// Lets it begin on another worker, if one is free.
    fn move_on(self: Arc<Self>);
}

impl<F: FnOnce(Begun) + Send + 'static> Starting for Start<F> {
    fn begin(self: Arc<Self>, home: usize, arrival: Option<Arrival>) {
        let body = self.body.lock().take();
        drop(self);
        if let Some(body) = body {
            body(Begun { home, arrival });
        }
    }

    fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed)
    }

    fn has_begun(&self) -> bool {
        self.body.lock().is_none()
    }

    fn move_on(self: Arc<Self>) {
        let home = home::next();
        // Without room for a second stack, the next look tries again.
        if !home::of(home).is_held() && self.give_to(home).is_ok() {
            self.home.store(home, Ordering::Relaxed);
        }
    }
}

/// Those that had not begun at the last look, and those that came since.
static WAITING: Lock<Vec<Arc<dyn Starting>>> = Lock::new(Vec::new());
