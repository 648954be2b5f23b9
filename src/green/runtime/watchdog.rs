//! The watchdog: names the coroutine that keeps a worker from running any other.
//!
//! Each worker says which coroutine it runs and counts its turns: two plain stores a wait, no clock. A thread looks
//! now and then; if it finds the same turn of the same coroutine for longer than [`STALL`], it says so in the log,
//! and again, with how long it took, when it is over. Meanwhile new coroutines begin on other workers (`start.rs`).

use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[cfg(feature = "admin")]
use super::figures::{TimedTurns, WorkerFigures};
use super::home::Home;
use super::poller::{self, send_the_idle_to_may};
use super::stack_note::StackNote;
use super::{home, loop_exit, overflow, start};
use crate::green::coroutines;
use crate::green::spawn::record::Record;
use crate::lock::Lock;

/// How often the watchdog, which looks every 25 to 100 ms, has found that a coroutine had kept its worker for 50 ms without
/// waiting. Each time is a warning in the log that names it. For tests and metrics.
///
/// If this grows, a handler blocks or computes: see [`blocking`](crate::green::blocking).
#[doc(alias("EventLoopBlocked", "assert_switches", "subscribers"))]
pub fn stalls() -> u64 {
    STALLS.load(Ordering::Relaxed)
}

/// What one worker runs. Written by it alone.
pub(super) struct Beat {
    /// The number of the coroutine that runs, 0 while none does.
    running: AtomicU64,
    turns: AtomicU64,
    /// Which worker it is, once it knows.
    home: AtomicUsize,
    note: &'static StackNote,
    #[cfg(feature = "admin")]
    timed: TimedTurns,
}

impl Beat {
    /// The beat of the thread that calls, which runs coroutines. Threads that do live as long as the process.
    pub(super) fn of_new_worker() -> &'static Self {
        let (running, turns, home) = (AtomicU64::new(0), AtomicU64::new(0), AtomicUsize::new(usize::MAX));
        let beat: &'static Self = Box::leak(Box::new(Self {
            running,
            turns,
            home,
            note: overflow::watch_worker(),
            #[cfg(feature = "admin")]
            timed: TimedTurns::here(),
        }));
        BEATS.lock().push(beat);
        beat
    }

    /// `now`: in milliseconds, 0 unless waits are timed. As for [`end_turn`](Self::end_turn).
    pub(super) fn begin_turn(&self, coroutine: &Record, now: u32) {
        #[cfg(feature = "admin")]
        self.timed.begin(now);
        #[cfg(not(feature = "admin"))]
        let _ = now;
        self.note.set_running(coroutine);
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.running.store(coroutine.id(), Ordering::Relaxed);
    }

    pub(super) fn end_turn(&self, now: u32) {
        #[cfg(feature = "admin")]
        self.timed.end(now);
        #[cfg(not(feature = "admin"))]
        let _ = now;
        self.running.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_home(&self, home: usize) {
        self.home.store(home, Ordering::Relaxed);
    }

    fn set_held(&self, is_held: bool) {
        if let Some(home) = home::all().get(self.home.load(Ordering::Relaxed)) {
            home.set_held(is_held);
        }
    }

    fn set_busy(&self, is_busy: bool) {
        if let Some(home) = home::all().get(self.home.load(Ordering::Relaxed)) {
            home.set_busy(is_busy);
        }
    }

    pub(super) const fn turns(&self) -> &AtomicU64 {
        &self.turns
    }

    /// The number of the coroutine that runs, and how many turns there were.
    pub(super) fn look(&self) -> (u64, u64) {
        (self.running.load(Ordering::Relaxed), self.turns.load(Ordering::Relaxed))
    }
}

/// Starts the watchdog, once. If no thread can be started there is none, and the log says so.
pub(super) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let started = std::thread::Builder::new().name("zinx-watchdog".to_string()).spawn(keep_watch);
        if let Err(error) = started {
            log::error!("cannot start the watchdog: {error}");
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, that runs no coroutine")]
fn keep_watch() {
    let (mut seen, mut looks, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    let mut quiet_looks = 0_u32;
    loop {
        let beats = BEATS.lock().clone();
        send_the_idle_to_may(&mut looks);
        let quiet = !look_for_held(&beats, &mut seen);
        start::look_after();
        home::all().iter().for_each(Home::trim_spares);
        quiet_looks = if quiet { quiet_looks + 1 } else { 0 };
        if quiet_looks > 0 && quiet_looks.is_multiple_of(LOOKS_PER_EXIT) {
            loop_exit::look(&beats);
        }
        if quiet {
            std::thread::sleep(QUIET_PERIOD);
        } else if home::all().len() == 1 {
            std::thread::sleep(PERIOD);
        } else {
            for _ in 0..RELIEFS {
                std::thread::sleep(PERIOD / RELIEFS);
                relieve_busy(&beats, &mut turns);
            }
        }
    }
}

/// `true` if something has run since the last look.
fn look_for_held(beats: &[&'static Beat], seen: &mut Vec<Seen>) -> bool {
    let mut has_run = false;
    for (worker, beat) in beats.iter().enumerate() {
        if seen.len() == worker {
            seen.push(Seen { turn: (0, 0), since: Instant::now(), told: None });
        }
        has_run |= seen[worker].look(worker, beat.look());
        beat.set_held(seen[worker].told.is_some());
    }
    has_run
}

/// Lets others go on with what waits for a worker that has been in the same turn since the last look.
fn relieve_busy(beats: &[&'static Beat], turns: &mut Vec<(u64, u64)>) {
    turns.resize(beats.len(), (0, 0));
    for (beat, before) in beats.iter().zip(&mut *turns) {
        let turn = beat.look();
        beat.set_busy(turn.0 != 0 && turn == *before);
        *before = turn;
    }
    home::all().iter().filter(|home| home.is_busy()).for_each(poller::relieve);
}

/// What was seen of one worker at the last look.
struct Seen {
    turn: (u64, u64),
    since: Instant,
    /// The name of the coroutine that has been reported for this turn.
    told: Option<String>,
}

impl Seen {
    /// `true` if something has run since the last look.
    fn look(&mut self, worker: usize, turn: (u64, u64)) -> bool {
        let held = self.since.elapsed();
        if turn != self.turn {
            if let Some(name) = self.told.take() {
                log::warn!("{name} held worker {worker} for {} ms", held.as_millis());
            }
            *self = Self { turn, since: Instant::now(), told: None };
            return true;
        }
        let (running, _) = turn;
        if running != 0 && held >= STALL && self.told.is_none() {
            let name = name_of(running);
            log::warn!(
                "{name} has held worker {worker} for {} ms: no other coroutine runs there",
                held.as_millis()
            );
            self.told = Some(name);
            STALLS.fetch_add(1, Ordering::Relaxed);
        }
        running != 0
    }
}

fn name_of(id: u64) -> String {
    let found = coroutines().into_iter().find(|coroutine| coroutine.id() == id);
    found.map_or_else(
        || format!("coroutine {id}"),
        |coroutine| format!("coroutine {id} {:?}", coroutine.name()),
    )
}

/// Whether the workers get anywhere, for one who looks now and then.
#[derive(Default)]
pub(crate) struct Pulse(Vec<((u64, u64), Option<Instant>)>);

impl Pulse {
    /// For how long all workers have been in the same turn, as far as can be seen: none if one of them rests, or has begun
    /// another turn since the last look.
    pub(crate) fn stuck(&mut self) -> Duration {
        let beats = BEATS.lock().clone();
        self.0.resize(beats.len(), ((0, 0), None));
        let mut all = Duration::MAX;
        for (beat, (turn, since)) in beats.iter().zip(&mut self.0) {
            let now = beat.look();
            if now != *turn || since.is_none() {
                (*turn, *since) = (now, Some(Instant::now()));
            }
            let stuck = since.filter(|_| now.0 != 0).map_or(Duration::ZERO, |since| since.elapsed());
            all = all.min(stuck);
        }
        if beats.is_empty() { Duration::ZERO } else { all }
    }
}

/// What is known of each worker, in order.
#[cfg(feature = "admin")]
pub(crate) fn worker_figures() -> Vec<WorkerFigures> {
    let all = BEATS.lock().clone();
    let home = |beat: &Beat| Some(beat.home.load(Ordering::Relaxed)).filter(|home| *home != usize::MAX);
    let mut all: Vec<_> = all.into_iter().filter_map(|beat| Some(beat.timed.figures(home(beat)?))).collect();
    all.sort_by_key(|figures| figures.worker);
    all
}

static BEATS: Lock<Vec<&'static Beat>> = Lock::new(Vec::new());
static STALLS: AtomicU64 = AtomicU64::new(0);

/// How long one coroutine may keep a worker.
const STALL: Duration = Duration::from_millis(50);

/// Between two looks, and between two while nothing has run.
const PERIOD: Duration = Duration::from_millis(25);
const QUIET_PERIOD: Duration = Duration::from_millis(100);

/// Looks without anything that runs, before it is asked whether anything ever will.
const LOOKS_PER_EXIT: u32 = 10;

/// How often in a period it is looked whether rides wait for a worker that is busy, while another is free: every 2 ms.
const RELIEFS: u32 = 12;
