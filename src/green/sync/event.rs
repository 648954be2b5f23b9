//! An event: a flag that coroutines and threads can wait for.

use std::sync::MutexGuard;
use std::time::Duration;

use super::select::{Waitable, Watch, Watcher};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::{WaitList, wait_unless};
use crate::lock::Lock;

/// A flag that any number of coroutines and threads wait for.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, Event};
///
/// let ready = Arc::new(Event::new());
/// let theirs = Arc::clone(&ready);
/// let waiter = green::spawn(move || theirs.wait());
/// ready.set();
/// waiter.join();
/// ```
#[derive(Default)]
pub struct Event {
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    is_set: bool,
    waiting: WaitList,
}

impl Event {
    /// An event that is not set.
    pub const fn new() -> Self {
        Self { state: Lock::new(State { is_set: false, waiting: WaitList::new() }) }
    }

    /// Sets the flag and wakes all who wait. Those who waited are woken even if [`clear`](Self::clear) follows at
    /// once. Setting it twice is the same as once.
    pub fn set(&self) {
        let mut state = self.lock();
        state.is_set = true;
        state.waiting.wake_all();
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.lock().is_set = false;
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.lock().is_set
    }

    /// Waits until the flag is set.
    pub fn wait(&self) {
        self.wait_for(None);
    }

    /// As [`wait`](Self::wait), at most for `timeout`. `false` if the flag was not set in time.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_for(Some(timeout))
    }

    fn wait_for(&self, timeout: Option<Duration>) -> bool {
        wait_unless(&self.state, |state| state.is_set, |state| &mut state.waiting, Awaits::Event, timeout)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Gives `()` if the flag is set, which it stays. A set that is cleared at once may be missed.
impl Waitable for Event {
    type Item = ();

    fn take_now(&self) -> Option<()> {
        self.is_set().then_some(())
    }
}

impl Watch for Event {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.lock();
        if !state.is_set {
            state.waiting.enlist_also(watcher.waiter());
        }
        state.is_set
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().waiting.forget(watcher.as_waiter());
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
