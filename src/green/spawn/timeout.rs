//! A time limit as an object: it can be started, closed and started again while code runs under it.

use std::fmt;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::interrupt::Scope;
use super::record::Record;
use super::with_timeout::{Elapsed, OutOfTime, run_in};
use crate::green::runtime::timer::{self, Deadline, Timed};
use crate::green::runtime::until::Until;
use crate::lock::Lock;

/// A time limit that is started, closed and renewed by hand; [`run`](Self::run) runs code under it.
///
/// [`with_timeout`](crate::green::with_timeout) does for most. An object is for a limit that begins before the code it
/// ends, that covers several pieces of code, or that is put off whenever something has happened. Clones are the same
/// timeout, for other coroutines to renew or close.
///
/// Unlike gevent's, it ends only code inside of `run`: what runs outside finishes, and the following `run` ends at its first
/// wait. Timeouts nest with each other and with `with_timeout`, and each ends the code it was given: whose `run` returns
/// [`Elapsed`] says which one was over, and so does [`expired`](Self::expired).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{self, Event, Queue, Timeout};
///
/// let inbox = Queue::<u32>::bounded(1);
/// let silence = Timeout::start_new(Duration::from_millis(20));
/// let ended = silence.run(|| {
///     for _ in 0..3 {
///         green::sleep(Duration::from_millis(5));
///         silence.start(); // there was a sign of life: counts from now
///     }
///     inbox.get()
/// });
/// assert!(ended.is_err() && silence.expired());
/// ```
#[derive(Clone)]
pub struct Timeout {
    clock: Arc<Clock>,
}

struct Clock {
    state: Lock<State>,
}

struct State {
    limit: Duration,
    expired: bool,
    /// When it is over, while it runs.
    end: Option<Instant>,
    deadline: Option<Deadline>,
    /// The code that runs under it.
    scopes: Vec<Arc<Scope>>,
}

impl Timeout {
    /// A timeout of `limit` that does not run yet: see [`start`](Self::start). [`Duration::MAX`] is no limit.
    pub fn new(limit: Duration) -> Self {
        let state = State { limit, expired: false, end: None, deadline: None, scopes: Vec::new() };
        Self { clock: Arc::new(Clock { state: Lock::new(state) }) }
    }

    /// As [`new`](Self::new), in seconds, as gevent has them: zero, a negative number and NaN are over at once, what is too
    /// long to be counted never.
    pub fn seconds(limit: f64) -> Self {
        Self::new(duration_of(limit))
    }

    /// A timeout that runs from now on.
    pub fn start_new(limit: Duration) -> Self {
        let timeout = Self::new(limit);
        timeout.start();
        timeout
    }

    /// Begins to count, or begins again: it is over when its limit has passed from now, whatever it was before. Only code
    /// that unwinds already because it was over is not held up by that.
    #[doc(alias = "renew")]
    pub fn start(&self) {
        let mut state = self.clock.lock();
        state.stop();
        state.end = Until::after(state.limit).end();
        if let Some(end) = state.end {
            let timed: Weak<Clock> = Arc::downgrade(&self.clock);
            state.deadline = Some(timer::set(end, timed));
        }
    }

    /// As [`start`](Self::start), with another limit from now on.
    pub fn renew(&self, limit: Duration) {
        self.clock.lock().limit = limit;
        self.start();
    }

    /// Ends the counting: it is not over, and will not be before it is started again. Twice is the same as once, and so is a
    /// close of what was never started.
    #[doc(alias = "cancel")]
    pub fn close(&self) {
        self.clock.lock().stop();
    }

    /// Whether it counts, and is not over.
    pub fn pending(&self) -> bool {
        self.clock.lock().end.is_some()
    }

    /// Whether it is over. It stays so until it is started again or closed.
    pub fn expired(&self) -> bool {
        self.clock.lock().expired
    }

    /// How long it lasts, from [`start`](Self::start) on.
    #[doc(alias = "seconds")]
    pub fn limit(&self) -> Duration {
        self.clock.lock().limit
    }

    /// Runs `body`, which ends, as that of [`with_timeout`](crate::green::with_timeout), at its next wait when the timeout
    /// is over. It need not run yet, and `body` may start, renew and close it; it goes on when this returns.
    ///
    /// Several may run code under the same timeout, and one may do so within itself: the outermost call is ended.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if this timeout was over, and not another's.
    pub fn run<T>(&self, body: impl FnOnce() -> T) -> Result<T, Elapsed> {
        let entered = Entered::new(&self.clock);
        run_in(&entered.scope, body).map_err(|OutOfTime| Elapsed::of(self.limit()))
    }
}

impl State {
    fn stop(&mut self) {
        (self.expired, self.end) = (false, None);
        if let Some(deadline) = self.deadline.take() {
            timer::cancel(deadline);
        }
        self.scopes.iter().for_each(|scope| scope.take_back());
    }
}

impl Timed for Clock {
    fn time_is_up(&self) {
        let mut state = self.lock();
        // A deadline that was taken back may come all the same.
        if state.end.is_some_and(|end| end <= Instant::now()) {
            (state.expired, state.end, state.deadline) = (true, None, None);
            state.scopes.iter().for_each(|scope| scope.time_is_up());
        }
    }
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(deadline) = state.deadline.take() {
            timer::cancel(deadline);
        }
    }
}

/// Code that runs under a timeout.
struct Entered<'a> {
    clock: &'a Clock,
    scope: Arc<Scope>,
}

impl<'a> Entered<'a> {
    fn new(clock: &'a Clock) -> Self {
        let scope = Scope::new(Record::of_caller());
        scope.interrupts().enter(&scope);
        let mut state = clock.lock();
        state.scopes.push(Arc::clone(&scope));
        if state.expired {
            scope.time_is_up();
        }
        Self { clock, scope }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.clock.lock().scopes.retain(|scope| !Arc::ptr_eq(scope, &self.scope));
        self.scope.interrupts().leave(&self.scope);
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.clock.lock();
        f.debug_struct("Timeout")
            .field("limit", &state.limit)
            .field("pending", &state.end.is_some())
            .field("expired", &state.expired)
            .finish_non_exhaustive()
    }
}

fn duration_of(seconds: f64) -> Duration {
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) } else { Duration::ZERO }
}
