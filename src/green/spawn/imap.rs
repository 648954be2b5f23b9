//! Results of a pool's work, taken one by one while the next are worked on.
//!
//! A coroutine of its own, the feeder, takes items from the source and starts the work: a result that is there is given
//! out, however long the source lets it wait for the next item.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::green::{Builder, Failed, Greenlet, Pool, Queue, Semaphore, is_unwinding};
use crate::lock::Lock;

/// Results in the order of the items: see [`Pool::imap`]. Dropped early, it takes no more items and lets what has been
/// started go on.
pub struct IMap<I, F, T> {
    results: Results<I, F, T>,
}

/// Results in the order in which they are there: see [`Pool::imap_unordered`]. Dropped early, it takes no more items and
/// lets what has been started go on.
pub struct IMapUnordered<I, F, T> {
    results: Results<I, F, T>,
}

impl<I, F, T> IMap<I, F, T> {
    pub(super) fn new(pool: Pool, items: I, work: F) -> Self {
        Self { results: Results::new(pool, items, work) }
    }

    /// How many items may have been started whose results have not been taken; 0 is taken as 1. Default: the size of
    /// the pool.
    #[must_use]
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.results.look_ahead(items);
        self
    }
}

impl<I, F, T> IMapUnordered<I, F, T> {
    pub(super) fn new(pool: Pool, items: I, work: F) -> Self {
        Self { results: Results::new(pool, items, work) }
    }

    /// As [`IMap::look_ahead`].
    #[must_use]
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.results.look_ahead(items);
        self
    }
}

/// A `next` that a time limit cuts short loses nothing: the following one goes on where it was. In a destructor that runs
/// while its coroutine unwinds there is no next.
impl<I, F, T> Iterator for IMap<I, F, T>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.results.next(|started, results| drop(results.queue.try_put(started)))
    }
}

/// As for [`IMap`], a `next` that is cut short loses nothing.
impl<I, F, T> Iterator for IMapUnordered<I, F, T>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.results.next(|started, results| {
            let (coroutine, results) = (started.coroutine().clone(), Arc::clone(results));
            coroutine.on_exit(move |_| drop(results.queue.try_put(started)));
        })
    }
}

impl<I, F, T> fmt::Debug for IMap<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IMap").field("started", &self.results.queue.len()).finish_non_exhaustive()
    }
}

impl<I, F, T> fmt::Debug for IMapUnordered<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IMapUnordered").field("ended", &self.results.queue.len()).finish_non_exhaustive()
    }
}

struct Results<I, F, T> {
    /// Until the feeder has begun. A feeder for which there was no room leaves it to the next.
    source: Arc<Lock<Option<Source<I, F>>>>,
    feeder: Option<Greenlet<()>>,
    /// What has been started, or has ended, in the order in which it is given out.
    queue: Arc<Queue<Greenlet<T>>>,
    /// The next to be given out, once it has ended.
    next: Option<Greenlet<T>>,
    ahead: usize,
    /// How many more may be started.
    leave: Semaphore,
    /// One has been given out, so that another may be started with the following `next`.
    taken: bool,
}

/// What is still to be started.
struct Source<I, F> {
    pool: Pool,
    items: I,
    work: Arc<F>,
}

/// The giving end of the queue, which closes with the last who may still put something.
struct Giver<T> {
    queue: Arc<Queue<Greenlet<T>>>,
}

impl<I, F, T> Results<I, F, T> {
    fn new(pool: Pool, items: I, work: F) -> Self {
        let ahead = pool.size();
        Self {
            source: Arc::new(Lock::new(Some(Source { pool, items, work: Arc::new(work) }))),
            feeder: None,
            queue: Arc::new(Queue::unbounded()),
            next: None,
            ahead,
            leave: Semaphore::new(0),
            taken: true,
        }
    }

    fn look_ahead(&mut self, items: usize) {
        self.ahead = items.max(1);
    }

    /// The end: a panic of the source goes on here.
    fn end(&mut self) {
        if let Some(feeder) = &self.feeder {
            feeder.join();
        }
        let ended = self.feeder.take().and_then(|feeder| feeder.try_get().ok());
        if let Some(Err(Failed::Panicked(panicked))) = ended {
            resume_unwind(panicked.into_payload());
        }
    }
}

impl<I, F, T> Results<I, F, T>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    /// The next result. `give` has one that was started put into the queue, at once or when it has ended.
    fn next(
        &mut self,
        give: impl Fn(Greenlet<T>, &Arc<Giver<T>>) + Send + 'static,
    ) -> Option<Result<T, Failed>> {
        if is_unwinding() {
            return None;
        }
        self.go_on(give);
        if self.next.is_none() {
            self.next = self.queue.get();
        }
        let Some(next) = &self.next else {
            self.end();
            return None;
        };
        next.join();
        self.taken = true;
        self.next.take()?.try_get().ok()
    }

    /// Lets the feeder start one more for the one taken. The first time it starts the feeder.
    fn go_on(&mut self, give: impl Fn(Greenlet<T>, &Arc<Giver<T>>) + Send + 'static) {
        if self.source.lock().is_some() && self.feeder.is_none() {
            self.start_feeder(give);
            self.leave.release_many(self.ahead);
        } else if self.taken {
            self.leave.release();
        }
        self.taken = false;
    }

    fn start_feeder(&mut self, give: impl Fn(Greenlet<T>, &Arc<Giver<T>>) + Send + 'static) {
        let (source, leave) = (Arc::clone(&self.source), self.leave.clone());
        let queue = Arc::clone(&self.queue);
        let feed = move || {
            let Some(source) = source.lock().take() else { return };
            source.feed(&leave, &Arc::new(Giver { queue }), give);
        };
        let started = Builder::new().name("imap").spawn(feed);
        self.feeder = Some(started.unwrap_or_else(|error| panic!("spawn: {error}")));
    }
}

impl<I, F> Source<I, F> {
    fn feed<T>(mut self, leave: &Semaphore, giver: &Arc<Giver<T>>, give: impl Fn(Greenlet<T>, &Arc<Giver<T>>))
    where
        I: Iterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        loop {
            leave.acquire().forget();
            let Some(item) = self.items.next() else { return };
            let work = Arc::clone(&self.work);
            let work = move || work(item);
            // An item that has been taken out is started, also if its result is no longer wanted.
            match catch_unwind(AssertUnwindSafe(|| self.pool.place())) {
                Ok(place) => give(self.pool.start(place, work), giver),
                Err(killed) => {
                    let pool = self.pool;
                    let start = move || drop(pool.start(pool.place(), work));
                    drop(Builder::new().name("imap").spawn(start));
                    resume_unwind(killed);
                }
            }
        }
    }
}

impl<I, F, T> Drop for Results<I, F, T> {
    fn drop(&mut self) {
        // The feeder may wait for its source. It ends by itself: a destructor must not wait.
        if let Some(feeder) = &self.feeder {
            feeder.kill_timeout(Duration::ZERO);
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.queue.close();
    }
}
