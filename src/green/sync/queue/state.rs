//! What a queue's lock guards: its items, and what waits for it.

use super::errors::{GetError, PutError};
use super::store::Store;
use crate::green::runtime::park::WaitList;

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
        Change::of(self).state.items.push(item);
        Ok(())
    }

    pub(super) fn get(&mut self) -> Result<S::Item, GetError> {
        let mut change = Change::of(self);
        let item = change.state.items.pop();
        change.is_lost = false;
        drop(change);
        item.ok_or_else(|| self.why_empty())
    }

    pub(super) fn peek(&mut self) -> Result<S::Item, GetError>
    where
        S::Item: Clone,
    {
        if self.items.len() == 0 {
            return Err(self.why_empty());
        }
        // The item stays, so the one that looks passes its wake-up on.
        self.wake_getter();
        self.items.peek().cloned().ok_or(GetError::Empty)
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

/// A change of the items, which may call code of the program: a heap compares. Waiters are told what has changed, also if
/// that panics.
struct Change<'a, S: Store> {
    state: &'a mut State<S>,
    before: usize,
    /// Whether an item that leaves is lost: `false` once the change has returned it.
    is_lost: bool,
}

impl<'a, S: Store> Change<'a, S> {
    fn of(state: &'a mut State<S>) -> Self {
        Self { before: state.items.len(), state, is_lost: true }
    }
}

impl<S: Store> Drop for Change<'_, S> {
    fn drop(&mut self) {
        let state = &mut *self.state;
        let now = state.items.len();
        if now > self.before {
            state.unfinished += 1;
            state.wake_getter();
            state.watchers.wake_all();
        }
        if now < self.before {
            state.wake_putter();
            if self.is_lost {
                state.set_unfinished(state.unfinished.saturating_sub(1));
            }
        }
    }
}
