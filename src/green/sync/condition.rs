//! A condition variable that comes with its lock.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::MutexGuard;
use std::time::Duration;

use super::rlock::{RLock, RLockGuard};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::WaitList;
use crate::green::runtime::until::Until;
use crate::green::spawn::interrupt::is_unwinding;
use crate::lock::Lock;

/// A lock whose holder can wait until another holder notifies it; the lock is free while it waits.
///
/// The lock is an [`RLock`]: fair, reentrant, and its value is shared. [`wait`](ConditionGuard::wait) gives it back as often
/// as it was taken, and has it again as often when it returns. A notification goes to the one that has waited longest; one that
/// finds none waiting is lost, so look at what you wait for before you wait, or use
/// [`wait_for`](ConditionGuard::wait_for).
///
/// Python raises an error if `wait` or `notify` is called without the lock. Here both are methods of the guard.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use zinx::green::{self, Condition};
///
/// let stock = Arc::new(Condition::new(AtomicU32::new(0)));
/// let theirs = Arc::clone(&stock);
/// let consumer = green::spawn(move || {
///     let stock = theirs.acquire();
///     stock.wait_for(|count| count.load(Ordering::Relaxed) > 0);
///     stock.fetch_sub(1, Ordering::Relaxed)
/// });
/// let producer = stock.acquire();
/// producer.store(7, Ordering::Relaxed);
/// producer.notify(1);
/// drop(producer);
/// assert_eq!(consumer.get().unwrap(), 7);
/// ```
#[derive(Default)]
pub struct Condition<T = ()> {
    lock: RLock<T>,
    /// Those who wait. Changed by holders of the lock, and by those who give up.
    waiting: Lock<WaitList>,
}

impl<T> Condition<T> {
    /// A condition that is not held, around `value`, which is `()` if it guards something else.
    pub fn new(value: T) -> Self {
        Self { lock: RLock::new(value), waiting: Lock::default() }
    }

    /// Takes the lock, waiting while another holds it: see [`RLock::acquire`].
    pub fn acquire(&self) -> ConditionGuard<'_, T> {
        ConditionGuard { condition: self, held: self.lock.acquire() }
    }

    /// As [`acquire`](Self::acquire), at most for `timeout`. `None` if another held it all the time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<ConditionGuard<'_, T>> {
        self.lock.acquire_timeout(timeout).map(|held| ConditionGuard { condition: self, held })
    }

    /// Takes the lock without waiting. `None` if another holds it.
    pub fn try_acquire(&self) -> Option<ConditionGuard<'_, T>> {
        self.lock.try_acquire().map(|held| ConditionGuard { condition: self, held })
    }

    /// Whether anybody holds the lock.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    fn waiting(&self) -> MutexGuard<'_, WaitList> {
        self.waiting.lock()
    }
}

/// A [`Condition`] whose lock is held. Dropped, it gives the lock back; it stays with the coroutine or thread that has
/// taken it.
#[must_use = "dropped, the lock is given back at once"]
pub struct ConditionGuard<'a, T = ()> {
    condition: &'a Condition<T>,
    held: RLockGuard<'a, T>,
}

impl<T> ConditionGuard<'_, T> {
    /// Gives the lock back, waits until notified, and takes the lock again.
    ///
    /// The lock is held again however the wait ends: a kill and a time limit take effect when the lock is back, and
    /// a holder in between delays them. In a destructor that runs while its coroutine unwinds it returns at once and
    /// keeps the lock.
    pub fn wait(&self) {
        self.wait_within(None);
    }

    /// As [`wait`](Self::wait), at most for `timeout`, and for the lock after that. `false` if it was not notified in time.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_within(Some(timeout))
    }

    /// Waits until `predicate`, which is called with the lock held, is true; not at all if it is true already. `false` only
    /// in a destructor that runs while its coroutine unwinds.
    pub fn wait_for(&self, predicate: impl FnMut(&T) -> bool) -> bool {
        self.wait_for_within(predicate, Until::never())
    }

    /// As [`wait_for`](Self::wait_for), at most for `timeout`. Returns what `predicate` said last.
    pub fn wait_for_timeout(&self, predicate: impl FnMut(&T) -> bool, timeout: Duration) -> bool {
        self.wait_for_within(predicate, Until::after(timeout))
    }

    /// Ends the waits of the `count` who have waited longest, or of all if there are fewer. They go on one after the other,
    /// as each gets the lock, in no particular order.
    pub fn notify(&self, count: usize) {
        let mut waiting = self.condition.waiting();
        for _ in 0..count {
            if !waiting.wake_one() {
                return;
            }
        }
    }

    /// Ends the waits of all.
    #[doc(alias = "notifyAll")]
    pub fn notify_all(&self) {
        self.condition.waiting().wake_all();
    }

    fn wait_for_within(&self, mut predicate: impl FnMut(&T) -> bool, until: Until) -> bool {
        while !predicate(self) {
            let Some(left) = until.to_wait() else { return false };
            self.wait_within(left);
        }
        true
    }

    fn wait_within(&self, timeout: Option<Duration>) -> bool {
        if is_unwinding() || !self.held.is_held() {
            return false;
        }
        // Enlisted before the lock is free: no notification is missed.
        let waiter = self.condition.waiting().enlist();
        let depth = self.condition.lock.give_all_back();
        let forget = |gone: &_| self.condition.waiting().forget(gone);
        let outcome = catch_unwind(AssertUnwindSafe(|| waiter.wait(Awaits::Condition, timeout, forget)));
        // Guards further out believe that they hold it: nothing unwinds past them before that is so.
        self.condition.lock.take_all(depth);
        outcome.unwrap_or_else(|interrupt| resume_unwind(interrupt))
    }
}

impl<T> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.lock).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConditionGuard").field(&**self).finish()
    }
}
