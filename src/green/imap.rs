//! Results of a pool's work, taken one by one while the next are worked on.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::{Failed, Greenlet, IWait, Pool};

/// Results in the order of the items: see [`Pool::imap`]. Dropped early, it lets what has been started go on.
pub struct IMap<I, F, T> {
    work: Work<I, F>,
    started: VecDeque<Greenlet<T>>,
}

/// Results in the order in which they are there: see [`Pool::imap_unordered`]. Dropped early, it lets what has been
/// started go on.
pub struct IMapUnordered<I, F, T> {
    work: Work<I, F>,
    started: IWait<T>,
}

impl<I, F, T> IMap<I, F, T> {
    pub(super) fn new(pool: Pool, items: I, work: F) -> Self {
        Self { work: Work::new(pool, items, work), started: VecDeque::new() }
    }

    /// How many items may have been started whose results have not been taken; 0 is taken as 1. Default: the size of
    /// the pool.
    #[must_use]
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.work.ahead = items.max(1);
        self
    }
}

impl<I, F, T: 'static> IMapUnordered<I, F, T> {
    pub(super) fn new(pool: Pool, items: I, work: F) -> Self {
        Self { work: Work::new(pool, items, work), started: IWait::new() }
    }

    /// As [`IMap::look_ahead`].
    #[must_use]
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.work.ahead = items.max(1);
        self
    }
}

impl<I, F, T> Iterator for IMap<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(greenlet) = self.work.start_one(self.started.len()) {
            self.started.push_back(greenlet);
        }
        self.started.pop_front().map(Greenlet::get)
    }
}

impl<I, F, T> Iterator for IMapUnordered<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(greenlet) = self.work.start_one(self.started.left()) {
            self.started.push(greenlet);
        }
        self.started.next().map(Greenlet::get)
    }
}

impl<I, F, T> fmt::Debug for IMap<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IMap").field("started", &self.started.len()).finish_non_exhaustive()
    }
}

impl<I, F, T: 'static> fmt::Debug for IMapUnordered<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IMapUnordered").field("started", &self.started.left()).finish_non_exhaustive()
    }
}

/// What is still to be started.
struct Work<I, F> {
    pool: Pool,
    items: I,
    work: Arc<F>,
    ahead: usize,
}

impl<I, F> Work<I, F> {
    fn new(pool: Pool, items: I, work: F) -> Self {
        let ahead = pool.size();
        Self { pool, items, work: Arc::new(work), ahead }
    }

    /// Starts the next item. `None` where enough have been started, no place is free, or no item is left. With none
    /// started it waits for a place: others may use the pool too.
    fn start_one<T>(&mut self, started: usize) -> Option<Greenlet<T>>
    where
        I: Iterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        if started >= self.ahead {
            return None;
        }
        // The place first: an item that has been taken out must be started.
        let place = if started == 0 { self.pool.place() } else { self.pool.try_place()? };
        let (item, work) = (self.items.next()?, Arc::clone(&self.work));
        Some(self.pool.start(place, move || work(item)))
    }
}
