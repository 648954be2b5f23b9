//! A time limit on a piece of code, whatever it waits on inside.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::interrupt::{Interrupt, Scope};
use super::record::Record;
use crate::green::runtime::timer::{self, Deadline};
use crate::green::runtime::until::Until;
use crate::rounded::Rounded;

/// Runs `body`, for at most `limit`: once that is over, its next wait, or the one it is in, unwinds to here.
///
/// Limits nest, and each ends the body it was given to: if an outer one is over first, the inner call does not
/// return. Destructors run, and nothing meant for another is lost (see [`Coroutine::kill`](crate::green::Coroutine::kill)).
/// If a body returns in spite of its limit, its value is returned. Code that never waits has no limit, nor has a
/// plain thread while it waits for a socket.
///
/// # Errors
///
/// [`Elapsed`] if `limit` was over, and not another's.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{self, Event};
///
/// let never = Event::new();
/// let outer = green::with_timeout(Duration::from_secs(10), || {
///     let inner = green::with_timeout(Duration::from_millis(5), || never.wait());
///     assert_eq!(inner.unwrap_err().limit(), Duration::from_millis(5));
///     "in time"
/// });
/// assert_eq!(outer, Ok("in time"));
/// ```
pub fn with_timeout<T>(limit: Duration, body: impl FnOnce() -> T) -> Result<T, Elapsed> {
    let limited = Limited::enter(limit);
    run_in(&limited.scope, body).map_err(|OutOfTime| Elapsed { limit })
}

/// Runs `body` in a scope that has been entered. An error if the scope ended it.
pub(super) fn run_in<T>(scope: &Scope, body: impl FnOnce() -> T) -> Result<T, OutOfTime> {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    outcome.or_else(|payload| match payload.downcast_ref::<Interrupt>() {
        Some(interrupt) if scope.is_target(*interrupt) => Err(OutOfTime),
        _ => resume_unwind(payload),
    })
}

/// The time of a scope was over before its body.
pub(super) struct OutOfTime;

/// The time limit of [`with_timeout`] was over before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
}

impl Elapsed {
    pub(super) const fn of(limit: Duration) -> Self {
        Self { limit }
    }

    /// The limit that was over.
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {}", Rounded(self.limit))
    }
}

impl std::error::Error for Elapsed {}

/// A scope that has been entered; left when dropped.
struct Limited {
    scope: Arc<Scope>,
    deadline: Option<Deadline>,
}

impl Limited {
    fn enter(limit: Duration) -> Self {
        let scope = Scope::new(Record::of_caller());
        scope.interrupts().enter(&scope);
        let deadline = Until::after(limit).end().map(|at| {
            let timed: Weak<Scope> = Arc::downgrade(&scope);
            timer::set(at, timed)
        });
        Self { scope, deadline }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        if let Some(deadline) = self.deadline {
            timer::cancel(deadline);
        }
        self.scope.interrupts().leave(&self.scope);
    }
}
