//! Fairness: whoever has kept a worker busy for a slice of time lets it look at the network before going on.
//!
//! A worker of `may` runs its queue until it is empty and only then polls epoll, so coroutines that find work without
//! waiting would starve every other connection. Each primitive and each socket operation is therefore a fairness
//! point. The first look at the clock after a poll begins a slice and rings a bell, an eventfd in the worker's own
//! epoll; the next poll hears it and ends the slice. A coroutine that finds the slice older than [`SLICE`] passes the
//! worker's *turnstile*: it parks until the bell is heard, and everything that had become ready comes with it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use may::io::{CoIo, WaitIo};
use rustix::event::{EventfdFlags, eventfd};

use super::awaits::Awaits;
use super::greenlet::Builder;
use super::park::Waiter;
use super::{interrupt, worker};

/// Lets others run: those ready now, and those the network has made ready meanwhile.
///
/// A loop of `yield_now` starves nobody. On a plain thread it is [`std::thread::yield_now`]. A coroutine that has been
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
    pass_turnstile();
    interrupt::check();
}

/// A fairness point: yields where the worker has been busy for longer than its slice. Every primitive calls it.
pub fn fairness_point() {
    if is_due() {
        yield_now();
    }
}

/// As [`fairness_point`], with a look at the clock each time.
pub(super) fn take_turn() {
    if look(clock()) {
        yield_now();
    }
}

/// As [`fairness_point`], behind an attempt to give something away. Where it has succeeded, an interrupt has to wait: a
/// caller that unwinds has given nothing.
pub(super) fn after_attempt(succeeded: bool) {
    if !succeeded {
        fairness_point();
    } else if is_due() && !interrupt::is_unwinding() {
        before_yield();
        pass_turnstile();
    }
}

fn is_due() -> bool {
    may::coroutine::is_coroutine() && worker::pace(|pace| pace.count()) && look(clock())
}

/// Does what was put off until now. Called before each wait.
pub(crate) fn before_yield() {
    drop_spent();
    loop {
        let mut calls = worker::take_deferred();
        if calls.is_empty() {
            return worker::give_deferred_list(calls);
        }
        for call in calls.drain(..) {
            call.run();
            if worker::pace(|pace| pace.count()) && look(clock()) {
                pass_turnstile();
            }
        }
        worker::give_deferred_list(calls);
    }
}

/// Drops the waiters that wait for it; each may yield.
fn drop_spent() {
    let spent = worker::take_spent();
    if !spent.is_empty() {
        let me = worker::leave(Awaits::Turn);
        drop(spent);
        worker::resume(me);
    }
}

/// A turn of work in a coroutine that serves many units (frames) a wake-up: says when to let others run.
///
/// A coroutine that has just been woken gets a short turn of its own even where its worker's slice is over; otherwise
/// a worker with many busy connections would pay a turnstile for each of them on every round.
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
    pub(crate) fn unit(&mut self) {
        if self.pace.count() {
            self.look();
        }
    }

    /// Looks at the clock and lets others run where this turn and the worker's slice are over.
    pub(crate) fn look(&mut self) {
        let now = clock();
        self.pace.looked(now);
        let over = look(now);
        if self.started == 0 {
            self.started = now;
        } else if over && now - self.started > TURN {
            yield_now();
            *self = Self::new();
        }
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

    /// After a look: where the points since the last one took longer than a slice, look again at the very next.
    fn looked(&mut self, now: u64) {
        self.left = if now - self.looked > SLICE { 1 } else { POINTS_PER_LOOK };
        self.looked = now;
    }
}

/// How often a coroutine has let others run because its worker's slice was over. For tests and metrics.
pub fn fair_yields() -> u64 {
    FAIR_YIELDS.load(Ordering::Relaxed)
}

/// Builds one turnstile a worker. Called once, when the runtime starts.
pub(super) fn start_turnstiles(workers: usize) -> io::Result<()> {
    let mut turnstiles = Vec::with_capacity(workers);
    for worker in 0..workers {
        let round = Mutex::new(Round { waiting: Vec::new(), rung: false });
        turnstiles.push(Turnstile { slice: AtomicU64::new(0), round, bell: eventfd_of(worker, workers)? });
    }
    if TURNSTILES.set(turnstiles).is_ok() {
        for (worker, turnstile) in turnstiles_all().iter().enumerate() {
            Builder::new()
                .name("turnstile")
                .shielded()
                .worker(worker)
                .detach(move || turnstile.serve(worker))?;
        }
    }
    Ok(())
}

/// What one worker's slice and those who wait for its end hang on.
struct Turnstile {
    /// When the slice began, on [`clock`]; 0 says that the next look begins it. Written under the lock of `round`.
    slice: AtomicU64,
    round: Mutex<Round>,
    bell: OwnedFd,
}

struct Round {
    waiting: Vec<Arc<Waiter>>,
    rung: bool,
}

impl Turnstile {
    /// Begins a slice: from here to the next poll.
    fn begin_slice(&self, now: u64) {
        let mut round = self.lock();
        self.slice.store(now, Ordering::Relaxed);
        self.ring(&mut round);
    }

    fn pass(&self) {
        let waiter = Waiter::new();
        {
            let mut round = self.lock();
            round.waiting.push(Arc::clone(&waiter));
            self.ring(&mut round);
        }
        waiter.wait_out(Awaits::Turn);
    }

    fn ring(&self, round: &mut Round) {
        if !std::mem::replace(&mut round.rung, true) {
            // Fails only where 2^64 rings were never heard.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn serve(&'static self, worker: usize) {
        let bell = CoIo::new(Bell(self.bell.as_raw_fd()))
            .unwrap_or_else(|error| panic!("epoll refuses an eventfd: {error:?}"));
        loop {
            // Whoever has stolen it once is told by its own.
            worker::set_worker_index(worker);
            let me = worker::leave(Awaits::Socket);
            bell.wait_io();
            worker::resume(me);
            let waiting = {
                let mut round = self.lock();
                round.rung = false;
                self.slice.store(0, Ordering::Relaxed);
                std::mem::take(&mut round.waiting)
            };
            for waiter in waiting {
                waiter.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Bell(RawFd);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Looks at the slice of this worker, beginning one where none runs. `true` where it is over.
fn look(now: u64) -> bool {
    worker::pace(|pace| pace.looked(now));
    let Some(turnstile) = turnstile() else { return false };
    match turnstile.slice.load(Ordering::Relaxed) {
        0 => {
            turnstile.begin_slice(now);
            false
        }
        start => now.saturating_sub(start) > SLICE,
    }
}

fn pass_turnstile() {
    match turnstile() {
        Some(turnstile) if may::coroutine::is_coroutine() => {
            FAIR_YIELDS.fetch_add(1, Ordering::Relaxed);
            turnstile.pass();
        }
        _ => std::thread::yield_now(),
    }
}

fn turnstile() -> Option<&'static Turnstile> {
    turnstiles_all().get(worker::worker_index())
}

fn turnstiles_all() -> &'static [Turnstile] {
    TURNSTILES.get().map_or(&[], Vec::as_slice)
}

/// `may` gives descriptor `n` to the epoll of worker `n % workers`: opens eventfds until one falls to `worker`.
fn eventfd_of(worker: usize, workers: usize) -> io::Result<OwnedFd> {
    let mut misses = Vec::new();
    loop {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        if fd.as_raw_fd().unsigned_abs() as usize % workers == worker {
            return Ok(fd);
        }
        misses.push(fd);
    }
}

/// Nanoseconds of the monotonic clock, never 0.
fn clock() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

static TURNSTILES: OnceLock<Vec<Turnstile>> = OnceLock::new();
static FAIR_YIELDS: AtomicU64 = AtomicU64::new(0);

/// How long, in nanoseconds, a worker may go without looking at the network.
const SLICE: u64 = 50_000;

/// The turn, in nanoseconds, that a woken coroutine gets whatever its worker's slice says.
const TURN: u64 = 5_000;

/// Fairness points between two looks at the clock.
const POINTS_PER_LOOK: u32 = 16;
