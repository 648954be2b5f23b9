//! Fairness: a coroutine that has run for a slice of time lets its worker look at the network before it continues.
//!
//! A worker of `may` runs its queue until it is empty and only then polls epoll, so coroutines that find work without
//! waiting would starve every other connection. Each primitive and each socket operation is therefore a fairness
//! point. The first look at the clock after a poll begins a slice, the next poll ends it. A coroutine that finds the slice
//! older than [`SLICE`] lets others run: it parks until the [poller](super::poller) of its worker has looked at the network,
//! and everything that has become ready runs before it. One that yields on its own within a slice lets those run that are
//! ready: with a look at the network, which is a system call, it would take twice as long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::awaits::Awaits;
use super::home::{self, Home};
use super::park::Sleeper;
use super::worker::{self, Deferred};
use crate::green::spawn::interrupt;

/// Lets others run: those ready now, and those the network has made ready. If their worker has looked at the network within the
/// last 50 microseconds, it does not look again, so that one call may be too early for what has just arrived.
///
/// A loop of `yield_now` starves no other coroutine. On a plain thread it is [`std::thread::yield_now`]. A coroutine that has been
/// killed ends here, and so does a body whose time limit is over. In a destructor that runs while its coroutine unwinds
/// it does nothing.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// green::run(|| {
///     let other = green::spawn(|| 7);
///     while !other.ready() {
///         green::yield_now();
///     }
/// });
/// ```
pub fn yield_now() {
    if interrupt::is_unwinding() {
        return;
    }
    before_yield();
    let_others_run();
    interrupt::check();
}

/// A fairness point: yields if the worker has been busy for longer than its slice. Whatever of this module may wait calls it.
#[doc(alias("getswitchinterval", "setswitchinterval"))]
pub fn fairness_point() {
    if is_due() {
        yield_now();
    }
}

/// As [`fairness_point`], with a look at the clock each time.
pub(in crate::green) fn take_turn() {
    if look(clock()) {
        yield_now();
    }
}

/// As [`fairness_point`], behind an attempt to give something away. If it has succeeded, an interrupt has to wait: a
/// caller that unwinds has given nothing.
pub(in crate::green) fn after_attempt(succeeded: bool) {
    if !succeeded {
        fairness_point();
    } else if is_due() && !interrupt::is_unwinding() {
        before_yield();
        let_others_run();
    }
}

fn is_due() -> bool {
    // The count first: asking `may` costs more.
    worker::pace(|pace| pace.count()) && may::coroutine::is_coroutine() && look(clock())
}

/// Does what was put off until now. Called before each wait.
pub(crate) fn before_yield() {
    if let Some(calls) = worker::take_deferred() {
        run_deferred(calls);
    }
}

/// Not inlined: most waits have nothing to do.
#[inline(never)]
fn run_deferred(mut calls: Vec<Arc<dyn Deferred>>) {
    loop {
        for call in calls.drain(..) {
            call.run();
            after_call();
        }
        let Some(more) = worker::give_deferred_list(calls) else { return };
        calls = more;
    }
}

/// A fairness point behind a call put off, or behind what takes the place of one. Nothing interrupts it.
pub(crate) fn after_call() {
    if worker::pace(|pace| pace.count()) && look(clock()) {
        let_others_run();
    }
}

/// A turn of work in a coroutine that serves many units (frames) a wake-up: says when to let others run.
///
/// A coroutine that has just been woken gets a short turn of its own even if its worker's slice is over; otherwise
/// a worker with many busy connections would look at the network for each of them on every round.
pub(crate) struct Turn {
    pace: Pace,
    started: u64,
}

impl Turn {
    /// Begins a turn; the coroutine has just been woken.
    pub(crate) const fn new() -> Self {
        Self { pace: Pace::new(), started: 0 }
    }

    /// Counts one unit of work; at times looks at the clock and lets others run.
    #[inline]
    pub(crate) fn unit(&mut self) {
        if self.pace.count() {
            self.look();
        }
    }

    /// Looks at the clock and lets others run if this turn and the worker's slice are over.
    #[inline(never)]
    fn look(&mut self) {
        if self.is_over() {
            yield_now();
            *self = Self::new();
        }
    }

    /// Looks at the clock: whether this turn and the worker's slice are over.
    pub(crate) fn is_over(&mut self) -> bool {
        let now = clock();
        self.pace.looked(now);
        let over = look(now);
        if self.started == 0 {
            self.started = now;
        }
        over && now - self.started > TURN
    }
}

/// How many fairness points to pass before the next look at the clock, which costs more than most primitives.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    left: u32,
    looked: u64,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { left: POINTS_PER_LOOK, looked: 0 }
    }

    /// Counts a point. `true`: look at the clock now.
    pub(super) fn count(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            self.left = POINTS_PER_LOOK;
        }
        self.left == POINTS_PER_LOOK
    }

    /// After a look: if the points since the last one took longer than a slice, look again at the very next.
    fn looked(&mut self, now: u64) {
        self.left = if now - self.looked > SLICE { 1 } else { POINTS_PER_LOOK };
        self.looked = now;
    }
}

/// How often coroutines have let others run: because their worker's slice was over, or by [`yield_now`]. For tests and metrics.
pub fn fair_yields() -> u64 {
    FAIR_YIELDS.load(Ordering::Relaxed)
}

/// Looks at the slice of this worker, beginning one if none runs. `true` if it is over.
fn look(now: u64) -> bool {
    worker::pace(|pace| pace.looked(now));
    home::here().is_some_and(|home| look_at(home, now))
}

/// Whether the network of a worker has not been looked at for a whole slice. Asked by its poller.
pub(super) fn slice_is_over(home: &Home) -> bool {
    look_at(home, clock())
}

/// When a carrier should let others run, and its poller look at the network: after a slice if somebody waits for it, else after
/// a few. A look is a system call, and rides that it finds come after those that are ready anyway.
pub(super) struct RidePace {
    /// How many rides to carry before the next look at the clock.
    left: u32,
    looked: u64,
}

impl RidePace {
    pub(super) const fn new() -> Self {
        Self { left: 1, looked: 0 }
    }

    /// Counts a ride.
    pub(super) fn is_over(&mut self, home: &Home) -> bool {
        self.left -= 1;
        self.left == 0 && self.look(home)
    }

    /// Looks at the clock; again after the very next ride, if those since the last look took long.
    #[inline(never)]
    fn look(&mut self, home: &Home) -> bool {
        let now = clock();
        self.left = if now - self.looked > CARRIER_SLICE { 1 } else { RIDES_PER_LOOK };
        self.looked = now;
        let is_waited_for = worker::is_carrier_waited_for() || home.has_mail() || home.has_arriving();
        age(home, now) > if is_waited_for { SLICE } else { CARRIER_SLICE }
    }
}

fn look_at(home: &Home, now: u64) -> bool {
    age(home, now) > SLICE
}

/// How long ago the slice of a worker began. Begins one if none runs.
fn age(home: &Home, now: u64) -> u64 {
    match home.slice().load(Ordering::Relaxed) {
        0 => {
            home.slice().store(now, Ordering::Relaxed);
            // At rest, it would not look before all others wait.
            home.call_poller();
            0
        }
        start => now.saturating_sub(start),
    }
}

/// Parks until those have run that are ready, and, if the slice is over, those that the network has made ready.
fn let_others_run() {
    match worker::current() {
        Some(me) if me.is_coroutine() => {
            FAIR_YIELDS.fetch_add(1, Ordering::Relaxed);
            wait_for_turn(home::of(me.home()), Sleeper::begin());
        }
        _ if may::coroutine::is_coroutine() => may::coroutine::yield_now(),
        _ => std::thread::yield_now(),
    }
}

/// Parks the caller, whose wait this is, until the poller has come round, and has looked at the network if the slice is over.
pub(super) fn wait_for_turn(home: &Home, sleeper: Sleeper) {
    worker::queue_for_turn(sleeper.clone());
    home.call_poller();
    sleeper.wait_out(Awaits::Turn);
}

/// Nanoseconds of the monotonic clock, never 0.
fn clock() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

static FAIR_YIELDS: AtomicU64 = AtomicU64::new(0);

/// How long, in nanoseconds, a worker may go without looking at the network.
const SLICE: u64 = 50_000;

/// The same for a carrier, while nobody else is known to wait.
const CARRIER_SLICE: u64 = 4 * SLICE;

/// Rides between two looks of their carrier at the clock.
const RIDES_PER_LOOK: u32 = 8;

/// The turn, in nanoseconds, that a woken coroutine gets whatever its worker's slice says.
const TURN: u64 = 5_000;

/// Fairness points between two looks at the clock.
const POINTS_PER_LOOK: u32 = 16;
