//! Semaphores: permits that come back when they are dropped.

use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::select::{Waitable, Watch, Watcher};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::{WaitList, wait_unless};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// A number of permits. [`acquire`](Self::acquire) takes one, waiting while there is none; dropped, the permit comes back.
///
/// It is fair: a permit that comes back goes to the one that has waited longest, and none overtakes it. Clones share the permits.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Semaphore};
///
/// let at_once = Semaphore::new(2);
/// let greenlets: Vec<_> = (0..10).map(|n| {
///     let at_once = at_once.clone();
///     green::spawn(move || {
///         let _permit = at_once.acquire(); // at most two get past here at a time
///         n
///     })
/// }).collect();
/// assert_eq!(greenlets.into_iter().map(|greenlet| greenlet.get().unwrap()).sum::<i32>(), 45);
/// assert_eq!(at_once.available(), 2);
/// ```
#[derive(Clone)]
pub struct Semaphore {
    state: Arc<Lock<State>>,
}

struct State {
    /// Free permits. 0 if any caller waits for one.
    free: usize,
    /// No more than these can be free.
    bound: usize,
    waiting: WaitList,
    watchers: WaitList,
}

impl Semaphore {
    /// A semaphore of `permits`; with 0, the first comes from [`release`](Self::release).
    pub fn new(permits: usize) -> Self {
        Self::with_bound(permits, usize::MAX)
    }

    /// Takes a permit, waiting while there is none.
    ///
    /// In a destructor that runs while its coroutine unwinds, nothing waits: while there is none, an empty permit is
    /// returned, which gives nothing back; the log says so. Call [`try_acquire`](Self::try_acquire) there.
    pub fn acquire(&self) -> Permit {
        if self.take_within(None) {
            return self.permit();
        }
        static LOG: Throttle = Throttle::new();
        throttled!(error, LOG, "a permit was not acquired: there is none, and the caller is unwinding");
        Permit::none()
    }

    /// As [`acquire`](Self::acquire), at most for `timeout`. `None` if none came in time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit> {
        self.take_within(Some(timeout)).then(|| self.permit())
    }

    /// Takes a permit without waiting. `None` if there is none.
    pub fn try_acquire(&self) -> Option<Permit> {
        fair::fairness_point();
        self.lock().take().then(|| self.permit())
    }

    /// Adds a permit: one more than there were, or one that was [forgotten](Permit::forget).
    pub fn release(&self) {
        self.lock().release();
    }

    /// How many permits are free now.
    #[doc(alias = "counter")]
    pub fn available(&self) -> usize {
        self.lock().free
    }

    /// Whether none is free now.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.available() == 0
    }

    /// Adds many permits at once.
    pub(in crate::green) fn release_many(&self, count: usize) {
        self.lock().release_many(count);
    }

    fn with_bound(permits: usize, bound: usize) -> Self {
        let (waiting, watchers) = (WaitList::new(), WaitList::new());
        Self { state: Arc::new(Lock::new(State { free: permits, bound, waiting, watchers })) }
    }

    fn take_within(&self, timeout: Option<Duration>) -> bool {
        // The one that wakes it leaves it the permit.
        wait_unless(&self.state, State::take, |state| &mut state.waiting, Awaits::Permit, timeout)
    }

    fn permit(&self) -> Permit {
        Permit { semaphore: Some(self.clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    const fn take(&mut self) -> bool {
        let left = self.free.checked_sub(1);
        if let Some(left) = left {
            self.free = left;
        }
        left.is_some()
    }

    fn release(&mut self) {
        if self.free < self.bound && !self.waiting.wake_one() {
            self.free += 1;
            self.watchers.wake_all();
        }
    }

    fn release_many(&mut self, count: usize) {
        let mut left = count;
        while left > 0 && self.waiting.wake_one() {
            left -= 1;
        }
        self.free = self.free.saturating_add(left).min(self.bound);
        if left > 0 {
            self.watchers.wake_all();
        }
    }
}

/// A semaphore that never has more free permits than it began with.
///
/// With one permit it is a lock that may be held across waits, and given back by another than took it.
///
/// # Examples
///
/// ```
/// use zinx::green::BoundedSemaphore;
///
/// let lock = BoundedSemaphore::new(1);
/// let permit = lock.acquire();
/// assert!(lock.try_acquire().is_none());
/// drop(permit);
/// assert!(lock.release().is_err(), "none is taken");
/// ```
#[derive(Clone, Debug)]
pub struct BoundedSemaphore {
    inner: Semaphore,
}

impl BoundedSemaphore {
    /// A semaphore of `permits`, and never more.
    pub fn new(permits: usize) -> Self {
        Self { inner: Semaphore::with_bound(permits, permits) }
    }

    /// As [`Semaphore::acquire`].
    pub fn acquire(&self) -> Permit {
        self.inner.acquire()
    }

    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit> {
        self.inner.acquire_timeout(timeout)
    }

    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Option<Permit> {
        self.inner.try_acquire()
    }

    /// Adds a permit, for one that was [forgotten](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] if all it began with are free already; nothing is added.
    pub fn release(&self) -> Result<(), TooManyPermits> {
        let mut state = self.inner.lock();
        if state.free >= state.bound {
            return Err(TooManyPermits { bound: state.bound });
        }
        state.release();
        Ok(())
    }

    /// As [`Semaphore::available`].
    pub fn available(&self) -> usize {
        self.inner.available()
    }

    /// As [`Semaphore::is_locked`].
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }
}

/// A permit of a [`Semaphore`] or a [`BoundedSemaphore`]. Dropped, it goes back.
#[must_use = "dropped, it goes back at once"]
#[derive(Debug)]
pub struct Permit {
    semaphore: Option<Semaphore>,
}

impl Permit {
    /// A permit of no semaphore.
    pub(in crate::green) const fn none() -> Self {
        Self { semaphore: None }
    }

    /// Keeps the permit for good: the semaphore has one less, until someone releases one.
    pub fn forget(mut self) {
        self.semaphore = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(semaphore) = &self.semaphore {
            semaphore.release();
        }
    }
}

/// A [`BoundedSemaphore`] has all its permits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPermits {
    /// How many it began with.
    pub bound: usize,
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "released more often than acquired: all {} permits are free", self.bound)
    }
}

impl std::error::Error for TooManyPermits {}

/// Gives a permit.
impl Waitable for Semaphore {
    type Item = Permit;

    fn take_now(&self) -> Option<Permit> {
        self.lock().take().then(|| self.permit())
    }
}

impl Watch for Semaphore {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.lock();
        if state.free == 0 {
            state.watchers.enlist_also(watcher.waiter());
        }
        state.free > 0
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().watchers.forget(watcher.as_waiter());
    }
}

/// Gives a permit.
impl Waitable for BoundedSemaphore {
    type Item = Permit;

    fn take_now(&self) -> Option<Permit> {
        self.inner.take_now()
    }
}

impl Watch for BoundedSemaphore {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.inner.watch(watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.inner.unwatch(watcher);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}
