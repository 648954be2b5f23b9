//! A channel: a queue that holds nothing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::queue::{GetError, PutError};
use super::select::{Waitable, Watch, Watcher};
use crate::green::Until;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::fair;
use crate::green::runtime::park::{WaitList, Waiter};
use crate::lock::Lock;

/// A channel on which putter and getter meet: [`put`](Self::put) returns when a getter has the item, not before.
///
/// Closing it wakes all: an item that was not taken goes back to its putter.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, Channel};
///
/// let channel = Arc::new(Channel::new());
/// let theirs = Arc::clone(&channel);
/// let putter = green::spawn(move || theirs.put("hello"));
/// assert_eq!(channel.get(), Some("hello"));
/// putter.get().unwrap().unwrap();
/// ```
pub struct Channel<T> {
    state: Lock<State<T>>,
}

struct State<T> {
    closed: bool,
    /// Putters and getters never wait at the same time: the second to come finds the other.
    offers: VecDeque<Meeting<T>>,
    wishes: VecDeque<Meeting<T>>,
    watchers: WaitList,
}

/// A putter or getter that waits, and the place where the item lies: a putter's until it is taken, a getter's from the
/// moment it is given. Waking the waiter gives the right to the place.
struct Meeting<T> {
    waiter: Arc<Waiter>,
    place: Arc<Lock<Option<T>>>,
}

impl<T> Channel<T> {
    /// An open channel.
    pub const fn new() -> Self {
        let state = State {
            closed: false,
            offers: VecDeque::new(),
            wishes: VecDeque::new(),
            watchers: WaitList::new(),
        };
        Self { state: Lock::new(state) }
    }

    /// Gives an item to a getter, waiting until one takes it.
    ///
    /// # Errors
    ///
    /// [`PutError::Closed`], with the item, if the channel is closed, also while waiting.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, None)
    }

    /// As [`put`](Self::put), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] if no getter came, [`PutError::Closed`] if it is closed; both give the item back.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, Some(timeout))
    }

    /// Gives an item to a getter that waits already. A caller that has been killed, or whose time limit is over, gives it
    /// all the same.
    ///
    /// # Errors
    ///
    /// As [`put_timeout`](Self::put_timeout).
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let given = self.lock().give(item);
        fair::after_attempt(given.is_ok());
        given
    }

    /// Takes an item from a putter, waiting until one comes. `None` if the channel is closed.
    pub fn get(&self) -> Option<T> {
        self.get_within(None).ok()
    }

    /// As [`get`](Self::get), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] if no putter came, [`GetError::Closed`] if it is closed.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_within(Some(timeout))
    }

    /// Takes an item from a putter that waits already.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, GetError> {
        fair::fairness_point();
        self.lock().take()
    }

    /// Closes the channel and wakes all. Twice is the same as once.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let State { offers, wishes, watchers, .. } = &mut *state;
        for meeting in offers.drain(..).chain(wishes.drain(..)) {
            meeting.wake();
        }
        watchers.wake_all();
    }

    /// Whether the channel is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many more putters than getters wait; negative if getters do.
    pub fn balance(&self) -> isize {
        let state = self.lock();
        state.offers.len().cast_signed() - state.wishes.len().cast_signed()
    }

    /// Takes items until the channel is closed.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.get())
    }

    fn put_within(&self, item: T, timeout: Option<Duration>) -> Result<(), PutError<T>> {
        fair::fairness_point();
        let until = Until::within(timeout);
        let mut state = self.lock();
        let item = match state.give(item) {
            Err(PutError::Full(item)) => item,
            other => return other,
        };
        let Some(left) = until.to_wait() else { return Err(PutError::Full(item)) };
        let meeting = Meeting::new(Some(item));
        state.offers.push_back(meeting.clone());
        state.watchers.wake_all();
        drop(state);
        self.meet(&meeting, left);
        match meeting.take() {
            None => Ok(()),
            Some(item) if self.is_closed() => Err(PutError::Closed(item)),
            Some(item) => Err(PutError::Full(item)),
        }
    }

    fn get_within(&self, timeout: Option<Duration>) -> Result<T, GetError> {
        fair::fairness_point();
        let until = Until::within(timeout);
        let mut state = self.lock();
        match state.take() {
            Err(GetError::Empty) => {}
            other => return other,
        }
        let Some(left) = until.to_wait() else { return Err(GetError::Empty) };
        let meeting = Meeting::new(None);
        state.wishes.push_back(meeting.clone());
        drop(state);
        self.meet(&meeting, left);
        let closed = || if self.is_closed() { GetError::Closed } else { GetError::Empty };
        meeting.take().ok_or_else(closed)
    }

    /// Waits until the other side has come, the channel is closed or the time is up.
    fn meet(&self, meeting: &Meeting<T>, timeout: Option<Duration>) {
        meeting.waiter.wait(Awaits::Partner, timeout, |_| self.lock().strike_out(meeting));
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }
}

impl<T> State<T> {
    /// Gives the item to the getter that has waited longest.
    fn give(&mut self, item: T) -> Result<(), PutError<T>> {
        if self.closed {
            return Err(PutError::Closed(item));
        }
        let mut item = Some(item);
        while let Some(wish) = self.wishes.pop_front() {
            // There before the getter is woken, for then it looks.
            wish.set(item.take());
            if wish.wake() {
                return Ok(());
            }
            item = wish.take();
        }
        Err(PutError::Full(item.expect("it was not taken")))
    }

    /// Takes the item of the putter that has waited longest.
    fn take(&mut self) -> Result<T, GetError> {
        while let Some(offer) = self.offers.pop_front() {
            // Taken before the putter is woken, for then it looks.
            let item = offer.take();
            if offer.wake() {
                return Ok(item.expect("an offer keeps its item until it is taken"));
            }
            offer.set(item);
        }
        Err(if self.closed { GetError::Closed } else { GetError::Empty })
    }

    fn strike_out(&mut self, gone: &Meeting<T>) {
        let stays = |meeting: &Meeting<T>| !Arc::ptr_eq(&meeting.waiter, &gone.waiter);
        self.offers.retain(stays);
        self.wishes.retain(stays);
    }
}

impl<T> Meeting<T> {
    fn new(item: Option<T>) -> Self {
        Self { waiter: Waiter::new(), place: Arc::new(Lock::new(item)) }
    }

    fn set(&self, item: Option<T>) {
        *self.place.lock() = item;
    }

    fn take(&self) -> Option<T> {
        self.place.lock().take()
    }

    /// Ends the wait. `false` if it has ended already.
    fn wake(&self) -> bool {
        self.waiter.wake()
    }
}

impl<T> Clone for Meeting<T> {
    fn clone(&self) -> Self {
        Self { waiter: Arc::clone(&self.waiter), place: Arc::clone(&self.place) }
    }
}

impl<T> Default for Channel<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives what [`get`](Channel::get) does: a putter's item, or `None` if it is closed. To [`try_put`](Channel::try_put)
/// one that waits here is no getter.
impl<T> Waitable for Channel<T> {
    type Item = Option<T>;

    fn take_now(&self) -> Option<Option<T>> {
        match self.lock().take() {
            Ok(item) => Some(Some(item)),
            Err(GetError::Closed) => Some(None),
            Err(_) => None,
        }
    }
}

impl<T> Watch for Channel<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.lock();
        let ready = state.closed || !state.offers.is_empty();
        if !ready {
            state.watchers.enlist_also(watcher.waiter());
        }
        ready
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().watchers.forget(watcher.as_waiter());
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("balance", &self.balance()).finish_non_exhaustive()
    }
}
