//! Queues on which coroutines and threads wait, for room and for items.

use std::collections::VecDeque;
use std::fmt;
use std::sync::MutexGuard;
use std::time::Duration;

use super::select::{Waitable, Watch, Watcher};
use crate::green::Until;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::wait_unless;

mod items;
pub use items::QueueIter;

mod errors;
pub use errors::{GetError, PutError};

mod state;
use state::State;

mod store;
use crate::lock::Lock;
use store::{Heap, Stack, Store};

/// A queue: first in, first out.
///
/// [`put`](BaseQueue::put) waits while it is full, [`get`](BaseQueue::get) while it is empty; one item wakes one waiter,
/// and a waiter whose time is up never takes an item with it. Closed, it takes no more items, gives out those it has,
/// and wakes all.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, Queue};
///
/// let queue = Arc::new(Queue::bounded(2));
/// let theirs = Arc::clone(&queue);
/// let producer = green::spawn(move || {
///     for n in 0..10 {
///         theirs.put(n).unwrap();
///     }
///     theirs.close();
/// });
/// assert_eq!(queue.iter().sum::<i32>(), 45);
/// producer.join();
/// ```
pub type Queue<T> = BaseQueue<VecDeque<T>>;

/// A [`Queue`] under the name it has where [`task_done`](BaseQueue::task_done) and [`join`](BaseQueue::join) are used.
pub type JoinableQueue<T> = Queue<T>;

/// A [`Queue`], for code that does not call [`task_done`](BaseQueue::task_done).
pub type SimpleQueue<T> = Queue<T>;

/// A queue that gives out the smallest item first; of equals, the one put first.
///
/// # Examples
///
/// ```
/// use zinx::green::PriorityQueue;
///
/// let queue = PriorityQueue::unbounded();
/// for (rank, name) in [(3, "c"), (1, "a"), (2, "b")] {
///     queue.put((rank, name)).unwrap();
/// }
/// queue.close();
/// assert_eq!(queue.iter().map(|(_, name)| name).collect::<String>(), "abc");
/// ```
pub type PriorityQueue<T> = BaseQueue<Heap<T>>;

/// A queue that gives out the item put last.
///
/// # Examples
///
/// ```
/// use zinx::green::LifoQueue;
///
/// let queue = LifoQueue::bounded(2);
/// queue.put(1).unwrap();
/// queue.put(2).unwrap();
/// assert_eq!((queue.get(), queue.get()), (Some(2), Some(1)));
/// ```
pub type LifoQueue<T> = BaseQueue<Stack<T>>;

/// What [`Queue`], [`PriorityQueue`] and [`LifoQueue`] have in common: all but the order.
pub struct BaseQueue<S: Store> {
    capacity: usize,
    state: Lock<State<S>>,
}

impl<S: Store> BaseQueue<S> {
    /// A queue that holds at most `capacity` items; 0 is taken as 1.
    pub fn bounded(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Lock::new(State::default()) }
    }

    /// A queue that is never full: hold putters back in another way, or memory is the bound.
    pub fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// Puts an item, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError::Closed`], with the item, if the queue is closed, also while waiting.
    pub fn put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        self.put_within(item, None)
    }

    /// As [`put`](Self::put), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] if it stayed full, [`PutError::Closed`] if it is closed; both give the item back.
    pub fn put_timeout(&self, item: S::Item, timeout: Duration) -> Result<(), PutError<S::Item>> {
        self.put_within(item, Some(timeout))
    }

    /// Puts an item without waiting. A caller that has been killed, or whose time limit is over, puts it all the same: so a
    /// destructor gives back what it has.
    ///
    /// # Errors
    ///
    /// As [`put_timeout`](Self::put_timeout).
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        let put = self.lock().put(item, self.capacity);
        fair::after_attempt(put.is_ok());
        put
    }

    /// Takes the next item, waiting while the queue is empty. `None` if it is closed and empty.
    pub fn get(&self) -> Option<S::Item> {
        self.wait_for_item(None, State::get).ok()
    }

    /// As [`get`](Self::get), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] if it stayed empty, [`GetError::Closed`] if it is closed and empty.
    pub fn get_timeout(&self, timeout: Duration) -> Result<S::Item, GetError> {
        self.wait_for_item(Some(timeout), State::get)
    }

    /// Takes the next item without waiting.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<S::Item, GetError> {
        fair::fairness_point();
        self.lock().get()
    }

    /// A copy of the next item, which stays in the queue; waits while there is none. `None` if it is closed and empty.
    ///
    /// With several getters another may have taken it by the time the copy is looked at.
    pub fn peek(&self) -> Option<S::Item>
    where
        S::Item: Clone,
    {
        self.wait_for_item(None, State::peek).ok()
    }

    /// As [`peek`](Self::peek), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    pub fn peek_timeout(&self, timeout: Duration) -> Result<S::Item, GetError>
    where
        S::Item: Clone,
    {
        self.wait_for_item(Some(timeout), State::peek)
    }

    /// As [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    #[doc(alias = "peek_nowait")]
    pub fn try_peek(&self) -> Result<S::Item, GetError>
    where
        S::Item: Clone,
    {
        fair::fairness_point();
        self.lock().peek()
    }

    /// Says that the work on one item taken from the queue is done. See [`join`](Self::join).
    ///
    /// # Panics
    ///
    /// If it is called more often than items were put: as many calls have lost their item.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use zinx::green::{self, JoinableQueue};
    ///
    /// let jobs = Arc::new(JoinableQueue::bounded(8));
    /// let theirs = Arc::clone(&jobs);
    /// let worker = green::spawn(move || theirs.iter().for_each(|job: u32| {
    ///     drop(job);
    ///     theirs.task_done();
    /// }));
    /// (0..20).for_each(|job| jobs.put(job).unwrap());
    /// jobs.join(); // all twenty are done, not only taken
    /// jobs.close();
    /// worker.join();
    /// ```
    pub fn task_done(&self) {
        let mut state = self.lock();
        let left = state.unfinished.checked_sub(1);
        if let Some(left) = left {
            state.set_unfinished(left);
        }
        drop(state);
        assert!(left.is_some(), "task_done called more often than items were put");
    }

    /// Waits until [`task_done`](Self::task_done) has been called for every item that was put.
    pub fn join(&self) {
        self.join_within(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` if work is left.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.join_within(Some(timeout))
    }

    /// How many items were put whose [`task_done`](Self::task_done) is still to come.
    pub fn unfinished(&self) -> usize {
        self.lock().unfinished
    }

    /// Closes the queue: it takes no more items and gives out those it has. Twice is the same as once.
    pub fn close(&self) {
        self.lock().close();
    }

    /// Closes the queue and takes all it holds, in order. What is taken counts as done for [`join`](Self::join).
    pub fn close_now(&self) -> Vec<S::Item> {
        let mut items = {
            let mut state = self.lock();
            state.close();
            let items = std::mem::take(&mut state.items);
            let left = state.unfinished.saturating_sub(items.len());
            state.set_unfinished(left);
            items
        };
        // Without the lock: a heap compares, which is code of the program and may panic.
        std::iter::from_fn(|| items.pop()).collect()
    }

    /// Whether the queue is closed; it may still hold items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many items it holds.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether it holds no item.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds as many items as it can.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// Takes items until the queue is closed and empty.
    pub const fn iter(&self) -> QueueIter<'_, S> {
        QueueIter(self)
    }

    fn put_within(&self, mut item: S::Item, timeout: Option<Duration>) -> Result<(), PutError<S::Item>> {
        fair::fairness_point();
        let until = Until::within(timeout);
        loop {
            let left = until.to_wait();
            let waiter = {
                let mut state = self.lock();
                item = match state.put(item, self.capacity) {
                    Err(PutError::Full(item)) if left.is_some() => item,
                    other => return other,
                };
                state.putters.enlist()
            };
            waiter.wait(Awaits::Room, left.flatten(), |gone| self.lock().putters.forget(gone));
        }
    }

    /// Waits until `look` finds an item, or the queue is closed and empty.
    fn wait_for_item(
        &self,
        timeout: Option<Duration>,
        look: impl Fn(&mut State<S>) -> Result<S::Item, GetError>,
    ) -> Result<S::Item, GetError> {
        fair::fairness_point();
        let until = Until::within(timeout);
        loop {
            let left = until.to_wait();
            let waiter = {
                let mut state = self.lock();
                match look(&mut state) {
                    Err(GetError::Empty) if left.is_some() => {}
                    other => return other,
                }
                state.getters.enlist()
            };
            waiter.wait(Awaits::Item, left.flatten(), |gone| self.lock().getters.forget(gone));
        }
    }

    fn join_within(&self, timeout: Option<Duration>) -> bool {
        let is_done = |state: &mut State<S>| state.unfinished == 0;
        wait_unless(&self.state, is_done, |state| &mut state.joiners, Awaits::Done, timeout)
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock()
    }
}

/// Gives what [`get`](BaseQueue::get) does: an item, or `None` if it is closed and empty.
impl<S: Store> Waitable for BaseQueue<S> {
    type Item = Option<S::Item>;

    fn take_now(&self) -> Option<Self::Item> {
        match self.lock().get() {
            Ok(item) => Some(Some(item)),
            Err(GetError::Closed) => Some(None),
            Err(GetError::Empty) => None,
        }
    }
}

impl<S: Store> Watch for BaseQueue<S> {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.lock();
        let ready = state.closed || state.items.len() > 0;
        if !ready {
            state.watchers.enlist_also(watcher.waiter());
        }
        ready
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().watchers.forget(watcher.as_waiter());
    }
}

impl<S: Store> fmt::Debug for BaseQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).field("capacity", &self.capacity).finish()
    }
}
