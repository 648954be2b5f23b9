//! The keeper: a thread that starts what is due, of all schedulers. So a timer is on time also while handlers hold the
//! workers, as long as one of them is free.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::Timers;
use crate::green::{Event, Thread, Until};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// The one there is.
pub(super) static KEEPER: Keeper =
    Keeper { state: Lock::new(State { due: BTreeMap::new(), last: 0, runs: false }), changed: Event::new() };

pub(super) struct Keeper {
    state: Lock<State>,
    /// The next timer may be another.
    changed: Event,
}

struct State {
    /// Those that wait, by time and number.
    due: BTreeMap<(Instant, u64), Weak<Timers>>,
    last: u64,
    /// Whether the thread runs, which is started with the first timer.
    runs: bool,
}

impl Keeper {
    /// A number that no other timer has.
    pub(super) fn next_number(&self) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        state.last
    }

    /// Starts a timer at this time, unless it is cancelled by then.
    pub(super) fn set(&'static self, at: Instant, number: u64, timers: &Arc<Timers>) -> io::Result<()> {
        let mut state = self.lock();
        if !state.runs {
            Thread::start("zinx-timers", || self.keep_time())?;
            state.runs = true;
        }
        state.due.insert((at, number), Arc::downgrade(timers));
        let is_next = state.due.first_key_value().is_some_and(|(next, _)| *next == (at, number));
        drop(state);
        if is_next {
            self.changed.set();
        }
        Ok(())
    }

    pub(super) fn cancel(&self, at: Instant, number: u64) {
        self.lock().due.remove(&(at, number));
    }

    fn keep_time(&'static self) {
        loop {
            match self.start_due() {
                Some(next) => drop(self.changed.wait_timeout(next.saturating_duration_since(Instant::now()))),
                None => self.changed.wait(),
            }
            self.changed.clear();
        }
    }

    /// Starts what is due. Returns when the next is.
    fn start_due(&'static self) -> Option<Instant> {
        loop {
            let mut state = self.lock();
            let first = state.due.first_entry()?;
            let (at, number) = *first.key();
            if at > Instant::now() {
                return Some(at);
            }
            let timers = first.remove();
            drop(state);
            if let Some(timers) = timers.upgrade() {
                self.start(number, &timers);
            }
        }
    }

    fn start(&'static self, number: u64, timers: &Arc<Timers>) {
        if let Err(error) = timers.start(number) {
            static LOG: Throttle = Throttle::new();
            throttled!(warn, LOG, "no coroutine for a timer, which has to wait for one: {error}");
            // The thread runs, since it calls.
            let _ = self.set(Until::after(RETRY).end_or_far(), number, timers);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Between two attempts to start what finds no room.
const RETRY: Duration = Duration::from_millis(50);
