//! What belongs to the thread a coroutine runs on: calls put off until it next yields, its pace, read buffers.
//!
//! This file holds the crate's only thread-local. A coroutine may resume on another thread, so no reference into it
//! outlives one of the accessors below, and none of them yields.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use super::awaits::Awaits;
use super::buffers::{SharedSpare, Spare};
use super::coroutine::Record;
use super::fair::Pace;
use super::park::Waiter;
use super::watchdog::Beat;

/// Something to do when the running coroutine next yields, whatever it yields on, or when it ends.
pub(crate) trait Deferred: Send + Sync {
    /// Does it. Must neither block nor yield.
    fn run(self: Arc<Self>);
}

/// Puts `call` off until the running coroutine yields or ends. On a plain thread, which never yields, runs it at once.
pub(crate) fn defer(call: Arc<dyn Deferred>) {
    if may::coroutine::is_coroutine() {
        with(|local| local.deferred.borrow_mut().push(call));
    } else {
        call.run();
    }
}

/// How many calls are put off on this thread.
pub(crate) fn deferred_calls() -> usize {
    with(|local| local.deferred.borrow().len())
}

/// Takes the calls put off on this thread, for `super::fair::run_deferred`.
pub(super) fn take_deferred() -> Vec<Arc<dyn Deferred>> {
    with(|local| local.deferred.take())
}

/// Gives the emptied list back, so that its memory serves again.
pub(super) fn give_deferred_list(mut list: Vec<Arc<dyn Deferred>>) {
    list.clear();
    with(|local| {
        let mut current = local.deferred.borrow_mut();
        if current.is_empty() && current.capacity() < list.capacity() && list.capacity() <= MAX_KEPT_CALLS {
            *current = list;
        }
    });
}

/// Drops a waiter when the running coroutine next yields. The last handle of a coroutine that has ended may wait for
/// `may` to be done with it, and that wait yields: it must not happen under the lock of a wait list.
pub(super) fn drop_later(waiter: Arc<Waiter>) {
    if may::coroutine::is_coroutine() {
        with(|local| local.spent.borrow_mut().push(waiter));
    }
}

/// Takes the waiters to be dropped.
pub(super) fn take_spent() -> Vec<Arc<Waiter>> {
    with(|local| local.spent.take())
}

/// Takes the record of the coroutine that runs here, which is about to wait for `what`. Whatever yields, yields
/// between this and [`resume`]: the record is with the thread only while its coroutine runs there.
pub(super) fn leave(what: Awaits) -> Option<Arc<Record>> {
    let me = with(|local| {
        if let Some(beat) = local.beat.get() {
            beat.end_turn();
        }
        local.running.take()
    });
    if let Some(me) = &me {
        me.activity().set(what);
        me.stack().reserve_way_back();
    }
    me
}

/// Gives the record of the coroutine that runs here from now on.
pub(super) fn resume(me: Option<Arc<Record>>) {
    if let Some(me) = &me {
        me.activity().set(Awaits::Nothing);
    }
    let stale = with(|local| {
        if let Some(me) = me.as_ref().filter(|me| me.is_coroutine()) {
            let beat = local.beat.get().unwrap_or_else(|| {
                let beat = Beat::of_new_worker();
                local.beat.set(Some(beat));
                beat
            });
            beat.begin_turn(me);
        }
        local.running.replace(me)
    });
    drop(stale);
}

/// The record of the coroutine that runs here, or of the thread where it has one.
pub(super) fn current() -> Option<Arc<Record>> {
    with(|local| local.running.borrow().clone())
}

/// Counts fairness points passed on this thread.
pub(super) fn pace<R>(update: impl FnOnce(&mut Pace) -> R) -> R {
    with(|local| {
        let mut pace = local.pace.get();
        let result = update(&mut pace);
        local.pace.set(pace);
        result
    })
}

/// The worker the caller runs on, from 0; 0 also on a thread that is none. Also the number of its turnstile.
pub(super) fn worker_index() -> usize {
    with(|local| local.index.get())
}

/// The list to which [`defer`] adds here; `None` on a thread that runs no coroutines, where it adds to none.
pub(crate) fn list_number() -> Option<usize> {
    with(|local| local.beat.get().map(|_| local.index.get()))
}

/// Says which worker this thread is.
pub(super) fn set_worker_index(index: usize) {
    with(|local| {
        local.index.set(index);
        if let Some(beat) = local.beat.get() {
            beat.set_worker(index);
        }
    });
}

/// Runs `f` on the spare buffers of this thread. `None` where the thread is past its thread-locals, as when a static drops
/// its last value.
pub(super) fn with_spare<R>(f: impl FnOnce(&mut Spare) -> R) -> Option<R> {
    try_with(|local| f(&mut local.spare.get_or_init(SharedSpare::register).lock())).ok()
}

/// Longest list of deferred calls that is kept for its memory.
const MAX_KEPT_CALLS: usize = 4096;

struct Local {
    running: RefCell<Option<Arc<Record>>>,
    beat: Cell<Option<&'static Beat>>,
    deferred: RefCell<Vec<Arc<dyn Deferred>>>,
    spent: RefCell<Vec<Arc<Waiter>>>,
    pace: Cell<Pace>,
    index: Cell<usize>,
    /// Shared with who empties it.
    spare: OnceCell<Arc<SharedSpare>>,
}

mod local {
    use super::{Cell, Local, OnceCell, Pace, RefCell};

    thread_local! {
        pub(super) static LOCAL: Local = const {
            Local {
                running: RefCell::new(None),
                beat: Cell::new(None),
                deferred: RefCell::new(Vec::new()),
                spent: RefCell::new(Vec::new()),
                pace: Cell::new(Pace::new()),
                index: Cell::new(0),
                spare: OnceCell::new(),
            }
        };
    }
}

/// Runs `f` on the thread's own state. Never inlined: inlined twice into one coroutine, the thread's address could be
/// kept across a yield between the two.
#[inline(never)]
fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    local::LOCAL.with(f)
}

/// As [`with`], for a thread that may be ending.
#[inline(never)]
fn try_with<R>(f: impl FnOnce(&Local) -> R) -> Result<R, std::thread::AccessError> {
    local::LOCAL.try_with(f)
}
