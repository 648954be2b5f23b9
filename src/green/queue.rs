//! A bounded queue on which coroutines and threads wait.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fair;
use super::park::WaitList;

/// A first-in first-out queue. [`put`](Self::put) waits while it is full, [`get`](Self::get) while it is empty; one
/// item wakes one waiter, and a waiter whose time is up never takes an item with it.
///
/// Closed, it takes no more items, gives out those it has, and wakes everybody.
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
pub struct Queue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    getters: WaitList,
    putters: WaitList,
}

impl<T> Queue<T> {
    /// A queue that holds at most `capacity` items; 0 is taken as 1.
    pub fn bounded(capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            closed: false,
            getters: WaitList::new(),
            putters: WaitList::new(),
        };
        Self { capacity: capacity.max(1), state: Mutex::new(state) }
    }

    /// Appends an item, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError::Closed`], with the item, where the queue is closed, also while waiting.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, None)
    }

    /// As [`put`](Self::put), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] where it stayed full, [`PutError::Closed`] where it is closed; both give the item back.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, Some(Instant::now() + timeout))
    }

    /// Appends an item without waiting.
    ///
    /// # Errors
    ///
    /// As [`put_timeout`](Self::put_timeout).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        fair::fairness_point();
        self.lock().put(item, self.capacity)
    }

    /// Takes the oldest item, waiting while the queue is empty. `None` where it is closed and empty.
    pub fn get(&self) -> Option<T> {
        self.get_within(None).ok()
    }

    /// As [`get`](Self::get), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] where it stayed empty, [`GetError::Closed`] where it is closed and empty.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_within(Some(Instant::now() + timeout))
    }

    /// Takes the oldest item without waiting.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    pub fn try_get(&self) -> Result<T, GetError> {
        fair::fairness_point();
        self.lock().get()
    }

    /// Closes the queue. Twice is the same as once.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.getters.wake_all();
        state.putters.wake_all();
    }

    /// Whether the queue is closed; it may still hold items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether it holds no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes items until the queue is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.get())
    }

    fn put_within(&self, mut item: T, end: Option<Instant>) -> Result<(), PutError<T>> {
        fair::fairness_point();
        loop {
            let waiter = {
                let mut state = self.lock();
                item = match state.put(item, self.capacity) {
                    Err(PutError::Full(item)) => item,
                    other => return other,
                };
                state.putters.enlist()
            };
            let Some(left) = time_left(end) else {
                self.lock().give_up_put(&waiter);
                return Err(PutError::Full(item));
            };
            if !waiter.wait(left) {
                self.lock().putters.forget(&waiter);
            }
        }
    }

    fn get_within(&self, end: Option<Instant>) -> Result<T, GetError> {
        fair::fairness_point();
        loop {
            let waiter = {
                let mut state = self.lock();
                match state.get() {
                    Err(GetError::Empty) => {}
                    other => return other,
                }
                state.getters.enlist()
            };
            let Some(left) = time_left(end) else {
                self.lock().give_up_get(&waiter);
                return Err(GetError::Empty);
            };
            if !waiter.wait(left) {
                self.lock().getters.forget(&waiter);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn put(&mut self, item: T, capacity: usize) -> Result<(), PutError<T>> {
        if self.closed {
            return Err(PutError::Closed(item));
        }
        if self.items.len() >= capacity {
            return Err(PutError::Full(item));
        }
        self.items.push_back(item);
        self.getters.wake_one();
        Ok(())
    }

    fn get(&mut self) -> Result<T, GetError> {
        match self.items.pop_front() {
            Some(item) => {
                self.putters.wake_one();
                Ok(item)
            }
            None if self.closed => Err(GetError::Closed),
            None => Err(GetError::Empty),
        }
    }

    /// Leaves the list; a wake-up that came all the same goes to the next.
    fn give_up_put(&mut self, waiter: &std::sync::Arc<super::park::Waiter>) {
        self.putters.forget(waiter);
        if !waiter.wake() {
            self.putters.wake_one();
        }
    }

    fn give_up_get(&mut self, waiter: &std::sync::Arc<super::park::Waiter>) {
        self.getters.forget(waiter);
        if !waiter.wake() {
            self.getters.wake_one();
        }
    }
}

/// `None` where the time is up, `Some(None)` where there is no limit.
fn time_left(end: Option<Instant>) -> Option<Option<Duration>> {
    match end.map(|end| end.saturating_duration_since(Instant::now())) {
        Some(Duration::ZERO) => None,
        left => Some(left),
    }
}

/// Why an item was not appended; gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// The queue was full, and stayed so.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

/// Why no item was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetError {
    /// The queue was empty, and stayed so.
    Empty,
    /// The queue is closed and empty.
    Closed,
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "queue full",
            Self::Closed(_) => "queue closed",
        })
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "queue empty",
            Self::Closed => "queue closed",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {}
impl std::error::Error for GetError {}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).field("capacity", &self.capacity).finish()
    }
}
