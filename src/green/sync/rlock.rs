//! A reentrant lock that may be held across waits.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::MutexGuard;
use std::thread::ThreadId;
use std::time::Duration;

use crate::green::current;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::WaitList;
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// A lock that its holder may take again: the coroutine (or thread) that has it gets it at once, and others when the
/// holder has given it back as often as taken.
///
/// It may be held across waits. Fair: it goes to the one that has waited longest. A panic gives it back too. What it guards is
/// shared, not exclusive, since the holder may have it twice: a counter or a flag in it is an atomic.
///
/// # Examples
///
/// ```
/// use zinx::green::RLock;
///
/// let names = RLock::new("list");
/// let outer = names.acquire();
/// let inner = names.acquire(); // at once
/// assert_eq!((*outer, *inner), ("list", "list"));
/// assert!(std::thread::scope(|scope| scope.spawn(|| names.try_acquire().is_none()).join().unwrap()));
/// ```
#[derive(Default)]
pub struct RLock<T = ()> {
    state: Lock<State>,
    value: T,
}

#[derive(Default)]
struct State {
    holder: Option<Holder>,
    /// How often the holder has it. Written by the holder alone.
    depth: usize,
    waiting: WaitList,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Coroutine(u64),
    Thread(ThreadId),
    /// The waiter that was woken for it and is about to take it. No other takes it meanwhile.
    Next,
}

impl<T> RLock<T> {
    /// A lock that is not held, around `value`, which is `()` if it guards something else.
    pub fn new(value: T) -> Self {
        Self { state: Lock::default(), value }
    }

    /// Takes the lock, waiting while another holds it.
    ///
    /// In a destructor that runs while its coroutine unwinds, nothing waits: while another holds the lock, the guard
    /// returned does not hold it, which the log says. Call [`try_acquire`](Self::try_acquire) there.
    pub fn acquire(&self) -> RLockGuard<'_, T> {
        let held = self.take_within(None);
        if !held {
            static LOG: Throttle = Throttle::new();
            throttled!(
                error,
                LOG,
                "an RLock was not acquired: another holds it, and the caller is unwinding"
            );
        }
        self.guard(held)
    }

    /// As [`acquire`](Self::acquire), at most for `timeout`. `None` if another held it all the time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<RLockGuard<'_, T>> {
        self.take_within(Some(timeout)).then(|| self.guard(true))
    }

    /// Takes the lock without waiting. `None` if another holds it.
    pub fn try_acquire(&self) -> Option<RLockGuard<'_, T>> {
        fair::fairness_point();
        self.lock().take(Holder::caller()).then(|| self.guard(true))
    }

    /// Whether anybody holds it.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.lock().holder.is_some()
    }

    /// Whether the coroutine or thread that calls holds it.
    pub fn is_owned(&self) -> bool {
        self.lock().holder == Some(Holder::caller())
    }

    /// Gives back what the caller, its holder, has; returns how often it was taken.
    pub(super) fn give_all_back(&self) -> usize {
        let mut state = self.lock();
        let depth = std::mem::replace(&mut state.depth, 1);
        state.give_back();
        depth
    }

    /// Takes the lock as often as `give_all_back` has said, whatever interrupts the caller while it waits for it.
    pub(super) fn take_all(&self, depth: usize) {
        let me = Holder::caller();
        let waiter = {
            let mut state = self.lock();
            if state.take(me) { None } else { Some(state.waiting.enlist()) }
        };
        if let Some(waiter) = waiter {
            waiter.wait_out(Awaits::Lock);
        }
        let mut state = self.lock();
        (state.holder, state.depth) = (Some(me), depth);
    }

    const fn guard(&self, held: bool) -> RLockGuard<'_, T> {
        RLockGuard { lock: self, held, not_send: PhantomData }
    }

    fn take_within(&self, timeout: Option<Duration>) -> bool {
        fair::fairness_point();
        let me = Holder::caller();
        let waiter = {
            let mut state = self.lock();
            if state.take(me) {
                return true;
            }
            state.waiting.enlist()
        };
        let woken = waiter.wait(Awaits::Lock, timeout, |gone| self.lock().waiting.forget(gone));
        if woken {
            let mut state = self.lock();
            (state.holder, state.depth) = (Some(me), 1);
        }
        woken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn take(&mut self, me: Holder) -> bool {
        let mine = self.holder.is_none_or(|holder| holder == me);
        if mine {
            self.holder = Some(me);
            self.depth += 1;
        }
        mine
    }

    fn give_back(&mut self) {
        self.depth -= 1;
        if self.depth == 0 {
            self.holder = self.waiting.wake_one().then_some(Holder::Next);
        }
    }
}

impl Holder {
    fn caller() -> Self {
        current().map_or_else(
            || Self::Thread(std::thread::current().id()),
            |coroutine| Self::Coroutine(coroutine.id()),
        )
    }
}

/// A lock held once. Dropped, it is given back; it stays with the coroutine or thread that has taken it.
#[must_use = "dropped, the lock is given back at once"]
pub struct RLockGuard<'a, T = ()> {
    lock: &'a RLock<T>,
    /// `false` only if it could not be waited for.
    held: bool,
    not_send: PhantomData<*const ()>,
}

impl<T> RLockGuard<'_, T> {
    /// `false` if the lock could not be waited for.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }
}

impl<T> Deref for RLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T> Drop for RLockGuard<'_, T> {
    fn drop(&mut self) {
        if self.held {
            self.lock.lock().give_back();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock").field("value", &self.value).field("locked", &self.is_locked()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RLockGuard").field(&self.lock.value).finish()
    }
}
