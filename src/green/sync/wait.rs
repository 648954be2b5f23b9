//! Waiting until some, or all, of several things are ready, whatever they are.

use std::time::Duration;

use super::select::{Watch, first_ready, wait_for_any};
use crate::green::runtime::fair;
use crate::green::runtime::until::Until;

/// Waits until `count` of `things` are ready and returns their places in the order in which they were found ready; of
/// those ready at the same time, the one named first comes first. Takes nothing from any.
///
/// `things` may be greenlets, events, results, queues, channels, semaphores and groups, side by side. A queue is ready when
/// it has an item or is closed, a semaphore when it has a permit, a group when none in it is alive. Each is counted
/// once. [`usize::MAX`], or any number beyond that of the things, means all of them.
///
/// In a destructor that runs while its coroutine unwinds, it returns what is ready now.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Event, Queue};
///
/// let (done, inbox) = (Event::new(), Queue::<u32>::unbounded());
/// let work = green::spawn(|| 7);
/// done.set();
/// assert_eq!(green::wait(&[&inbox, &done], 1), [1]);
/// inbox.put(1).unwrap();
/// assert_eq!(green::wait(&[&work, &inbox, &done], usize::MAX).len(), 3);
/// ```
pub fn wait(things: &[&dyn Watch], count: usize) -> Vec<usize> {
    iwait_any(things).count(count).collect()
}

/// As [`wait`], at most for `timeout`: returns those that were ready by then, which may be none.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{self, Event};
///
/// let (set, never) = (Event::new(), Event::new());
/// set.set();
/// assert_eq!(green::wait_timeout(&[&never, &set], 2, Duration::from_millis(1)), [1]);
/// ```
pub fn wait_timeout(things: &[&dyn Watch], count: usize, timeout: Duration) -> Vec<usize> {
    iwait_any(things).count(count).timeout(timeout).collect()
}

/// Iterates over the places of `things` in the order in which they become ready: [`wait`] one by one.
///
/// It is gevent's `iwait` over mixed objects; [`iwait`](crate::green::iwait) hands back greenlets.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Event, Semaphore};
///
/// let (first, second) = (Event::new(), Semaphore::new(0));
/// second.release();
/// let mut ready = green::iwait_any(&[&first, &second]);
/// assert_eq!(ready.next(), Some(1));
/// first.set();
/// assert_eq!((ready.next(), ready.next()), (Some(0), None));
/// ```
pub fn iwait_any<'a>(things: &[&'a dyn Watch]) -> IWaitAny<'a> {
    let left: Vec<_> = things.iter().copied().enumerate().collect();
    IWaitAny { count: left.len(), left, until: Until::never() }
}

/// The places of things in the order in which they become ready: see [`iwait_any`].
#[must_use = "it waits in `next`"]
pub struct IWaitAny<'a> {
    /// Those that were not ready yet, with their places.
    left: Vec<(usize, &'a dyn Watch)>,
    /// How many are still to be given out.
    count: usize,
    until: Until,
}

impl IWaitAny<'_> {
    /// Ends after `count` of them. Default: all.
    pub const fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Ends after `timeout`, counted from now, with what is ready by then. Default: never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.until = Until::after(timeout);
        self
    }
}

/// A `next` that is cut short by a kill or a time limit loses nothing.
impl Iterator for IWaitAny<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.count == 0 || self.left.is_empty() {
            return None;
        }
        fair::fairness_point();
        let things: Vec<_> = self.left.iter().map(|(_, thing)| *thing).collect();
        loop {
            // Before the look, so that what comes at the last moment is still found.
            let wait = self.until.to_wait();
            if let Some(at) = first_ready(&things) {
                self.count -= 1;
                return Some(self.left.remove(at).0);
            }
            wait_for_any(&things, wait?);
        }
    }
}

impl std::fmt::Debug for IWaitAny<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IWaitAny").field("left", &self.left.len()).field("count", &self.count).finish()
    }
}
