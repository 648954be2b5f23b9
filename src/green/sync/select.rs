//! Waiting for several things at once.

use std::sync::Arc;
use std::time::Duration;

use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::Waiter;
use crate::green::{Coroutine, Greenlet, Until};

/// Something that can be waited for beside others, with [`Select`]: a queue, an event, a semaphore, a greenlet, a group.
pub trait Waitable: Watch {
    /// What it gives to the one that waited for it.
    type Item;

    /// Takes it without waiting. `None` if a wait would begin.
    #[doc(hidden)]
    fn take_now(&self) -> Option<Self::Item>;
}

/// The part of [`Waitable`] that wakes, the same for all of them.
pub trait Watch {
    /// Wakes `watcher` as soon as there may be something to take, or says by `true` that there may be now.
    fn watch(&self, watcher: &Watcher) -> bool;

    /// Ends what `watch` began.
    fn unwatch(&self, watcher: &Watcher);
}

/// A wait that is enlisted with several things, of which the first ends it.
#[derive(Clone)]
pub struct Watcher(Arc<Waiter>);

impl Watcher {
    pub(in crate::green) fn waiter(&self) -> Arc<Waiter> {
        Arc::clone(&self.0)
    }

    pub(in crate::green) const fn as_waiter(&self) -> &Arc<Waiter> {
        &self.0
    }
}

/// Waits for several things at once and goes on with the first that is there. Of several, the one named first wins;
/// nothing is taken from the others.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{Event, Queue, Select};
///
/// let (orders, stop) = (Queue::bounded(8), Event::new());
/// orders.put(7).unwrap();
/// let said = Select::new()
///     .on(&stop, |()| "stop".to_string())
///     .on(&orders, |order| format!("{order:?}"))
///     .after(Duration::from_secs(1), || "too late".to_string())
///     .wait();
/// assert_eq!(said, "Some(7)");
/// ```
#[must_use = "it waits in `wait`"]
pub struct Select<'a, R> {
    arms: Vec<Arm<'a, R>>,
    /// What is done if the time is up first. Its time has an end.
    late: Option<(Until, Box<dyn FnOnce() -> R + 'a>)>,
}

struct Arm<'a, R> {
    thing: &'a dyn Watch,
    take: Box<dyn FnMut() -> Option<R> + 'a>,
}

impl<'a, R> Select<'a, R> {
    /// Nothing to wait for yet.
    pub const fn new() -> Self {
        Self { arms: Vec::new(), late: None }
    }

    /// Waits for `thing` too; if it is first, what it gives goes to `then`, whose result [`wait`](Self::wait) returns.
    ///
    /// A queue gives what its `get` does (`None` if it is closed and empty), a semaphore a permit, an
    /// [`AsyncResult`](crate::green::AsyncResult) its outcome; an event, a greenlet that has ended and a group in which
    /// none is alive give `()`.
    pub fn on<W: Waitable>(mut self, thing: &'a W, then: impl FnOnce(W::Item) -> R + 'a) -> Self {
        let mut then = Some(then);
        let take = move || thing.take_now().and_then(|item| then.take().map(|then| then(item)));
        self.arms.push(Arm { thing, take: Box::new(take) });
        self
    }

    /// Waits for `timeout` at most, counted from now; then does `then`. The shortest counts if there are several;
    /// [`Duration::MAX`] is no limit.
    pub fn after(mut self, timeout: Duration, then: impl FnOnce() -> R + 'a) -> Self {
        let until = Until::after(timeout);
        let is_first = |end| self.late.as_ref().is_none_or(|(late, _)| Some(end) < late.end());
        if until.end().is_some_and(is_first) {
            self.late = Some((until, Box::new(then)));
        }
        self
    }

    /// Waits. With nothing to wait for and no [`after`](Self::after) it waits forever.
    ///
    /// In a destructor that runs while its coroutine unwinds, what [`after`](Self::after) says happens at once if
    /// nothing is there.
    ///
    /// # Panics
    ///
    /// In such a destructor, if nothing is there and there is no [`after`](Self::after).
    pub fn wait(mut self) -> R {
        fair::fairness_point();
        let until = self.late.as_ref().map_or_else(Until::never, |(until, _)| *until);
        loop {
            let left = until.to_wait();
            if let Some(result) = self.arms.iter_mut().find_map(|arm| (arm.take)()) {
                return result;
            }
            let Some(left) = left else { break };
            let things: Vec<_> = self.arms.iter().map(|arm| arm.thing).collect();
            wait_for_any(&things, left);
        }
        let (_, then) =
            self.late.expect("nothing is there, and a destructor does not wait while its coroutine unwinds");
        then()
    }
}

/// Gives `()` if it has ended; `get` still returns its result.
impl<T> Waitable for Greenlet<T> {
    type Item = ();

    fn take_now(&self) -> Option<()> {
        self.coroutine().take_now()
    }
}

impl<T> Watch for Greenlet<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.coroutine().watch(watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.coroutine().unwatch(watcher);
    }
}

/// Gives `()` if it has ended.
impl Waitable for Coroutine {
    type Item = ();

    fn take_now(&self) -> Option<()> {
        self.ready().then_some(())
    }
}

impl Watch for Coroutine {
    fn watch(&self, watcher: &Watcher) -> bool {
        !self.enlist(&watcher.0)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.forget(&watcher.0);
    }
}

impl<R> Default for Select<'_, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> std::fmt::Debug for Select<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Select").field("arms", &self.arms.len()).finish_non_exhaustive()
    }
}

/// Waits until one of `things` may have something to give, at most for `timeout`. `false` if the time was up first.
pub(in crate::green) fn wait_for_any(things: &[&dyn Watch], timeout: Option<Duration>) -> bool {
    let mut watching = Watching { things, begun: 0, watcher: Watcher(Waiter::new()) };
    watching.begin() || watching.watcher.0.wait(Awaits::Any, timeout, |_| {})
}

/// The first of `things` that may have something to give now.
pub(in crate::green) fn first_ready(things: &[&dyn Watch]) -> Option<usize> {
    let mut watching = Watching { things, begun: 0, watcher: Watcher(Waiter::new()) };
    watching.begin().then(|| watching.begun - 1)
}

/// A waiter in the lists of several things; leaves them all however its wait ends.
struct Watching<'a> {
    things: &'a [&'a dyn Watch],
    begun: usize,
    watcher: Watcher,
}

impl Watching<'_> {
    /// `true` if one of the things is ready, and the rest need not be watched.
    fn begin(&mut self) -> bool {
        self.things.iter().any(|thing| {
            self.begun += 1;
            thing.watch(&self.watcher)
        })
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        for thing in &self.things[..self.begun] {
            thing.unwatch(&self.watcher);
        }
    }
}
