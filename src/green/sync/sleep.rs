//! Sleeping.

use std::time::Duration;

use crate::green::Until;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::Waiter;

/// Lets the coroutine, or the plain thread, that calls sleep for at least `duration`; others run meanwhile.
///
/// Precise to about a millisecond and a half on the monotonic clock, never early. `Duration::ZERO` is
/// [`yield_now`](crate::green::yield_now), [`Duration::MAX`] is forever. What the caller has sent before is on its way
/// while it sleeps. In a destructor that runs while its coroutine unwinds it returns at once.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use zinx::green;
///
/// green::run(|| {
///     let start = Instant::now();
///     green::sleep(Duration::from_millis(5));
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return fair::yield_now();
    }
    let until = Until::after(duration);
    while let Some(left) = until.to_wait() {
        Waiter::new().wait(Awaits::Time, left, |_| {});
    }
}
