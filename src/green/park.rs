//! Waiting and waking: the one place where a coroutine or a plain thread stops for another.
//!
//! A [`Waiter`] is good for one wait. Whoever wakes it learns whether it still waited, so that what was meant for it
//! (an item, a permit) can be given to another instead of being lost.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use may::coroutine::Coroutine;

use super::timer::Timed;
use super::{fair, timer, worker};

/// One wait of one coroutine or thread.
pub(crate) struct Waiter {
    who: Who,
    state: AtomicU8,
}

enum Who {
    Coroutine(Coroutine),
    Thread(Thread),
}

impl Waiter {
    /// A waiter for the coroutine or thread that calls.
    pub(crate) fn new() -> Arc<Self> {
        let who = if may::coroutine::is_coroutine() {
            Who::Coroutine(may::coroutine::current())
        } else {
            Who::Thread(std::thread::current())
        };
        Arc::new(Self { who, state: AtomicU8::new(WAITING) })
    }

    /// Ends the wait. `false` where it has ended already: woken by another, or given up.
    pub(crate) fn wake(&self) -> bool {
        self.end(WOKEN)
    }

    /// Waits until woken, at most for `timeout`. `false` where the time was up first.
    pub(crate) fn wait(self: &Arc<Self>, timeout: Option<Duration>) -> bool {
        fair::before_yield();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout)).map(|at| {
            let timed: Weak<Self> = Arc::downgrade(self);
            timer::set(at, timed)
        });
        self.wait_raw();
        let woken = self.state.load(Ordering::Acquire) == WOKEN;
        if let Some(deadline) = deadline.filter(|_| woken) {
            timer::cancel(deadline);
        }
        woken
    }

    /// As [`wait`](Self::wait), for `super::fair`, which must not come back to itself.
    #[expect(clippy::disallowed_methods, reason = "a plain thread has nothing else to do")]
    pub(super) fn wait_raw(&self) {
        // A token left by an earlier wait ends a park early: the state says whether this wait is over.
        while self.state.load(Ordering::Acquire) == WAITING {
            match self.who {
                Who::Coroutine(_) => may::coroutine::park(),
                Who::Thread(_) => std::thread::park(),
            }
        }
    }

    /// `false` where the wait has ended already.
    fn end(&self, how: u8) -> bool {
        let ended = self.state.compare_exchange(WAITING, how, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if ended {
            match &self.who {
                Who::Coroutine(coroutine) => coroutine.unpark(),
                Who::Thread(thread) => thread.unpark(),
            }
        }
        ended
    }
}

impl Timed for Waiter {
    fn time_is_up(&self) {
        self.end(EXPIRED);
    }
}

/// Those who wait for the same thing, first come first served. Lives under its owner's lock. One word while nobody has
/// ever waited, as most connections' lists are.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "one word while empty")]
pub(crate) struct WaitList(Option<Box<VecDeque<Arc<Waiter>>>>);

impl WaitList {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Enlists the caller. It waits on what it gets after the owner's lock is released.
    pub(crate) fn enlist(&mut self) -> Arc<Waiter> {
        let waiter = Waiter::new();
        self.enlist_also(Arc::clone(&waiter));
        waiter
    }

    /// Enlists a waiter that may be on other lists too.
    pub(crate) fn enlist_also(&mut self, waiter: Arc<Waiter>) {
        self.0.get_or_insert_default().push_back(waiter);
    }

    /// Wakes the first who still waits. `false` where nobody does.
    pub(crate) fn wake_one(&mut self) -> bool {
        while let Some(waiter) = self.0.as_mut().and_then(|list| list.pop_front()) {
            let woken = waiter.wake();
            worker::drop_later(waiter);
            if woken {
                return true;
            }
        }
        false
    }

    /// Wakes all.
    pub(crate) fn wake_all(&mut self) {
        for waiter in self.0.iter_mut().flat_map(|list| list.drain(..)) {
            waiter.wake();
            worker::drop_later(waiter);
        }
    }

    /// Strikes out a waiter whose time was up, so that it leaves no trace.
    pub(crate) fn forget(&mut self, gone: &Arc<Waiter>) {
        if let Some(list) = &mut self.0 {
            list.retain(|waiter| !Arc::ptr_eq(waiter, gone));
        }
    }
}

/// How long a wait may still take that ends at `end`: `None` where the time is up, `Some(None)` where there is no limit.
pub(super) fn time_left(end: Option<Instant>) -> Option<Option<Duration>> {
    match end.map(|end| end.saturating_duration_since(Instant::now())) {
        Some(Duration::ZERO) => None,
        left => Some(left),
    }
}

const WAITING: u8 = 0;
const WOKEN: u8 = 1;
const EXPIRED: u8 = 2;
