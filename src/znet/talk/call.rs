//! Asking the peer, and going on with its answer in the next line.

use std::sync::Arc;
use std::time::Duration;

use super::calls::{Delivered, Key, Number, Slot};
use crate::error::{Error, Result};
use crate::green::{Until, contain, is_unwinding};
use crate::ziface::{IConnection, Payload, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Purpose;
use crate::znet::route::aside::step_aside;
use crate::znet::write::outbox::{Appended, State};
use crate::zpack::Message;

/// Counts a message and gives it to the call it answers; gives back one that answers none.
pub(crate) fn deliver(conn: &Connection, message: Message) -> Option<Message> {
    let message = match conn.resume() {
        Some(resume) => conn.filter_resume_frames(resume, message)?,
        None => message,
    };
    if !conn.on_demand().is_some_and(|on_demand| on_demand.calls.is_open()) {
        return Some(message);
    }
    let number = conn.number_of(&message)?;
    match conn.calls().deliver(message, number) {
        Delivered::Taken => None,
        Delivered::Late => {
            conn.core().counters.late_answers.add();
            None
        }
        Delivered::Other(message) => Some(message),
    }
}

impl dyn IConnection {
    /// Sends a message and waits for the answer: the next message with the id `reply_id`. From anywhere: a handler of
    /// this connection, which reads on by itself and keeps other messages, in order, for later (`MaxKeptMessages`,
    /// `MaxKeptBytes`); another connection's handler; any coroutine; a plain thread.
    ///
    /// In a destructor that runs while its coroutine unwinds nothing waits: nothing is asked, and the error is
    /// [`TimedOut`](Error::TimedOut).
    ///
    /// Several may ask at a time: answers match first-in first-out by their id. An answer goes to the caller, not to
    /// a router; one that is no longer waited for is counted ([`Stats::late_answers`](crate::znet::Stats)) and
    /// dropped, unless its id has a router. After a timeout no question for the same id is sent until the answer has come or
    /// `CallGraceMs` are over, so that it cannot pass for another; that wait comes on top of `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](Error::TimedOut) if nothing came within `timeout`, [`ConnectionClosed`](Error::ConnectionClosed)
    /// if the connection closes first, [`KeptFull`](Error::KeptFull) if too much else came first, and those of
    /// [`send_msg`](#method.send_msg).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// fn trade(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     let answer = conn.call(10, "sell for 5?", 11, Duration::from_secs(30))?;
    ///     conn.send_msg(12, if answer.get_data() == "yes" { "sold" } else { "kept" })
    /// }
    /// ```
    pub fn call<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        reply_id: u32,
        timeout: Duration,
    ) -> Result<Message> {
        self.call_with(msg_id, data, reply_id, Call::new(timeout))
    }

    /// As [`call`](#method.call), with a policy: asked again if no answer comes, answers told by a sequence number.
    ///
    /// # Errors
    ///
    /// As [`call`](#method.call).
    pub fn call_with<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        reply_id: u32,
        policy: Call,
    ) -> Result<Message> {
        self.connection().ask_peer(msg_id, data.into(), reply_id, policy)
    }
}

/// How to ask.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::znet::Call;
///
/// // Three times, two seconds each.
/// let policy = Call::new(Duration::from_secs(2)).retries(2);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Call {
    timeout: Duration,
    retries: u32,
    grace: Option<Duration>,
    sequence: Option<u64>,
    /// When all of it is to be over, what comes before the question included.
    limit: Until,
}

impl Call {
    /// Asks once and waits for so long.
    pub const fn new(timeout: Duration) -> Self {
        Self { timeout, retries: 0, grace: None, sequence: None, limit: Until::never() }
    }

    /// Asks once, and waits until then at most, also for room in the queue and for a late answer to an earlier question.
    pub(super) fn within(limit: Until) -> Self {
        Self { limit, ..Self::new(limit.left().unwrap_or(Duration::MAX)) }
    }

    /// Asks again, so many times, if no answer has come within the timeout, which begins again. Default 0. An answer
    /// to any of the questions is the answer; those to the others are late.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a late answer is recognised as such. Default `CallGraceMs`.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Takes only an answer with this sequence number; see `Server::set_call_sequence`, without which it has no effect.
    /// Default: any.
    pub const fn sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }
}

/// What is asked: each attempt is the same frame with the same slot.
struct Question<'a> {
    msg_id: u32,
    data: Payload<'a>,
    key: Key,
    slot: Arc<Slot>,
    limit: Until,
}

/// However the asking ends, also by a kill, a time limit around it, or a panic: the question is given up when the wait ends.
impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.slot.give_up();
    }
}

impl Connection {
    fn ask_peer(&self, msg_id: u32, data: Payload<'_>, reply_id: u32, policy: Call) -> Result<Message> {
        if is_unwinding() {
            return Err(Error::TimedOut { what: CALL, waited: Duration::ZERO });
        }
        let key = Key { reply_id, sequence: policy.sequence };
        let slot = Slot::new(policy.grace.unwrap_or_else(|| self.core().bounds().call_grace()));
        let question = Question { msg_id, data, key, slot, limit: policy.limit };
        let asked = (0..=policy.retries).find_map(|attempt| {
            match Purpose::Call(msg_id).during(|| self.ask_once(&question, attempt, policy.timeout)) {
                Err(Error::TimedOut { .. }) if attempt < policy.retries => None,
                asked => Some(asked),
            }
        });
        let ended = asked.unwrap_or(Err(Error::TimedOut { what: CALL, waited: policy.timeout }));
        if let Some(history) = self.core().history() {
            let calls = &history.calls;
            match &ended {
                Ok(_) => calls.answered.add(),
                Err(Error::TimedOut { .. }) => calls.timed_out.add(),
                Err(_) => calls.failed.add(),
            }
        }
        ended
    }

    fn ask_once(&self, question: &Question<'_>, attempt: u32, timeout: Duration) -> Result<Message> {
        while let Some(until) = self.queue_question(question, attempt)? {
            self.wait_out(question.key, until.or(question.limit))?;
            question.limit.check(CALL)?;
        }
        self.wait_for(&question.slot, Until::after_running(timeout).or(question.limit))?;
        question.slot.take()?.ok_or(Error::TimedOut { what: CALL, waited: timeout })
    }

    /// Queues a question and takes note of it in one step, so that both are in one order. Returns until when it must
    /// not be asked, if that is so. Asked again, it need not wait for its own late answer.
    fn queue_question(&self, question: &Question<'_>, attempt: u32) -> Result<Option<Until>> {
        let Question { msg_id, data, key, slot, limit } = question;
        let (pack, bounds) = (self.core().pack(), self.core().bounds());
        let frame = pack.get_head_len() + data.as_slice().len();
        let mut barred = None;
        let wait = self.wait_within(*limit);
        let asked = self.send_with(frame, wait, |outbox: &mut State| {
            let mut guard = self.calls().lock();
            let calls = guard.get_or_insert_default();
            barred = self.calls().barred_until(calls, *key)?.filter(|_| attempt == 0);
            if barred.is_some() {
                return Ok(Appended::Barred);
            }
            let appended = outbox.append(pack, bounds, frame, *msg_id, data.reborrow())?;
            if matches!(appended, Appended::Queued { .. }) {
                self.calls().note(calls, *key, slot);
            }
            Ok(appended)
        });
        asked.map_err(|error| limited(error, CALL, *limit))?;
        Ok(barred)
    }

    /// How long a send may wait for room that is to be over by then.
    pub(super) fn wait_within(&self, limit: Until) -> SendWait {
        let configured = self.core().bounds().wait();
        match limit.left() {
            Some(left) if configured.is_none_or(|wait| left < wait) => SendWait::AtMost(left),
            _ => SendWait::Configured,
        }
    }

    /// Waits until the same may be asked again.
    fn wait_out(&self, key: Key, end: Until) -> Result<()> {
        if !self.reader_mark().is_current() {
            drop(step_aside());
            self.calls().wait_for_place(key, end);
            return Ok(());
        }
        let is_free = || {
            let mut guard = self.calls().lock();
            !matches!(self.calls().barred_until(guard.get_or_insert_default(), key), Ok(Some(_)))
        };
        match self.read_until(CALL, end, &is_free) {
            Err(Error::TimedOut { .. }) => Ok(()),
            other => other,
        }
    }

    /// Waits until the slot has an outcome.
    fn wait_for(&self, slot: &Slot, until: Until) -> Result<()> {
        if !self.reader_mark().is_current() {
            // Without another coroutine for the others, they wait too.
            drop(step_aside());
            slot.wait(until);
            return Ok(());
        }
        match self.read_until(CALL, until, &|| slot.is_over()) {
            // The slot says itself whether it was closed or answered in the last moment.
            Err(Error::TimedOut { .. }) => Ok(()),
            Err(Error::ConnectionClosed) if slot.is_over() => Ok(()),
            other => other,
        }
    }

    /// Reads on until `done`, keeping all messages for later.
    pub(crate) fn read_until(&self, what: &'static str, until: Until, done: &dyn Fn() -> bool) -> Result<()> {
        while let Some(message) = self.read_ahead(what, until, done)? {
            self.keep_for_later(message)?;
        }
        Ok(())
    }
}

impl Connection {
    /// The sequence number that the program's function finds in a message. `None` if it has panicked: then the message
    /// belongs to no question, and the connection closes.
    fn number_of(&self, message: &Message) -> Option<Number> {
        let Some(sequence) = self.core().talk().sequence.get() else { return Some(Number::Unknown) };
        contain(|| Number::Found(sequence(message)))
            .map_err(|words| self.end_after_code("the sequence function", words))
            .ok()
    }
}

/// What a send has failed with that was to be over by then: with the time limit, if it has waited that long for room.
pub(super) fn limited(error: Error, what: &'static str, limit: Until) -> Error {
    match error {
        Error::QueueFull { waited, .. } if !waited.is_zero() && limit.is_over() => {
            Error::TimedOut { what, waited }
        }
        error => error,
    }
}

const CALL: &str = "call";
