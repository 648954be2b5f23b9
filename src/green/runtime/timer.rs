//! Deadlines: one thread that wakes waits whose time is up.
//!
//! `may` has timers of its own, but its timed park can lose one that is over before the coroutine is stored, and runs
//! the woken coroutine on its timer thread. Here a deadline only wakes: the coroutine continues on a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::until::Until;
use crate::green::net::socket::Socket;
use crate::lock::Lock;

/// Something that waits with a deadline.
pub(crate) trait Timed: Send + Sync {
    /// The deadline has come. Must neither block nor yield.
    fn time_is_up(&self);
}

/// A deadline that has been set, to take it back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::green) struct Deadline {
    at: Instant,
    /// Tells apart those of the same moment.
    number: u64,
}

/// How long the process has not run, all told: stopped by a signal or a debugger, or with its whole machine. A limit on
/// what a peer does leaves this out, for nothing was heard of the peer meanwhile.
///
/// The timer thread measures it: what it wakes much too late by is time in which it did not run. While it has not woken
/// yet, the caller adds that time, because after a standstill any thread may be the first to run. As it wakes once a second, of a
/// standstill less than a second is not noted. A process that waits for no deadline does not notice.
pub(crate) fn stood_still() -> Duration {
    // In this order: what is noted between the two looks is counted twice for a moment, rather than not at all.
    let late = late_by(GOES_ON_AT.load(Ordering::Acquire), nanos(Instant::now()));
    Duration::from_nanos(STOOD_STILL.load(Ordering::Acquire).saturating_add(late.unwrap_or(0)))
}

/// By how much the timer thread is late that goes on `at`, if that is more than a busy machine explains.
fn late_by(at: u64, now: u64) -> Option<u64> {
    Some(now.saturating_sub(at)).filter(|late| at != 0 && *late > SLACK)
}

/// Nanoseconds of the monotonic clock, never 0.
fn nanos(at: Instant) -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*EPOCH.get_or_init(Instant::now));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Tells `timed` at `at`, unless it is gone by then.
pub(in crate::green) fn set(at: Instant, timed: Weak<dyn Timed>) -> Deadline {
    let mut pending = lock();
    pending.last += 1;
    let deadline = Deadline { at, number: pending.last };
    pending.timed.insert(deadline, timed);
    let earliest = pending.timed.first_key_value().is_some_and(|(first, _)| *first == deadline);
    drop(pending);
    if earliest {
        thread().unpark();
    }
    deadline
}

/// Takes a deadline back; it may have come already.
pub(in crate::green) fn cancel(deadline: Deadline) {
    lock().timed.remove(&deadline);
}

/// Whether nothing has a deadline.
pub(super) fn is_idle() -> bool {
    lock().timed.is_empty()
}

/// How many threads this file has.
pub(super) fn threads() -> usize {
    usize::from(THREAD.get().is_some())
}

/// As [`set`], for a socket: a wait in epoll has no deadline of its own. The interrupted waiter looks at the clock: an
/// alarm set for a wait that has ended goes off all the same.
pub(in crate::green) fn set_alarm(socket: &Arc<Socket>, at: Instant) {
    let timed: Weak<Socket> = Arc::downgrade(socket);
    set(at, timed);
}

/// As [`set_alarm`], taken back when what is returned is dropped.
pub(crate) fn alarm<T: Timed + 'static>(what: &Arc<T>, at: Instant) -> Alarm {
    let timed: Weak<T> = Arc::downgrade(what);
    Alarm(set(at, timed))
}

/// An alarm for one wait.
pub(crate) struct Alarm(Deadline);

impl Alarm {
    /// Makes `alarm` go off at the end of `until`, which may have moved since it was set.
    pub(crate) fn keep<T: Timed + 'static>(alarm: &mut Option<Self>, what: &Arc<T>, until: Until) {
        let end = until.end();
        if alarm.as_ref().map(|alarm| alarm.0.at) != end {
            *alarm = end.map(|at| self::alarm(what, at));
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        cancel(self.0);
    }
}

impl Timed for Socket {
    fn time_is_up(&self) {
        self.interrupt();
    }
}

struct Pending {
    timed: BTreeMap<Deadline, Weak<dyn Timed>>,
    last: u64,
}

fn lock() -> MutexGuard<'static, Pending> {
    static PENDING: Lock<Pending> = Lock::new(Pending { timed: BTreeMap::new(), last: 0 });
    PENDING.lock()
}

/// The thread, started with the first deadline.
fn thread() -> &'static std::thread::Thread {
    THREAD.get_or_init(|| {
        let started = std::thread::Builder::new().name("zinx-timer".to_string()).spawn(keep_time);
        started.unwrap_or_else(|error| panic!("cannot start the timer thread: {error}")).thread().clone()
    })
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, that runs no coroutine")]
fn keep_time() {
    loop {
        let now = Instant::now();
        if let Some(late) = late_by(GOES_ON_AT.load(Ordering::Relaxed), nanos(now)) {
            // Before any waiter is woken and asks.
            STOOD_STILL.fetch_add(late, Ordering::Release);
        }
        GOES_ON_AT.store(nanos(now), Ordering::Release);
        let mut due = Vec::new();
        let next = {
            let mut pending = lock();
            loop {
                match pending.timed.first_entry() {
                    Some(first) if first.key().at <= now => due.push(first.remove()),
                    first => break first.map(|first| first.key().at),
                }
            }
        };
        for timed in &due {
            if let Some(timed) = timed.upgrade() {
                timed.time_is_up();
            }
        }
        if !due.is_empty() {
            continue;
        }
        let goes_on = next.map(|next| next.min(now + LONGEST_SLEEP));
        GOES_ON_AT.store(goes_on.map_or(0, nanos), Ordering::Release);
        match goes_on {
            // A deadline set meanwhile has left its token: the park returns at once.
            Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
            None => std::thread::park(),
        }
    }
}

static THREAD: OnceLock<std::thread::Thread> = OnceLock::new();

/// Noted by the timer thread, in nanoseconds.
static STOOD_STILL: AtomicU64 = AtomicU64::new(0);

/// When the timer thread goes on, as [`nanos`]; 0 while it waits for no deadline.
static GOES_ON_AT: AtomicU64 = AtomicU64::new(0);

/// Longest sleep while anything has a deadline: what it would sleep on counts as time in which the process ran.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How late a thread may wake that runs all the time, on a busy machine, in nanoseconds.
const SLACK: u64 = 100_000_000;
