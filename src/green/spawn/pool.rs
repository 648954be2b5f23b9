//! A bounded number of coroutines at work.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::coroutine::{Coroutine, current};
use super::group::Membership;
use super::imap::{IMap, IMapUnordered};
use crate::green::runtime::settings;
use crate::green::{Builder, Failed, Greenlet, Group, Permit, Semaphore};

/// At most so many coroutines at once: [`spawn`](Self::spawn) waits if all places are taken. Clones share the pool.
///
/// Callers that wait get places in the order in which they came. A member that spawns into its own pool may wait for a
/// place that only its own end would free.
///
/// # Examples
///
/// ```
/// use zinx::green::Pool;
///
/// let pool = Pool::new(4);
/// let squares: Vec<i32> = pool.map(0..10, |n| n * n).into_iter().map(Result::unwrap).collect();
/// assert_eq!(squares[9], 81);
/// pool.join();
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    size: usize,
    pub(super) places: Semaphore,
    pub(super) members: Group,
}

impl Pool {
    /// A pool of `size` places; 0 is taken as 1.
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { size, places: Semaphore::new(size), members: Group::new() }
    }

    /// A pool that is never full: each member can be spawned at once.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// A pool that is never full, whose members are those of a group.
    pub(super) fn of(members: Group) -> Self {
        Self { members, ..Self::unlimited() }
    }

    /// Spawns a member, waiting for a place if there is none. See [`spawn`](crate::green::spawn()) for the contract.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::green::spawn()), if the machine has no room for another stack.
    pub fn spawn<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.start(self.places.acquire(), body)
    }

    /// As [`spawn`](Self::spawn), without waiting.
    ///
    /// # Errors
    ///
    /// `body` itself, if no place is free.
    #[doc(alias = "PoolFull")]
    pub fn try_spawn<F, T>(&self, body: F) -> Result<Greenlet<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.places.try_acquire() {
            Some(place) => Ok(self.start(place, body)),
            None => Err(body),
        }
    }

    /// Does `work` for each item, as many at once as there are places; results in the order of the items, each with
    /// its own error.
    pub fn map<I, F, T>(&self, items: I, work: F) -> Vec<Result<T, Failed>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        map_each(items, work, |one| self.spawn(move || one.run()))
    }

    /// As [`map`](Self::map), lazily: work begins with the first `next`, and never runs further ahead of what has been
    /// taken than there are places ([`look_ahead`](IMap::look_ahead) to change it).
    ///
    /// Items are taken from their source by a coroutine of its own, so a source that waits, a queue for example, holds up
    /// no result. A panic of the source goes on in `next`, once all results before it have been given out.
    ///
    /// # Panics
    ///
    /// `next` panics as [`spawn`](Self::spawn) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::Pool;
    ///
    /// let pool = Pool::new(2);
    /// let lengths: Vec<usize> =
    ///     pool.imap(["one", "three"], |word: &str| word.len()).map(Result::unwrap).collect();
    /// assert_eq!(lengths, [3, 5]);
    /// ```
    pub fn imap<I, F, T>(&self, items: I, work: F) -> IMap<I::IntoIter, F, T>
    where
        I: IntoIterator<IntoIter: Send + 'static>,
    {
        IMap::new(self.clone(), items.into_iter(), work)
    }

    /// As [`imap`](Self::imap), results in the order in which they are there.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::green::{self, Pool};
    ///
    /// let wait = |n| {
    ///     green::sleep(Duration::from_millis(n));
    ///     n
    /// };
    /// let order: Vec<u64> = Pool::new(2).imap_unordered([30, 1], wait).map(Result::unwrap).collect();
    /// assert_eq!(order, [1, 30]);
    /// ```
    pub fn imap_unordered<I, F, T>(&self, items: I, work: F) -> IMapUnordered<I::IntoIter, F, T>
    where
        I: IntoIterator<IntoIter: Send + 'static>,
    {
        IMapUnordered::new(self.clone(), items.into_iter(), work)
    }

    /// How many places it has; [`usize::MAX`] if it is unlimited.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many places are free; in an unlimited pool more than can be needed.
    pub fn free_count(&self) -> usize {
        self.places.available()
    }

    /// How many members are alive.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no member is alive.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits until no member is alive.
    pub fn join(&self) {
        self.members.join();
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` if members are still alive.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.members.join_timeout(timeout)
    }

    /// Ends all that are members now and waits until they have ended: see [`Group::kill`]. Callers that wait for a place
    /// get it.
    pub fn kill(&self) {
        self.members.kill();
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` if some still run.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        self.members.kill_timeout(timeout)
    }

    /// Takes a place, waiting for it.
    pub(super) fn place(&self) -> Permit {
        self.places.acquire()
    }

    /// Its places, for whoever waits for them in another way.
    pub(in crate::green) const fn places(&self) -> &Semaphore {
        &self.places
    }

    /// Makes the coroutine that calls a member until what this returns is dropped. It has its place already.
    pub(in crate::green) fn enter(&self) -> Option<Membership> {
        current().map(|me| self.members.enter_with(me, Permit::none()))
    }

    pub(super) fn start<F, T>(&self, place: Permit, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_start(place, body).unwrap_or_else(|error| panic!("cannot spawn a coroutine: {error}"))
    }

    pub(in crate::green) fn try_start<F, T>(&self, place: Permit, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        settings::ensure_started().map_err(io::Error::other)?;
        let builder = Builder::new().name("pool");
        let record = builder.record();
        let membership = self.members.enter_with(Coroutine::new(Arc::clone(&record)), place);
        let place = membership.place();
        builder.spawn_as(record, membership, move || {
            // Given back also if the body panics, and after all that the body owned.
            let _place = place;
            body()
        })
    }
}

/// Starts `work` for each item with `spawn`, and waits for all; results in the order of the items.
pub(super) fn map_each<I, F, T>(
    items: I,
    work: F,
    spawn: impl Fn(One<I::Item, F>) -> Greenlet<T>,
) -> Vec<Result<T, Failed>>
where
    I: IntoIterator,
{
    let work = Arc::new(work);
    let start = |item| spawn(One { item, work: Arc::clone(&work) });
    let started: Vec<_> = items.into_iter().map(start).collect();
    started.into_iter().map(Greenlet::get).collect()
}

/// The work for one item.
pub(super) struct One<I, F> {
    item: I,
    work: Arc<F>,
}

impl<I, F> One<I, F> {
    pub(super) fn run<T>(self) -> T
    where
        F: Fn(I) -> T,
    {
        (self.work)(self.item)
    }
}
