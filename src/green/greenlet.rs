//! Spawning coroutines and waiting for them.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use super::lean::LeanStack;
use super::limits::StackPermit;
use super::park::WaitList;
use super::{fair, runtime};

/// Spawns a coroutine (a green thread): sequential code that runs concurrently with its spawner.
///
/// # Contract
///
/// The function is safe to call, yet rests on two promises about `body` that no compiler checks:
///
/// 1. It holds no reference into a thread-local across a call that may wait (any call of this module, any send or
///    ask), because it may resume on another thread. Taking a copy is fine; so is `log`.
/// 2. It stays within its stack (64 KiB in release, 256 KiB in debug, `StackBytes` to change it): no deep recursion,
///    no large arrays on the stack. An overflow hits a guard page, is reported on stderr, and loses the coroutine
///    without running its destructors.
///
/// It also should not block its thread (`std::thread::sleep`, a long computation): whatever else runs on that worker
/// waits as long.
///
/// # Panics
///
/// Where [`Builder::spawn`] would return an error: the machine has no room for another stack.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let answer = green::spawn(|| 6 * 7);
/// assert_eq!(answer.get().unwrap(), 42);
/// ```
pub fn spawn<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(body).unwrap_or_else(|error| panic!("spawn: {error}"))
}

/// Runs `body` as a coroutine and waits for it: the way from `main` into the green world.
///
/// A panic of `body` goes on in the caller.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green;
///
/// green::run(|| green::sleep(Duration::from_millis(1)));
/// ```
pub fn run<F, T>(body: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match spawn(body).get() {
        Ok(value) => value,
        Err(panicked) => std::panic::resume_unwind(panicked.into_payload()),
    }
}

/// Settings of a coroutine to be spawned.
#[derive(Debug, Default)]
pub struct Builder {
    name: Cow<'static, str>,
    stack_bytes: Option<usize>,
    worker: Option<usize>,
    lean: bool,
}

impl Builder {
    /// A coroutine with the runtime's stack size and no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the coroutine, for the message its panic leaves in the log.
    #[must_use]
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives it a stack of its own size, in bytes. Default: the runtime's, whose stacks are pooled.
    #[must_use]
    pub const fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Makes an idle stack cost one page less, at the price of a system call when it starts and a page fault when it
    /// ends: for coroutines that live long and mostly wait.
    #[must_use]
    pub(crate) const fn lean(mut self) -> Self {
        self.lean = true;
        self
    }

    /// Starts it on a given worker. Another may steal it all the same.
    pub(super) const fn worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Spawns the coroutine. See [`spawn`] for the contract.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] where as many coroutines are alive as the machine has room for
    /// ([`max_coroutines`](super::max_coroutines)), with what to set.
    pub fn spawn<F, T>(self, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        runtime::ensure_started().map_err(io::Error::other)?;
        let shared = Arc::new(Shared { state: Mutex::new(State::running()) });
        let theirs = Arc::clone(&shared);
        self.detach(move || theirs.finish(catch_unwind(AssertUnwindSafe(body))))?;
        Ok(Greenlet { shared })
    }

    /// Spawns a coroutine whose end its owner learns in another way. A panic is logged.
    pub(crate) fn detach<F>(self, body: F) -> io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let permit = StackPermit::take()?;
        let name = self.name;
        let mut builder = may::coroutine::Builder::new();
        if let Some(bytes) = self.stack_bytes {
            // `may` counts in words, and takes an odd number as a wish to print the stack's use.
            builder = builder.stack_size((bytes / size_of::<usize>()).next_multiple_of(2));
        }
        if let Some(worker) = self.worker {
            builder = builder.id(worker);
        }
        let lean = self.lean && self.stack_bytes.is_none();
        let body = move || {
            let _lean = if lean { LeanStack::enter() } else { None };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                log::error!("coroutine {name:?} panicked: {}", Panicked::new(payload));
            }
            fair::before_yield();
            leave_wake_up();
            drop(permit);
        };
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `may` asks that `body` (1) uses no thread-local across a yield and (2) fits its stack. The compiler
        // can check neither. Inside this crate (1) holds: thread-locals are banned in `.clippy.toml` and the one
        // there is, in `worker.rs`, is reached through functions that never yield; (2) is backed by a guard page. For
        // code we do not own it is the caller's promise, stated under "Contract" of `spawn`.
        unsafe { builder.spawn(body) }.map(drop)
    }
}

/// Yields once more, so that the coroutine does not end within the call that woke it. `may` runs a coroutine that is
/// unparked while it parks inside the parking call itself, and to end there is to wait for that call for ever.
fn leave_wake_up() {
    may::coroutine::yield_now();
}

/// A handle to a coroutine, to wait for its end and take its result. Dropped, it lets the coroutine go on.
#[derive(Debug)]
pub struct Greenlet<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Greenlet<T> {
    /// Waits until the coroutine has ended. Any number of coroutines and threads may wait, any number of times.
    pub fn join(&self) {
        self.wait(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` where the coroutine still runs.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Some(timeout))
    }

    /// Whether the coroutine has ended.
    pub fn ready(&self) -> bool {
        self.shared.lock().ended
    }

    /// Whether the coroutine has ended without a panic.
    pub fn successful(&self) -> bool {
        matches!(self.shared.lock().outcome, Some(Ok(_)))
    }

    /// Waits for the end and takes the result.
    ///
    /// # Errors
    ///
    /// [`Panicked`], with the payload, where the coroutine panicked.
    pub fn get(self) -> Result<T, Panicked> {
        self.join();
        let outcome = self.shared.lock().outcome.take();
        outcome
            .expect("an ended coroutine leaves an outcome, and `get` takes the only handle")
            .map_err(Panicked::new)
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        fair::fairness_point();
        let waiter = {
            let mut state = self.shared.lock();
            if state.ended {
                return true;
            }
            state.waiting.enlist()
        };
        let woken = waiter.wait(timeout);
        if !woken {
            self.shared.lock().waiting.forget(&waiter);
        }
        woken
    }
}

/// A coroutine ended by a panic.
pub struct Panicked {
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self { payload: Mutex::new(payload) }
    }

    /// What the coroutine panicked with.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&str>().copied();
        f.write_str(
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)"),
        )
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panicked({self})")
    }
}

impl std::error::Error for Panicked {}

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    ended: bool,
    outcome: Option<Outcome<T>>,
    waiting: WaitList,
}

impl<T> State<T> {
    const fn running() -> Self {
        Self { ended: false, outcome: None, waiting: WaitList::new() }
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn finish(&self, outcome: Outcome<T>) {
        // What the body has put off is done before anybody learns of its end.
        fair::before_yield();
        let mut state = self.lock();
        state.ended = true;
        state.outcome = Some(outcome);
        state.waiting.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
