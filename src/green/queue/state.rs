//! What a queue's lock guards: its items, and who waits for what.

use super::errors::{GetError, PutError};
use super::store::Store;
use crate::green::park::WaitList;

/// The state of a queue.
#[derive(Default)]
pub(super) struct State<S> {
    pub(super) items: S,
    pub(super) closed: bool,
    /// Items put and not yet reported by `task_done`.
    pub(super) unfinished: usize,
    pub(super) getters: WaitList,
    pub(super) putters: WaitList,
    pub(super) joiners: WaitList,
    /// Those who wait for this queue among others: told of each item and of the close, they take nothing by waiting.
    pub(super) watchers: WaitList,
}

impl<S: Store> State<S> {
    pub(super) fn put(&mut self, item: S::Item, capacity: usize) -> Result<(), PutError<S::Item>> {
        if self.closed {
            return Err(PutError::Closed(item));
        }
        if self.items.len() >= capacity {
            return Err(PutError::Full(item));
        }
        self.items.push(item);
        self.unfinished += 1;
        self.wake_getter();
        self.watchers.wake_all();
        Ok(())
    }

    pub(super) fn get(&mut self) -> Result<S::Item, GetError> {
        match self.items.pop() {
            Some(item) => {
                self.wake_putter();
                Ok(item)
            }
            None => Err(self.why_empty()),
        }
    }

    pub(super) fn peek(&mut self) -> Result<S::Item, GetError>
    where
        S::Item: Clone,
    {
        let Some(item) = self.items.peek().cloned() else { return Err(self.why_empty()) };
        // The item stays, so whoever looked passes its wake-up on.
        self.wake_getter();
        Ok(item)
    }

    /// Tells the next getter of an item it may have.
    pub(super) fn wake_getter(&mut self) {
        self.getters.wake_one();
    }

    /// Tells the next putter of room it may use.
    pub(super) fn wake_putter(&mut self) {
        self.putters.wake_one();
    }

    const fn why_empty(&self) -> GetError {
        if self.closed { GetError::Closed } else { GetError::Empty }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.getters.wake_all();
        self.putters.wake_all();
        self.watchers.wake_all();
    }

    pub(super) fn set_unfinished(&mut self, left: usize) {
        self.unfinished = left;
        if left == 0 {
            self.joiners.wake_all();
        }
    }
}
