//! Timers: work that is done later, or again and again, each on a coroutine of its own.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::green::{Builder, Event, Group, Until, contain, drop_contained};
use crate::log_line::{Throttle, throttled};

/// Timers that are kept together. One coroutine waits for the next of them, as long as there is one; each runs its work
/// on a coroutine of its own, so that work that waits makes no other timer late. Never early, by the monotonic clock;
/// works that are due within a moment of each other may run in either order.
///
/// Dropped, it cancels its timers; work that has begun goes on. A panic of the work is logged.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use zinx::green::{self, Event};
/// use zinx::ztimer::TimerScheduler;
///
/// let (timers, rung) = (TimerScheduler::new(), Arc::new(Event::new()));
/// let bell = Arc::clone(&rung);
/// timers.create_timer_after(Duration::from_millis(5), move || bell.set());
/// rung.wait();
/// ```
#[derive(Default)]
pub struct TimerScheduler {
    inner: Arc<Inner>,
}

/// A timer, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(u64);

impl TimerScheduler {
    /// No timers.
    #[doc(alias = "NewTimerScheduler")]
    #[doc(alias = "NewAutoExecTimerScheduler")]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does `work` after `delay`.
    ///
    /// # Panics
    ///
    /// If the machine has no room for the coroutine that waits: [`green::spawn`](crate::green::spawn). The timer is not
    /// set then; the next one tries again.
    #[doc(alias = "CreateTimerAfter")]
    pub fn create_timer_after(&self, delay: Duration, work: impl FnOnce() + Send + 'static) -> TimerId {
        let mut work = Some(work);
        let once = move || work.take().map_or((), |work| work());
        self.inner.add(delay, None, Box::new(once))
    }

    /// Does `work` at a time of the wall clock, which is read now and not again; at once where it has passed.
    ///
    /// # Panics
    ///
    /// As [`create_timer_after`](Self::create_timer_after).
    #[doc(alias = "CreateTimerAt")]
    pub fn create_timer_at(&self, at: SystemTime, work: impl FnOnce() + Send + 'static) -> TimerId {
        self.create_timer_after(at.duration_since(SystemTime::now()).unwrap_or_default(), work)
    }

    /// Does `work` every `period` (at least a millisecond), first after one. Times are counted from the beginning, so
    /// they do not drift; one that comes while the work before it is not done is left out.
    ///
    /// # Panics
    ///
    /// As [`create_timer_after`](Self::create_timer_after).
    pub fn create_timer_every(&self, period: Duration, work: impl FnMut() + Send + 'static) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        self.inner.add(period, Some(period), Box::new(work))
    }

    /// Cancels a timer. `false` where it has gone already. Work that has begun goes on, and is not done again.
    #[doc(alias = "CancelTimer")]
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        let mut state = self.inner.lock();
        let cancelled = state.timers.remove(&timer.0);
        if let Some(timer) = &cancelled {
            state.due.remove(&(timer.at, timer.number));
        }
        drop(state);
        // The work is dropped after the lock.
        cancelled.is_some()
    }

    /// How many timers there are, those whose work is being done for the last time left out.
    pub fn len(&self) -> usize {
        self.inner.lock().timers.len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels all timers and waits for the work that has begun, at most for `timeout`. `false` where it is not done.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.cancel_all();
        self.inner.group.join_timeout(timeout)
    }

    fn cancel_all(&self) {
        let mut state = self.inner.lock();
        state.due.clear();
        let cancelled = std::mem::take(&mut state.timers);
        drop(state);
        self.inner.changed.set();
        drop(cancelled);
    }
}

impl Drop for TimerScheduler {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

impl std::fmt::Debug for TimerScheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimerScheduler").field("len", &self.len()).finish()
    }
}

type Work = Box<dyn FnMut() + Send>;

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// The next timer may be another.
    changed: Event,
    group: Group,
}

#[derive(Default)]
struct State {
    timers: HashMap<u64, Timer>,
    /// Those that wait, by time and number.
    due: BTreeSet<(Instant, u64)>,
    last: u64,
    /// Whether the coroutine that waits runs.
    kept: bool,
}

struct Timer {
    number: u64,
    at: Instant,
    period: Option<Duration>,
    /// Absent while it is being done.
    work: Option<Work>,
}

impl Inner {
    fn add(self: &Arc<Self>, delay: Duration, period: Option<Duration>, work: Work) -> TimerId {
        let at = Until::after(delay).end_or_far();
        let mut state = self.lock();
        if !state.kept
            && let Err(error) = self.start_keeper()
        {
            drop(state);
            panic!("cannot start a timer: {error}");
        }
        state.kept = true;
        state.last += 1;
        let number = state.last;
        state.timers.insert(number, Timer { number, at, period, work: Some(work) });
        state.due.insert((at, number));
        drop(state);
        self.changed.set();
        TimerId(number)
    }

    /// Starts the coroutine that waits, which looks once the state is no longer locked. Where that fails, the next timer
    /// tries again.
    fn start_keeper(self: &Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(self);
        self.group.spawn(Builder::new().name("timers").shielded(), move || this.keep_time())
    }

    /// The coroutine that waits; ends with the last timer.
    fn keep_time(self: &Arc<Self>) {
        while let Some(next) = self.start_due() {
            self.changed.wait_timeout(next.saturating_duration_since(Instant::now()));
            self.changed.clear();
        }
    }

    /// Starts what is due; returns when the next is, or notes the end where there is none.
    fn start_due(self: &Arc<Self>) -> Option<Instant> {
        loop {
            let mut state = self.lock();
            let Some(&(at, number)) = state.due.first() else {
                state.kept = false;
                return None;
            };
            if at > Instant::now() {
                return Some(at);
            }
            state.due.pop_first();
            let work = state.timers.get_mut(&number).and_then(|timer| timer.work.take());
            drop(state);
            if let Some(work) = work {
                self.start(number, work);
            }
        }
    }

    fn start(self: &Arc<Self>, number: u64, work: Work) {
        let work = Arc::new(Mutex::new(Some(work)));
        let (this, theirs) = (Arc::clone(self), Arc::clone(&work));
        let started = self.group.spawn(Builder::new().name("timer"), move || this.run(number, &theirs));
        if let Err(error) = started {
            // Better late than never: the others wait for it.
            log::warn!("no coroutine for a timer, so it runs on the scheduler's: {error}");
            self.run(number, &work);
        }
    }

    fn run(self: &Arc<Self>, number: u64, work: &Mutex<Option<Work>>) {
        let taken = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut work) = taken else { return };
        if let Err(words) = contain(&mut work) {
            static LOG: Throttle = Throttle::new();
            throttled!(error, LOG, "a timer panicked: {words}");
        }
        if let Some(work) = self.set_anew(number, work) {
            // What it owns may panic as well.
            drop_contained(work);
        }
    }

    /// Sets a repeating timer anew, on the first of its times that is still to come. Gives the work of another back.
    fn set_anew(self: &Arc<Self>, number: u64, work: Work) -> Option<Work> {
        let mut state = self.lock();
        let Some(timer) = state.timers.get_mut(&number) else { return Some(work) };
        let Some(period) = timer.period else {
            state.timers.remove(&number);
            return Some(work);
        };
        let late = Instant::now().saturating_duration_since(timer.at);
        let missed = u32::try_from(late.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX - 1);
        let next = period.saturating_mul(missed + 1);
        timer.at = timer.at.checked_add(next).unwrap_or_else(|| Until::after(next).end_or_far());
        timer.work = Some(work);
        let at = timer.at;
        state.due.insert((at, number));
        // The coroutine that waits has ended if no timer was left.
        let keep = !state.kept && self.start_keeper().is_err();
        state.kept = true;
        drop(state);
        self.changed.set();
        if keep {
            // There is no room for one, but there is this one.
            self.keep_time();
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
