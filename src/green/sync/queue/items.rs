//! Queues that begin with items, and iteration over a queue.

use super::BaseQueue;
use super::state::State;
use super::store::Store;
use crate::lock::Lock;

impl<S: Store> BaseQueue<S> {
    /// A queue that holds `items` already, and at most `capacity` (0 is taken as 1). If there are more of them, it holds all,
    /// and is full until fewer are left. Each counts as put for [`join`](Self::join).
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::PriorityQueue;
    ///
    /// let queue = PriorityQueue::with_items(4, [3, 1, 2]);
    /// assert_eq!((queue.get(), queue.len(), queue.maxsize()), (Some(1), 2, 4));
    /// ```
    pub fn with_items(capacity: usize, items: impl IntoIterator<Item = S::Item>) -> Self {
        let mut state = State::<S>::default();
        for item in items {
            state.items.push(item);
            state.unfinished += 1;
        }
        Self { capacity: capacity.max(1), state: Lock::new(state) }
    }

    /// A queue of the same size with copies of what this one holds now. It is open, also if this one is closed.
    pub fn copy(&self) -> Self
    where
        S: Clone,
    {
        let items = self.lock().items.clone();
        let state = State { unfinished: items.len(), items, ..State::default() };
        Self { capacity: self.capacity, state: Lock::new(state) }
    }

    /// How many items it can hold; [`usize::MAX`] if it is unbounded.
    #[doc(alias = "adjust")]
    pub const fn maxsize(&self) -> usize {
        self.capacity
    }

    /// Closes the queue, as in Python 3.13: [`close`](Self::close), or, if `immediate`, [`close_now`](Self::close_now)
    /// with what is left dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::Queue;
    ///
    /// let queue = Queue::with_items(8, [1, 2]);
    /// queue.shutdown(false);
    /// assert_eq!(queue.get(), Some(1)); // what it holds can still be taken
    /// queue.shutdown(true);
    /// assert_eq!(queue.get(), None);
    /// ```
    pub fn shutdown(&self, immediate: bool) {
        if immediate {
            drop(self.close_now());
        } else {
            self.close();
        }
    }
}

/// An unbounded queue with these items.
impl<S: Store> FromIterator<S::Item> for BaseQueue<S> {
    fn from_iter<I: IntoIterator<Item = S::Item>>(items: I) -> Self {
        Self::with_items(usize::MAX, items)
    }
}

/// Takes items until the queue is closed and empty: what [`BaseQueue::iter`] returns.
pub struct QueueIter<'a, S: Store>(pub(super) &'a BaseQueue<S>);

impl<S: Store> Iterator for QueueIter<'_, S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.0.get()
    }
}

impl<'a, S: Store> IntoIterator for &'a BaseQueue<S> {
    type Item = S::Item;
    type IntoIter = QueueIter<'a, S>;

    fn into_iter(self) -> QueueIter<'a, S> {
        QueueIter(self)
    }
}

impl<S: Store> std::fmt::Debug for QueueIter<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QueueIter").field(self.0).finish()
    }
}
