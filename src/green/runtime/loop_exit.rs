//! Finds a program in which every wait is for another wait, so that nothing will ever run again: gevent's `LoopExit`.
//!
//! A thread of the program that waits then panics with a list of what each coroutine waits for, instead of hanging. There are
//! no false alarms, because *what cannot be known counts as a way out*. It is a deadlock only if all of this is true at one
//! moment:
//!
//! - Threads of the program wait for something of `green` without a time limit. The only other threads are the workers, the
//!   timer and the watchdog. A listener, a server, the pool of `blocking`, a logger on a thread or a thread of another
//!   library is one thread more, so it rules a deadlock out.
//! - Every coroutine waits for what another coroutine gives. One that sleeps, or waits for a socket, a pipe or a process,
//!   rules it out.
//! - No deadline is pending, and no signal has a handler.
//! - No coroutine runs or can run. Each worker is asked to look at its queues and finds nothing, and no coroutine has run
//!   between the look before that and the look after.
//!
//! The watchdog looks once a second while nothing runs. It cannot see coroutines that other code starts by calling `may`.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use super::home::{self, Home};
use super::park::Waiter;
use super::watchdog::Beat;
use super::{poller, timer};
use crate::green::coroutines;
use crate::lock::Lock;
use crate::log_line::Shown;

/// Notes that a thread of the program is about to wait without a time limit. The note is dropped when the wait has ended.
pub(super) fn note(waiter: &Arc<Waiter>) -> Option<Noted> {
    waiter.is_of_the_program().then(|| {
        WAITS.fetch_add(1, Ordering::SeqCst);
        WAITING.lock().push(Arc::clone(waiter));
        Noted(Arc::clone(waiter))
    })
}

/// Ends the wait of a thread whose wait [is part of a deadlock](Waiter::end_deadlock).
pub(super) fn raise() -> ! {
    let report = REPORT.lock().clone();
    panic!("{report}")
}

pub(super) struct Noted(Arc<Waiter>);

impl Drop for Noted {
    fn drop(&mut self) {
        WAITING.lock().retain(|waiter| !Arc::ptr_eq(waiter, &self.0));
    }
}

/// Looks whether anything can ever run again; if not, ends the waits of the program's threads.
pub(super) fn look(beats: &[&'static Beat]) {
    if WAITING.lock().is_empty() || !is_at_an_end() {
        return;
    }
    let before = Moment::now(beats);
    if before.is_quiet() && all_have_looked() && is_at_an_end() && Moment::now(beats) == before {
        *REPORT.lock() = report();
        let waiting = WAITING.lock().clone();
        for waiter in waiting {
            waiter.end_deadlock();
        }
    }
}

/// What has run so far, and what runs now.
#[derive(PartialEq, Eq)]
struct Moment {
    turns: Vec<(u64, u64)>,
    waits: u64,
}

impl Moment {
    fn now(beats: &[&'static Beat]) -> Self {
        fence(Ordering::SeqCst);
        let turns = beats.iter().map(|beat| beat.look()).collect();
        Self { turns, waits: WAITS.load(Ordering::SeqCst) }
    }

    fn is_quiet(&self) -> bool {
        self.turns.iter().all(|(running, _)| *running == 0)
    }
}

/// Whether nothing is known that could end any wait. Cheap questions come first.
fn is_at_an_end() -> bool {
    timer::is_idle()
        && !poller::may_is_used()
        && all_threads_are_known()
        && home::all().iter().all(Home::is_idle)
        && coroutines().iter().filter_map(|one| one.awaits()).all(|awaits| awaits.is_for_another())
        // After the threads were counted: if one has ended meanwhile, the wait that it ended is seen here.
        && WAITING.lock().iter().all(|waiter| waiter.still_waits())
}

/// Whether all threads of the process are known, and no signal has a handler.
fn all_threads_are_known() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let threads = value("Threads:").and_then(|count| count.parse().ok());
    let caught = value("SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    let known = home::all().len() + THREADS_OF_MAY + THIS_THREAD + timer::threads() + WAITING.lock().len();
    threads == Some(known) && caught.is_some_and(|caught| caught & !OF_THE_RUNTIME == 0)
}

/// Has every worker look at what it has to run, and waits until all have.
fn all_have_looked() -> bool {
    let looks = || home::all().iter().map(|home| home.looks().load(Ordering::SeqCst));
    let before: Vec<_> = looks().collect();
    home::all().iter().for_each(Home::ring);
    (0..PATIENCE_MS).any(|_| {
        #[expect(clippy::disallowed_methods, reason = "the watchdog, a thread that runs no coroutine")]
        std::thread::sleep(Duration::from_millis(1));
        looks().zip(&before).all(|(now, before)| now > *before) && home::all().iter().all(Home::is_idle)
    })
}

fn report() -> String {
    let all: Vec<_> = coroutines().into_iter().filter(|one| one.awaits().is_some()).collect();
    let mut text = WORDS.to_string();
    for one in all.iter().take(MAX_LINES) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {} \"{}\" {}", one.id(), Shown(&one.name()), one.activity());
    }
    if all.len() > MAX_LINES {
        let _ = write!(text, "\n  and {} more", all.len() - MAX_LINES);
    }
    text
}

/// Threads of the program that wait without a time limit.
static WAITING: Lock<Vec<Arc<Waiter>>> = Lock::new(Vec::new());

/// How many such waits have begun.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Written before the waits are ended.
static REPORT: Lock<String> = Lock::new(String::new());

const WORDS: &str = "LoopExit: this wait would never end: all that is left waits for each other, \
    and no timer, socket, signal or thread is there to wake one";

/// Coroutines that are named.
const MAX_LINES: usize = 50;

/// `may` has a timer thread beside its workers.
const THREADS_OF_MAY: usize = 1;

/// The watchdog.
const THIS_THREAD: usize = 1;

/// Signals that the runtime, the standard library and the C library catch: SIGBUS, SIGSEGV, and two of the C library's own.
const OF_THE_RUNTIME: u64 = 1 << 6 | 1 << 10 | 1 << 31 | 1 << 32;

/// How long the workers may take to look.
const PATIENCE_MS: u32 = 1000;
