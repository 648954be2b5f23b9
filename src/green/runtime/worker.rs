//! What belongs to a worker, the thread that green threads run on: calls put off until one next yields, what has been
//! woken, the pace, read buffers.
//!
//! This file holds the crate's only thread-local. No reference into it outlives one of the accessors below, and none of
//! them yields.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::awaits::Awaits;
use super::buffers::Spare;
use super::fair::Pace;
use super::idle::{Idle, MOST_IDLE};
use super::park::Sleeper;
use super::poller::note_use_of_may;
use super::slots::Slots;
use super::start::Next;
use super::watchdog::Beat;
use crate::green::spawn::record::Record;

/// Something to do when the running coroutine next yields, whatever it yields on, or when it ends.
pub(crate) trait Deferred: Send + Sync {
    /// Does it. Must neither block nor yield.
    fn run(self: Arc<Self>);
}

/// Puts `call` off until the running coroutine yields or ends. On a plain thread, which never yields, runs it at once.
pub(crate) fn defer(call: Arc<dyn Deferred>) {
    let on_worker = |local: &Local| match local.index.get() {
        NO_WORKER => Some(call),
        _ => {
            local.deferred.borrow_mut().push(call);
            None
        }
    };
    if let Some(call) = with(on_worker) {
        defer_elsewhere(call);
    }
}

/// As [`defer`], on a thread that is no worker. Those run coroutines only, so that need not be asked there.
#[cold]
fn defer_elsewhere(call: Arc<dyn Deferred>) {
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

/// Takes a call back that was put off on this thread, if it is the last one.
pub(crate) fn take_back(call: &impl Deferred) -> Option<Arc<dyn Deferred>> {
    with(|local| {
        let is_it =
            |last: &mut Arc<dyn Deferred>| std::ptr::addr_eq(Arc::as_ptr(last), std::ptr::from_ref(call));
        local.deferred.borrow_mut().pop_if(is_it)
    })
}

/// Takes the calls put off on this thread, if there are any, for `super::fair::before_yield`.
pub(super) fn take_deferred() -> Option<Vec<Arc<dyn Deferred>>> {
    with(|local| {
        let mut current = local.deferred.borrow_mut();
        (!current.is_empty()).then(|| std::mem::take(&mut *current))
    })
}

/// Gives the emptied list back, so that its memory serves again. If calls were put off meanwhile, takes those.
pub(super) fn give_deferred_list(list: Vec<Arc<dyn Deferred>>) -> Option<Vec<Arc<dyn Deferred>>> {
    with(|local| {
        let mut current = local.deferred.borrow_mut();
        if !current.is_empty() {
            return Some(std::mem::replace(&mut *current, list));
        }
        if current.capacity() < list.capacity() && list.capacity() <= MAX_KEPT_CALLS {
            *current = list;
        }
        None
    })
}

/// Takes the record of the coroutine that runs here, which is about to wait for `what`. Whatever yields, yields
/// between this and [`resume`]: the record is with the thread only while its coroutine runs there.
pub(in crate::green) fn leave(what: Awaits) -> Option<Arc<Record>> {
    let me = with(|local| {
        let me = local.running.take();
        let now = me.as_ref().map_or(0, |me| me.activity().set(what));
        if let Some(beat) = local.beat.get() {
            beat.end_turn(now);
        }
        me
    });
    if let Some(me) = &me {
        me.stack().reserve_way_back();
    }
    me
}

/// Gives the record of the coroutine that runs here from now on.
pub(in crate::green) fn resume(me: Option<Arc<Record>>) {
    resume_and(me, |_| {});
}

/// As [`resume`], for a ride: its carrier does not go through the queue meanwhile.
pub(super) fn board(me: Arc<Record>) {
    resume_and(Some(me), |local| local.seen_to.set(false));
}

#[inline]
fn resume_and(me: Option<Arc<Record>>, also: impl FnOnce(&Local)) {
    let now = me.as_ref().map_or(0, |me| me.activity().set(Awaits::Nothing));
    let stale = with(|local| {
        if let Some(me) = me.as_ref().filter(|me| me.is_coroutine()) {
            let beat = local.beat.get().unwrap_or_else(|| {
                let beat = Beat::of_new_worker();
                local.beat.set(Some(beat));
                beat
            });
            beat.begin_turn(me, now);
        }
        also(local);
        local.running.replace(me)
    });
    if stale.is_some() {
        note_use_of_may();
    }
}

/// Whether a coroutine has its record with this thread.
pub(super) fn is_occupied() -> bool {
    with(|local| local.running.borrow().is_some())
}

/// The record of the coroutine that runs here, or of the thread if it has one.
pub(in crate::green) fn current() -> Option<Arc<Record>> {
    with(|local| local.running.borrow().clone())
}

/// How often a green thread has begun or gone on, on this thread. `None` on a thread that runs none.
pub(crate) fn turns_here() -> Option<&'static AtomicU64> {
    with(|local| local.beat.get().map(Beat::turns))
}

/// Counts fairness points passed on this thread. Nothing is counted on a thread that is past its thread-locals.
pub(super) fn pace<R: Default>(update: impl FnOnce(&mut Pace) -> R) -> R {
    let counted = try_with(|local| {
        let mut pace = local.pace.get();
        let result = update(&mut pace);
        local.pace.set(pace);
        result
    });
    counted.unwrap_or_default()
}

/// The worker the caller runs on, from 0; `None` on a thread that is none.
pub(crate) fn home_index() -> Option<usize> {
    Some(with(|local| local.index.get())).filter(|index| *index != NO_WORKER)
}

/// Whether the caller runs on this worker.
pub(super) fn is_home(index: usize) -> bool {
    with(|local| local.index.get()) == index
}

/// Says which worker this thread is. `false` if it is another.
pub(super) fn set_home(index: usize) -> bool {
    with(|local| {
        if local.index.get() == NO_WORKER {
            local.index.set(index);
            local.spare.borrow_mut().keep_many();
            if let Some(beat) = local.beat.get() {
                beat.set_home(index);
            }
        }
        local.index.get() == index
    })
}

/// Takes note that a green thread of this worker was woken.
pub(in crate::green) fn count_woken() {
    with(|local| {
        local.woken.set(local.woken.get() + 1);
        local.behind_carrier.set(true);
    });
}

/// How many were woken since the poller last let all run.
pub(super) fn woken() -> u32 {
    with(|local| local.woken.get())
}

/// The carrier goes behind all that were woken.
pub(super) fn put_carrier_last() {
    with(|local| local.behind_carrier.set(false));
}

/// Whether green threads of this worker wait for the carrier to let them run.
pub(super) fn is_carrier_waited_for() -> bool {
    with(|local| local.behind_carrier.get() || !local.turns.borrow().is_empty())
}

/// All run before the poller does again.
pub(super) fn forget_woken() {
    with(|local| local.woken.set(0));
}

/// Asks the poller to wake a green thread after its next look at the network.
pub(super) fn queue_for_turn(sleeper: Sleeper) {
    with(|local| local.turns.borrow_mut().push(sleeper));
}

/// Takes those who wait for their turn.
pub(super) fn take_turns() -> Vec<Sleeper> {
    with(|local| local.turns.take())
}

/// Gives the emptied list back, so that its memory serves again.
pub(super) fn give_turns(list: Vec<Sleeper>) {
    with(|local| {
        let mut current = local.turns.borrow_mut();
        if current.is_empty() {
            *current = list;
        }
    });
}

/// Keeps the body of a green thread that is about to be spawned here. Returns its place.
pub(in crate::green) fn leave_body(body: Box<dyn Any>) -> u32 {
    with(|local| local.bodies.borrow_mut().insert(body))
}

/// Takes what `leave_body` has kept, once.
pub(in crate::green) fn take_body(at: u32) -> Option<Box<dyn Any>> {
    with(|local| local.bodies.borrow_mut().remove(at))
}

/// Keeps a coroutine that waits for a green thread to run. `false` if there are enough.
pub(super) fn keep_idle(idle: &Arc<Idle<Next>>) -> bool {
    with(|local| {
        let mut kept = local.idle.borrow_mut();
        let keeps = kept.len() < MOST_IDLE;
        if keeps {
            kept.push(Arc::clone(idle));
        }
        keeps
    })
}

/// Takes the one that has waited for the shortest time.
pub(super) fn take_idle() -> Option<Arc<Idle<Next>>> {
    with(|local| local.idle.borrow_mut().pop())
}

/// Whether a carrier goes through the queue of rides.
pub(super) fn is_seen_to() -> bool {
    with(|local| local.seen_to.get())
}

/// Returns what was so before.
pub(super) fn set_seen_to(is: bool) -> bool {
    with(|local| local.seen_to.replace(is))
}

/// A carrier of this worker is back from a ride, and goes through the queue again. Returns whether another did by now; `None`,
/// and nothing is done, on another worker.
pub(super) fn see_to_again(index: usize) -> Option<bool> {
    with(|local| (local.index.get() == index).then(|| local.seen_to.replace(true)))
}

/// Runs `f`, which calls nothing in here, on the spare buffers of this thread. `None` if the thread is past its thread-locals, as
/// when a static drops its last value.
pub(super) fn with_spare<R>(f: impl FnOnce(&mut Spare) -> R) -> Option<R> {
    try_with(|local| f(&mut local.spare.borrow_mut())).ok()
}

/// Longest list of deferred calls that is kept for its memory.
const MAX_KEPT_CALLS: usize = 4096;

/// The number of a thread that is no worker.
const NO_WORKER: usize = usize::MAX;

struct Local {
    running: RefCell<Option<Arc<Record>>>,
    beat: Cell<Option<&'static Beat>>,
    deferred: RefCell<Vec<Arc<dyn Deferred>>>,
    pace: Cell<Pace>,
    index: Cell<usize>,
    woken: Cell<u32>,
    /// Some were woken since the carrier was put behind all others.
    behind_carrier: Cell<bool>,
    turns: RefCell<Vec<Sleeper>>,
    bodies: RefCell<Slots<Box<dyn Any>>>,
    /// A carrier goes through the queue of rides.
    seen_to: Cell<bool>,
    idle: RefCell<Vec<Arc<Idle<Next>>>>,
    spare: RefCell<Spare>,
}

mod local {
    use super::{Cell, Local, NO_WORKER, Pace, RefCell, Slots, Spare};

    thread_local! {
        pub(super) static LOCAL: Local = const {
            Local {
                running: RefCell::new(None),
                beat: Cell::new(None),
                deferred: RefCell::new(Vec::new()),
                pace: Cell::new(Pace::new()),
                index: Cell::new(NO_WORKER),
                woken: Cell::new(0),
                behind_carrier: Cell::new(false),
                turns: RefCell::new(Vec::new()),
                bodies: RefCell::new(Slots::new()),
                seen_to: Cell::new(false),
                idle: RefCell::new(Vec::new()),
                spare: RefCell::new(Spare::new()),
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
