//! A barrier: none passes until all are there.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::{WaitList, wait_unless};
use crate::lock::Lock;

/// A place where a fixed number of coroutines and threads wait for each other, round after round.
///
/// If a wait takes longer than its time, the barrier breaks: those that wait there and those that come later get
/// [`BrokenBarrier`], until [`reset`](Self::reset). A waiter that is killed, or ended by a time limit around it, is no longer
/// counted, and the others go on waiting as if it had not come.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, Barrier};
///
/// let start = Arc::new(Barrier::new(3));
/// let runners: Vec<_> = (0..3).map(|_| {
///     let start = Arc::clone(&start);
///     green::spawn(move || start.wait().unwrap())
/// }).collect();
/// let mut order = green::joinall(runners).unwrap();
/// order.sort();
/// assert_eq!(order, [0, 1, 2]);
/// ```
pub struct Barrier {
    parties: usize,
    action: Option<Box<dyn Fn() + Send + Sync>>,
    state: Lock<State>,
}

struct State {
    broken: bool,
    /// The number of the last to come.
    last: u64,
    /// Those who have come in this round and not left, by number. Empty when a round begins.
    arrived: Vec<u64>,
    round: Arc<Lock<Round>>,
}

#[derive(Default)]
struct Round {
    /// Whether those who wait may pass; `None` while they have to wait.
    passed: Option<bool>,
    /// Those who pass together, in the order in which they have come; known when all are there.
    all: Vec<u64>,
    waiting: WaitList,
}

impl Barrier {
    /// A barrier for `parties`; 0 is taken as 1.
    pub fn new(parties: usize) -> Self {
        let state = State { broken: false, last: 0, arrived: Vec::new(), round: Arc::default() };
        Self { parties: parties.max(1), action: None, state: Lock::new(state) }
    }

    /// As [`new`](Self::new); the last to come runs `action` before any passes. It may wait. If it panics, the barrier
    /// breaks and the panic goes on in the one that ran it.
    pub fn with_action(parties: usize, action: impl Fn() + Send + Sync + 'static) -> Self {
        Self { action: Some(Box::new(action)), ..Self::new(parties) }
    }

    /// Waits until as many have come as the barrier is for. Returns how many had come before in this round: each number
    /// from 0 is returned to one.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is broken, also while waiting. In a destructor that runs while its coroutine unwinds
    /// it is as a wait of no time.
    pub fn wait(&self) -> Result<usize, BrokenBarrier> {
        self.wait_within(None)
    }

    /// As [`wait`](Self::wait), at most for `timeout`, and for the action after that.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] also if the time is up: the barrier breaks.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrier> {
        self.wait_within(Some(timeout))
    }

    /// Breaks the barrier, for those who wait and those who come later. Twice is the same as once.
    pub fn abort(&self) {
        self.lock().end_round(true);
    }

    /// Begins again: the barrier is whole and none waits there. Those who waited get [`BrokenBarrier`].
    pub fn reset(&self) {
        self.lock().end_round(false);
    }

    /// Whether the barrier is broken.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// How many it is for.
    pub const fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait there now.
    pub fn n_waiting(&self) -> usize {
        self.lock().arrived.len()
    }

    fn wait_within(&self, timeout: Option<Duration>) -> Result<usize, BrokenBarrier> {
        let (number, round) = {
            let mut state = self.lock();
            if state.broken {
                return Err(BrokenBarrier);
            }
            state.last += 1;
            let number = state.last;
            state.arrived.push(number);
            if state.arrived.len() < self.parties {
                (number, Arc::clone(&state.round))
            } else {
                let round = state.next_round();
                drop(state);
                return self.act(&round).map(|()| self.parties - 1);
            }
        };
        let place = Place { barrier: self, number, round };
        if !place.wait(timeout) && self.is_late(&place.round) {
            // All have come, and one of them runs the action.
            place.wait(None);
        }
        let round = place.round.lock();
        let passed = round.passed == Some(true);
        passed.then(|| round.all.binary_search(&number).ok()).flatten().ok_or(BrokenBarrier)
    }

    /// The time of a waiter is up: breaks the barrier. `true` if its round is complete instead.
    fn is_late(&self, round: &Arc<Lock<Round>>) -> bool {
        let mut state = self.lock();
        let is_current = Arc::ptr_eq(&state.round, round);
        if is_current {
            state.end_round(true);
        }
        !is_current
    }

    fn act(&self, round: &Lock<Round>) -> Result<(), BrokenBarrier> {
        let acted = catch_unwind(AssertUnwindSafe(|| self.action.iter().for_each(|action| action())));
        if acted.is_err() {
            self.abort();
        }
        end(round, acted.is_ok());
        acted.map_err(|panic| resume_unwind(panic))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn next_round(&mut self) -> Arc<Lock<Round>> {
        let round = std::mem::take(&mut self.round);
        round.lock().all = std::mem::take(&mut self.arrived);
        round
    }

    /// Sends those who wait away.
    fn end_round(&mut self, broken: bool) {
        self.broken = broken;
        end(&self.next_round(), false);
    }
}

fn end(round: &Lock<Round>, passed: bool) {
    let mut round = round.lock();
    round.passed = Some(passed);
    round.waiting.wake_all();
}

/// A waiter; no longer counted when it leaves before its round has ended.
struct Place<'a> {
    barrier: &'a Barrier,
    number: u64,
    round: Arc<Lock<Round>>,
}

impl Place<'_> {
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let has_ended = |round: &mut Round| round.passed.is_some();
        wait_unless(&self.round, has_ended, |round| &mut round.waiting, Awaits::Barrier, timeout)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.lock();
        if Arc::ptr_eq(&state.round, &self.round) {
            state.arrived.retain(|number| *number != self.number);
        }
    }
}

/// The [`Barrier`] was broken: a wait took too long, or someone called [`abort`](Barrier::abort) or [`reset`](Barrier::reset),
/// or the action panicked.
#[doc(alias = "BrokenBarrierError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken")
    }
}

impl std::error::Error for BrokenBarrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("n_waiting", &self.n_waiting())
            .finish_non_exhaustive()
    }
}
