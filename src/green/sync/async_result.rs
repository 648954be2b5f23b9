//! A result that is there later.

use std::fmt;
use std::sync::MutexGuard;
use std::time::Duration;

use super::select::{Waitable, Watch, Watcher};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::{WaitList, wait_unless};
use crate::lock::Lock;

/// A value, or an error, that is set once and for which any number of coroutines and threads wait.
///
/// `get` gives each a copy: share what is large in an `Arc`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, AsyncResult};
///
/// let answer: Arc<AsyncResult<u32>> = Arc::new(AsyncResult::new());
/// let theirs = Arc::clone(&answer);
/// green::spawn(move || theirs.set(42));
/// assert_eq!(answer.get(), Ok(42));
/// ```
#[doc(alias = "Hub")]
pub struct AsyncResult<T, E = String> {
    state: Lock<State<T, E>>,
}

struct State<T, E> {
    outcome: Option<Result<T, E>>,
    waiting: WaitList,
}

impl<T, E> AsyncResult<T, E> {
    /// A result that is not there yet.
    pub const fn new() -> Self {
        Self { state: Lock::new(State { outcome: None, waiting: WaitList::new() }) }
    }

    /// Sets the value and wakes all who wait. `false` if there is a value or an error already, which stays.
    pub fn set(&self, value: T) -> bool {
        self.set_result(Ok(value))
    }

    /// Sets an error, for [`get`](Self::get) to return, and wakes all who wait. `false` as for [`set`](Self::set).
    pub fn set_exception(&self, error: E) -> bool {
        self.set_result(Err(error))
    }

    /// Sets either. `false` as for [`set`](Self::set).
    pub fn set_result(&self, outcome: Result<T, E>) -> bool {
        let mut state = self.lock();
        let first = state.outcome.is_none();
        if first {
            state.outcome = Some(outcome);
            state.waiting.wake_all();
        }
        first
    }

    /// Whether a value or an error is there.
    pub fn ready(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// Whether a value is there.
    pub fn successful(&self) -> bool {
        matches!(self.lock().outcome, Some(Ok(_)))
    }

    /// Waits until either is there.
    pub fn wait(&self) {
        self.wait_for(None);
    }

    /// As [`wait`](Self::wait), at most for `timeout`. `false` if nothing came in time.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_for(Some(timeout))
    }

    fn wait_for(&self, timeout: Option<Duration>) -> bool {
        let is_there = |state: &mut State<T, E>| state.outcome.is_some();
        wait_unless(&self.state, is_there, |state| &mut state.waiting, Awaits::Value, timeout)
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock()
    }
}

impl<T: Clone, E: Clone> AsyncResult<T, E> {
    /// Waits for the value, or the error, and returns a copy.
    ///
    /// # Errors
    ///
    /// The error that was set.
    ///
    /// # Panics
    ///
    /// In a destructor that runs while its coroutine unwinds, if neither is there: nothing waits then. Call
    /// [`try_get`](Self::try_get) there.
    pub fn get(&self) -> Result<T, E> {
        self.wait();
        self.try_get()
            .expect("nothing is there yet, and a destructor does not wait while its coroutine unwinds")
    }

    /// As [`get`](Self::get), at most for `timeout`. `None` if nothing came in time.
    pub fn get_timeout(&self, timeout: Duration) -> Option<Result<T, E>> {
        self.wait_timeout(timeout);
        self.try_get()
    }

    /// What is there, without waiting. `None` if nothing is.
    #[doc(alias = "get_nowait")]
    #[doc(alias("cancelled", "done"))]
    pub fn try_get(&self) -> Option<Result<T, E>> {
        self.lock().outcome.clone()
    }
}

impl<T, E> Default for AsyncResult<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives a copy of the outcome.
impl<T: Clone, E: Clone> Waitable for AsyncResult<T, E> {
    type Item = Result<T, E>;

    fn take_now(&self) -> Option<Result<T, E>> {
        self.try_get()
    }
}

impl<T, E> Watch for AsyncResult<T, E> {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.lock();
        if state.outcome.is_none() {
            state.waiting.enlist_also(watcher.waiter());
        }
        state.outcome.is_some()
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().waiting.forget(watcher.as_waiter());
    }
}

impl<T, E> fmt::Debug for AsyncResult<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.ready()).finish_non_exhaustive()
    }
}
