//! The questions a connection's peer has been asked, and which answer belongs to which.
//!
//! Answers match first-in first-out by message id (and sequence number, where there is one). A question given up keeps
//! its place for a grace: an answer that comes within it was meant for it, and is dropped. So the same may not be asked
//! again until that answer has come or the grace is over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::green::{Awaits, Event, Until, WaitList};
use crate::lock::Lock;
use crate::ziface::IMessage;
use crate::zpack::Message;

/// The questions of one connection, in the order in which they were queued.
#[derive(Default)]
pub(crate) struct Calls {
    /// There are questions: messages need a look. Changed under the lock only.
    open: AtomicBool,
    /// There will be no more. Changed under the lock only.
    closed: AtomicBool,
    /// Most connections never ask.
    state: Lock<Option<Box<State>>>,
}

#[derive(Default)]
pub(crate) struct State {
    asked: VecDeque<Asked>,
    /// All message ids ever waited for; few.
    reply_ids: Vec<u32>,
    /// Those who wait for a place to become free.
    barred: WaitList,
}

/// What tells an answer from other messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) reply_id: u32,
    /// `None`: any.
    pub(crate) sequence: Option<u64>,
}

/// The sequence number of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// The program has not said where numbers are.
    Unknown,
    /// What is there, if the message has one.
    Found(Option<u64>),
}

struct Asked {
    key: Key,
    slot: Arc<Slot>,
}

/// What happened to a message.
pub(crate) enum Delivered {
    /// It was an answer.
    Taken,
    /// It was the answer to a question given up.
    Late,
    /// It is something else.
    Other(Message),
}

impl Calls {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether answers with this id have ever been waited for.
    pub(crate) fn has_asked(&self, reply_id: u32) -> bool {
        self.lock().as_ref().is_some_and(|state| state.reply_ids.contains(&reply_id))
    }

    /// Until when this may not be asked.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionClosed`].
    pub(crate) fn barred_until(&self, state: &mut State, key: Key) -> Result<Option<Until>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::ConnectionClosed);
        }
        state.asked.retain(|asked| !asked.slot.is_past());
        let same = state.asked.iter().filter(|asked| asked.key.meets(key));
        Ok(same.filter_map(|asked| asked.slot.grace_end()).reduce(Until::later))
    }

    /// Takes note of a question that has just been queued. The caller still holds the outbox.
    pub(crate) fn note(&self, state: &mut State, key: Key, slot: &Arc<Slot>) {
        state.asked.push_back(Asked { key, slot: Arc::clone(slot) });
        if !state.reply_ids.contains(&key.reply_id) {
            state.reply_ids.push(key.reply_id);
        }
        self.open.store(true, Ordering::Release);
    }

    /// Waits until a place may have become free, at the latest `until`. Not in the connection's own coroutine.
    pub(crate) fn wait_for_place(&self, key: Key, until: Until) {
        let waiter = {
            let mut guard = self.lock();
            let state = guard.get_or_insert_default();
            if !matches!(self.barred_until(state, key), Ok(Some(_))) {
                return;
            }
            state.barred.enlist()
        };
        waiter
            .wait(Awaits::Room, until.left(), |gone| self.lock().get_or_insert_default().barred.forget(gone));
    }

    /// Gives a message to the question it answers.
    pub(crate) fn deliver(&self, mut message: Message, number: Number) -> Delivered {
        let reply_id = message.get_msg_id();
        let mut guard = self.lock();
        let state = guard.get_or_insert_default();
        state.asked.retain(|asked| !asked.slot.is_past());
        let delivered = loop {
            let Some(at) = state.asked.iter().position(|asked| asked.key.takes(reply_id, number)) else {
                break Delivered::Other(message);
            };
            let Some(asked) = state.asked.remove(at) else { break Delivered::Other(message) };
            message = match asked.slot.offer(message) {
                Delivered::Other(message) => message,
                other => break other,
            };
        };
        state.barred.wake_all();
        self.open.store(!state.asked.is_empty(), Ordering::Release);
        delivered
    }

    /// Ends all questions, and those that will be asked.
    pub(crate) fn close(&self) {
        let asked = {
            let mut guard = self.lock();
            self.closed.store(true, Ordering::Release);
            self.open.store(false, Ordering::Release);
            let Some(state) = &mut *guard else { return };
            state.barred.wake_all();
            std::mem::take(&mut state.asked)
        };
        for asked in asked {
            asked.slot.close();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Box<State>>> {
        self.state.lock()
    }
}

impl Key {
    /// Whether a message with this id and number is an answer to the question. One without a number is none to a question that
    /// demands one.
    fn takes(self, reply_id: u32, number: Number) -> bool {
        self.reply_id == reply_id
            && match (self.sequence, number) {
                (None, _) | (_, Number::Unknown) => true,
                (wanted, Number::Found(found)) => wanted == found,
            }
    }

    /// Whether a message may be an answer to both.
    fn meets(self, other: Self) -> bool {
        let any = self.sequence.is_none() || other.sequence.is_none();
        self.reply_id == other.reply_id && (any || self.sequence == other.sequence)
    }
}

/// Where the caller finds the answer. A question asked again has one slot and several places in the queue.
pub(crate) struct Slot {
    grace: Duration,
    outcome: Lock<Outcome>,
    /// Set once it is no longer waited.
    over: Event,
}

enum Outcome {
    Waiting,
    Answered(Message),
    /// The answer was taken or given up. One that comes before this is late.
    Over(Until),
    Closed,
}

impl Slot {
    pub(crate) fn new(grace: Duration) -> Arc<Self> {
        Arc::new(Self { grace, outcome: Lock::new(Outcome::Waiting), over: Event::new() })
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.is_set()
    }

    /// Waits for the answer; not in the connection's own coroutine.
    pub(crate) fn wait(&self, until: Until) {
        while !self.is_over() && !until.is_over() {
            match until.left() {
                Some(left) => drop(self.over.wait_timeout(left)),
                None => self.over.wait(),
            }
        }
    }

    /// Takes the answer if it has come.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionClosed`].
    pub(crate) fn take(&self) -> Result<Option<Message>> {
        let mut outcome = self.lock();
        match &*outcome {
            Outcome::Answered(_) => {}
            Outcome::Closed => return Err(Error::ConnectionClosed),
            Outcome::Waiting | Outcome::Over(_) => return Ok(None),
        }
        match std::mem::replace(&mut *outcome, self.grace_from_now()) {
            Outcome::Answered(message) => Ok(Some(message)),
            _ => Ok(None),
        }
    }

    /// No answer will be taken any more.
    pub(crate) fn give_up(&self) {
        let mut outcome = self.lock();
        let not_taken = match *outcome {
            Outcome::Waiting | Outcome::Answered(_) => {
                std::mem::replace(&mut *outcome, self.grace_from_now())
            }
            Outcome::Over(_) | Outcome::Closed => return,
        };
        drop(outcome);
        // Dropped after the lock: what it shares may be the program's.
        drop(not_taken);
    }

    fn offer(&self, message: Message) -> Delivered {
        let mut outcome = self.lock();
        match *outcome {
            Outcome::Waiting => *outcome = Outcome::Answered(message),
            Outcome::Over(until) if until.is_over() => return Delivered::Other(message),
            _ => return Delivered::Late,
        }
        drop(outcome);
        self.over.set();
        Delivered::Taken
    }

    fn close(&self) {
        let mut outcome = self.lock();
        if matches!(*outcome, Outcome::Waiting) {
            *outcome = Outcome::Closed;
        }
        drop(outcome);
        self.over.set();
    }

    fn grace_from_now(&self) -> Outcome {
        Outcome::Over(Until::after_running(self.grace))
    }

    fn grace_end(&self) -> Option<Until> {
        match *self.lock() {
            // An answer not taken yet: its second one may come as long as if it were taken now.
            Outcome::Answered(_) => Some(Until::after_running(self.grace)),
            Outcome::Over(until) => Some(until),
            Outcome::Waiting | Outcome::Closed => None,
        }
    }

    fn is_past(&self) -> bool {
        matches!(*self.lock(), Outcome::Over(until) if until.is_over())
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock()
    }
}
