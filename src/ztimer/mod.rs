//! Timers: work that is done later, or again and again, each on a coroutine of its own.

mod keeper;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use self::keeper::KEEPER;
use crate::green::{Builder, Group, Until, contain, drop_contained, drop_each};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// Timers that are kept together. A thread waits for the next of all in the process; each runs its work on a coroutine of
/// its own, so that work that waits makes no other timer late, nor does work that computes while another worker is free.
/// Never early, by the monotonic clock; works that are due within a moment of each other may run in either order. Without
/// room for a coroutine, a timer is late until there is some.
///
/// Dropped, it cancels its timers; work that has begun goes on. A panic of the work is logged. One that repeats goes on after
/// that, and also if its coroutine is killed.
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
    timers: Arc<Timers>,
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
    /// If the thread that waits cannot be started, with the first timer of the process. The timer is not set then; the next
    /// one tries again.
    #[doc(alias = "CreateTimerAfter")]
    pub fn create_timer_after(&self, delay: Duration, work: impl FnOnce() + Send + 'static) -> TimerId {
        let mut work = Some(work);
        let once = move || work.take().map_or((), |work| work());
        self.timers.add(delay, None, Box::new(once))
    }

    /// Does `work` at a time of the wall clock, which is read now and not again; at once if it has passed.
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
        self.timers.add(period, Some(period), Box::new(work))
    }

    /// Cancels a timer. `false` if it has gone already: one that does not repeat has gone when its work begins. Work that has
    /// begun goes on, and is not done again.
    #[doc(alias = "CancelTimer")]
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        let cancelled = self.timers.lock().remove(&timer.0);
        if let Some(cancelled) = &cancelled {
            KEEPER.cancel(cancelled.at, timer.0);
        }
        // The work is dropped after the lock.
        cancelled.is_some()
    }

    /// How many timers there are, those whose work is being done for the last time left out.
    pub fn len(&self) -> usize {
        self.timers.lock().len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels all timers and waits for the work that has begun, at most for `timeout`. `false` if it is not done.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.cancel_all();
        self.timers.group.join_timeout(timeout)
    }

    fn cancel_all(&self) {
        let cancelled = std::mem::take(&mut *self.timers.lock());
        for (number, timer) in &cancelled {
            KEEPER.cancel(timer.at, *number);
        }
        drop_each(cancelled.into_values());
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

/// The timers of a scheduler.
#[derive(Default)]
struct Timers {
    /// By number.
    timers: Lock<HashMap<u64, Timer>>,
    group: Group,
}

struct Timer {
    at: Instant,
    period: Option<Duration>,
    /// Absent while it is being done. One that does not repeat is gone by then.
    work: Option<Work>,
}

impl Timers {
    fn add(self: &Arc<Self>, delay: Duration, period: Option<Duration>, work: Work) -> TimerId {
        let (at, number) = (Until::after(delay).end_or_far(), KEEPER.next_number());
        self.lock().insert(number, Timer { at, period, work: Some(work) });
        if let Err(error) = KEEPER.set(at, number, self) {
            let refused = self.lock().remove(&number);
            drop(refused);
            panic!("cannot start a timer: {error}");
        }
        TimerId(number)
    }

    /// Does the work of a timer, on a coroutine of its own. Without room for one, it is as if this was not called.
    fn start(self: &Arc<Self>, number: u64) -> io::Result<()> {
        if !self.lock().contains_key(&number) {
            return Ok(());
        }
        let turn = Turn { timers: Arc::clone(self), number, work: None, is_refused: false };
        let turn = Arc::new(Lock::new(Some(turn)));
        let theirs = Arc::clone(&turn);
        let run = move || {
            let turn = theirs.lock().take();
            if let Some(turn) = turn {
                turn.run();
            }
        };
        let started = self.group.spawn(Builder::new().name("timer"), run);
        if started.is_err()
            && let Some(turn) = &mut *turn.lock()
        {
            turn.is_refused = true;
        }
        started
    }

    /// Takes the work of a timer, to do it. `None` if it was cancelled. One that does not repeat is a timer no more.
    fn begin(&self, number: u64) -> Option<Work> {
        let mut timers = self.lock();
        let timer = timers.get_mut(&number)?;
        if timer.period.is_some() { timer.work.take() } else { timers.remove(&number)?.work }
    }

    /// Sets a repeating timer again, for the first of its times that is still to come. `work` is there if it was begun. Gives the
    /// work of another back.
    fn set_again(self: &Arc<Self>, number: u64, work: Option<Work>) -> Option<Work> {
        let mut timers = self.lock();
        let Some(timer) = timers.get_mut(&number) else { return work };
        let Some(period) = timer.period else { return timers.remove(&number)?.work };
        let late = Instant::now().saturating_duration_since(timer.at);
        let missed = u32::try_from(late.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX - 1);
        let next = period.saturating_mul(missed + 1);
        timer.at = timer.at.checked_add(next).unwrap_or_else(|| Until::after(next).end_or_far());
        timer.work = work.or_else(|| timer.work.take());
        let at = timer.at;
        drop(timers);
        // The keeper runs: it has started this.
        let _ = KEEPER.set(at, number, self);
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Timer>> {
        self.timers.lock()
    }
}

/// One time of a timer. However it ends, also by a kill, one that repeats is set again.
struct Turn {
    timers: Arc<Timers>,
    number: u64,
    /// The work, once it has begun.
    work: Option<Work>,
    /// There was no room for it: another comes.
    is_refused: bool,
}

impl Turn {
    fn run(mut self) {
        // Not before: until now it could be cancelled.
        self.work = self.timers.begin(self.number);
        let Some(work) = &mut self.work else { return };
        if let Err(words) = contain(work) {
            static LOG: Throttle = Throttle::new();
            throttled!(error, LOG, "a timer panicked: {words}");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_refused {
            // What the work owns may panic as well.
            drop_contained(self.timers.set_again(self.number, self.work.take()));
        }
    }
}
