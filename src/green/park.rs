//! Waiting and waking: the one place where a coroutine or a plain thread stops for another.
//!
//! A [`Waiter`] is good for one wait. Whoever wakes it learns whether it still waited, so that what was meant for it
//! (an item, a permit) can be given to another instead of being lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use may::sync::Blocker;

use super::fair;

/// One wait of one coroutine or thread.
pub(crate) struct Waiter {
    blocker: Blocker,
    state: AtomicU8,
}

impl Waiter {
    /// A waiter for the coroutine or thread that calls.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { blocker: Blocker::new(true), state: AtomicU8::new(WAITING) })
    }

    /// Ends the wait. `false` where it has ended already: woken by another, or given up.
    pub(crate) fn wake(&self) -> bool {
        let woken = self.state.compare_exchange(WAITING, WOKEN, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if woken {
            self.blocker.unpark();
        }
        woken
    }

    /// Waits until woken, at most for `timeout`. `false` where the time was up first.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        fair::before_yield();
        self.wait_raw(timeout)
    }

    /// As [`wait`](Self::wait), for `super::fair`, which must not come back to itself.
    pub(super) fn wait_raw(&self, timeout: Option<Duration>) -> bool {
        while self.state.load(Ordering::Acquire) == WAITING {
            if self.blocker.park(timeout).is_err() {
                leave_timer_thread();
                return self
                    .state
                    .compare_exchange(WAITING, EXPIRED, Ordering::AcqRel, Ordering::Acquire)
                    .is_err();
            }
        }
        true
    }
}

/// After a timeout `may` runs the coroutine on its timer thread, where one that does not yield would hold up every
/// timer of the process: go back to a worker first.
pub(super) fn leave_timer_thread() {
    if may::coroutine::is_coroutine() {
        may::coroutine::yield_now();
    }
}

/// Those who wait for the same thing, first come first served. Lives under its owner's lock.
#[derive(Default)]
pub(crate) struct WaitList(VecDeque<Arc<Waiter>>);

impl WaitList {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Enlists the caller. It waits on what it gets after the owner's lock is released.
    pub(crate) fn enlist(&mut self) -> Arc<Waiter> {
        let waiter = Waiter::new();
        self.0.push_back(Arc::clone(&waiter));
        waiter
    }

    /// Wakes the first who still waits.
    pub(crate) fn wake_one(&mut self) {
        while let Some(waiter) = self.0.pop_front() {
            if waiter.wake() {
                return;
            }
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&mut self) {
        for waiter in self.0.drain(..) {
            waiter.wake();
        }
    }

    /// Strikes out a waiter whose time was up, so that it leaves no trace.
    pub(crate) fn forget(&mut self, gone: &Arc<Waiter>) {
        self.0.retain(|waiter| !Arc::ptr_eq(waiter, gone));
    }
}

const WAITING: u8 = 0;
const WOKEN: u8 = 1;
const EXPIRED: u8 = 2;
