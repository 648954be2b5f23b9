//! Waiting and waking: the one place where a coroutine or a plain thread stops for another.
//!
//! A [`Waiter`] is good for one wait. Its waker learns whether it still waited, so that what was meant for it
//! (an item, a permit) can be given to another instead of being lost.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::Duration;

use may::coroutine::Coroutine;

use super::awaits::Awaits;
use super::blocking::step_aside;
use super::poller::note_use_of_may;
use super::timer::Timed;
use super::until::Until;
use super::{fair, home, loop_exit, timer, worker};
use crate::green::spawn::interrupt::{Interrupt, Interrupts, is_unwinding};
use crate::green::spawn::record::Record;
use crate::lock::Lock;

/// One wait of one coroutine or thread.
pub(crate) struct Waiter {
    who: Who,
    state: AtomicU8,
}

/// The coroutine or thread that waits, and how to wake it.
pub(in crate::green) enum Who {
    Green(Arc<Record>),
    /// A coroutine that was spawned by calling `may` itself.
    Foreign(Coroutine),
    Thread(Thread),
}

impl Who {
    /// The coroutine or thread that calls.
    pub(in crate::green) fn calls() -> Self {
        if !may::coroutine::is_coroutine() {
            return Self::Thread(std::thread::current());
        }
        worker::current().map_or_else(|| Self::Foreign(may::coroutine::current()), Self::Green)
    }

    pub(in crate::green) fn unpark(&self) {
        match self {
            Self::Green(record) => home::of(record.home()).wake(record),
            Self::Foreign(coroutine) => {
                note_use_of_may();
                coroutine.unpark();
            }
            Self::Thread(thread) => thread.unpark(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a plain thread has nothing else to do")]
    fn park(&self) {
        match self {
            Self::Green(record) => record.park(),
            Self::Foreign(_) => may::coroutine::park(),
            Self::Thread(_) => step_aside(std::thread::park),
        }
    }
}

impl Waiter {
    /// A waiter for the coroutine or thread that calls.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { who: Who::calls(), state: AtomicU8::new(WAITING) })
    }

    /// Ends the wait. `false` if it has ended already: woken by another, or given up.
    pub(crate) fn wake(&self) -> bool {
        self.end_and_unpark(WOKEN)
    }

    /// Ends a wait that would never end, with a panic. `false` if it has ended already.
    pub(super) fn end_deadlock(&self) -> bool {
        self.end_and_unpark(DEADLOCKED)
    }

    /// Whether the wait has not ended yet.
    pub(super) fn still_waits(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// Whether the one that waits is a thread of the program, and may unwind.
    pub(super) fn is_of_the_program(&self) -> bool {
        match &self.who {
            Who::Thread(thread) => {
                !std::thread::panicking() && !thread.name().is_some_and(|name| name.starts_with("zinx-"))
            }
            Who::Green(_) | Who::Foreign(_) => false,
        }
    }

    /// Waits until woken, at most for `timeout`. `false` if the time was up first.
    ///
    /// Unwinds if the coroutine is killed or a time limit around it is over, but never once woken: what it was
    /// woken for is the caller's. `strike_out` is called, without a lock held, if it has not been woken: it takes
    /// the waiter off the list it is on. In a coroutine that is unwinding the time is up at once. A plain thread panics if
    /// the wait [would never end](super::loop_exit).
    pub(crate) fn wait(
        self: &Arc<Self>,
        what: Awaits,
        timeout: Option<Duration>,
        strike_out: impl FnOnce(&Arc<Self>),
    ) -> bool {
        if is_unwinding() {
            return self.give_up(strike_out);
        }
        fair::before_yield();
        let deadline = Until::within(timeout).end().map(|at| {
            let timed: Weak<Self> = Arc::downgrade(self);
            timer::set(at, timed)
        });
        let noted = if deadline.is_none() { loop_exit::note(self) } else { None };
        let interrupt = park(&self.state, || self.who.park(), what, true);
        drop(noted);
        let end = self.state.load(Ordering::Acquire);
        let expired = end == EXPIRED;
        if let Some(deadline) = deadline.filter(|_| !expired) {
            timer::cancel(deadline);
        }
        if end != WOKEN {
            strike_out(self);
        }
        if let Some(interrupt) = interrupt {
            interrupt.raise();
        }
        if end == DEADLOCKED {
            loop_exit::raise();
        }
        !expired
    }

    /// Waits until woken, whatever interrupts the caller meanwhile: for what it must have before it may unwind. Do not
    /// call it from a coroutine that unwinds.
    pub(crate) fn wait_out(&self, what: Awaits) {
        fair::before_yield();
        park(&self.state, || self.who.park(), what, false);
    }

    /// Ends the wait before it begins. `false` if it has not been woken by now.
    fn give_up(self: &Arc<Self>, strike_out: impl FnOnce(&Arc<Self>)) -> bool {
        let waits = self.end(EXPIRED);
        if waits {
            strike_out(self);
        }
        !waits
    }

    fn end_and_unpark(&self, how: u8) -> bool {
        let ended = self.end(how);
        if ended {
            self.who.unpark();
        }
        ended
    }

    /// `false` if the wait has ended already.
    fn end(&self, how: u8) -> bool {
        end(&self.state, how)
    }
}

/// Parks until the wait is over, or interrupted.
fn park(state: &AtomicU8, park_once: impl Fn(), what: Awaits, interruptible: bool) -> Option<Interrupt> {
    debug_assert!(!is_unwinding(), "a coroutine that yields while it unwinds passes its panic count on");
    let me = worker::leave(what);
    let interrupts = me.as_deref().map(Record::interrupts).filter(|_| interruptible);
    let mut interrupted = None;
    // A token left by an earlier wait ends a park early: the state says whether this wait is over.
    while state.load(Ordering::Acquire) == WAITING {
        if let Some(interrupt) = interrupts.and_then(Interrupts::pending) {
            interrupted = end(state, INTERRUPTED).then_some(interrupt);
            break;
        }
        park_once();
    }
    worker::resume(me);
    interrupted
}

fn end(state: &AtomicU8, how: u8) -> bool {
    state.compare_exchange(WAITING, how, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// A wait without a deadline whose waiter leaves no trace: a green thread has one such at a time, in its record, and it
/// costs no memory.
#[derive(Clone)]
pub(in crate::green) enum Sleeper {
    Own(Arc<Record>),
    Other(Arc<Waiter>),
}

impl Sleeper {
    /// Begins the wait of the caller.
    pub(in crate::green) fn begin() -> Self {
        match worker::current() {
            Some(me) if me.is_coroutine() => Self::of(me),
            _ => Self::Other(Waiter::new()),
        }
    }

    /// Begins the wait of a green thread that calls, perhaps while its record is not with the thread.
    pub(super) fn of(me: Arc<Record>) -> Self {
        me.wait_state().store(WAITING, Ordering::Relaxed);
        Self::Own(me)
    }

    /// Ends the wait. `false` if it has ended already.
    pub(in crate::green) fn wake(&self) -> bool {
        match self {
            Self::Own(record) => {
                let woken = end(record.wait_state(), WOKEN);
                if woken {
                    home::of(record.home()).wake(record);
                }
                woken
            }
            Self::Other(waiter) => waiter.wake(),
        }
    }

    /// Waits until woken, or unwinds: as [`Waiter::wait`].
    pub(in crate::green) fn wait(&self, what: Awaits, strike_out: impl FnOnce(&Self)) {
        if let Some(interrupt) = self.park(what, true) {
            strike_out(self);
            interrupt.raise();
        }
    }

    /// As [`wait`](Self::wait), uninterrupted.
    pub(super) fn wait_out(&self, what: Awaits) {
        self.park(what, false);
    }

    /// Whether both are the same wait.
    pub(in crate::green) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(one), Self::Own(other)) => Arc::ptr_eq(one, other),
            (Self::Other(one), Self::Other(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn park(&self, what: Awaits, interruptible: bool) -> Option<Interrupt> {
        match self {
            Self::Own(me) => park(me.wait_state(), || me.park(), what, interruptible),
            Self::Other(waiter) => park(&waiter.state, || waiter.who.park(), what, interruptible),
        }
    }
}

impl Timed for Waiter {
    fn time_is_up(&self) {
        self.end_and_unpark(EXPIRED);
    }
}

/// Those that wait for the same thing, first come first served. Lives under its owner's lock. One word until something
/// waits, which never happens to the lists of most connections.
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

    /// Wakes the first that still waits. `false` if none does.
    pub(crate) fn wake_one(&mut self) -> bool {
        while let Some(waiter) = self.0.as_mut().and_then(|list| list.pop_front()) {
            if waiter.wake() {
                return true;
            }
        }
        false
    }

    /// Wakes all.
    pub(crate) fn wake_all(&mut self) {
        while self.wake_one() {}
    }

    /// Removes a waiter that has not been woken.
    pub(crate) fn forget(&mut self, gone: &Arc<Waiter>) {
        if let Some(list) = &mut self.0 {
            list.retain(|waiter| !Arc::ptr_eq(waiter, gone));
        }
    }
}

/// Waits for what `look` looks for behind a lock: not at all if it is there, else until the list beside it is woken.
/// `false` if the time is up first.
pub(in crate::green) fn wait_unless<S>(
    state: &Lock<S>,
    look: impl FnOnce(&mut S) -> bool,
    list: impl Fn(&mut S) -> &mut WaitList,
    what: Awaits,
    timeout: Option<Duration>,
) -> bool {
    fair::fairness_point();
    let lock = || state.lock();
    let waiter = {
        let mut state = lock();
        if look(&mut state) {
            return true;
        }
        list(&mut state).enlist()
    };
    waiter.wait(what, timeout, |gone| list(&mut lock()).forget(gone))
}

const WAITING: u8 = 0;
const WOKEN: u8 = 1;
const EXPIRED: u8 = 2;
const INTERRUPTED: u8 = 3;
const DEADLOCKED: u8 = 4;
