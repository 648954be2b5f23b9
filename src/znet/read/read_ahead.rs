//! Reading ahead: a handler that waits for a message reads on by itself, because the reader is below it on the same stack.

use std::time::Duration;

use super::wait::Heard;
use crate::error::{Error, Result};
use crate::green::{Until, fairness_point, is_unwinding};
use crate::ziface::{CloseReason, IMessage};
use crate::znet::conn::connection::Connection;
use crate::znet::leave::closing::{end_within, reason_of};
use crate::znet::leave::hooks::run_hooks;
use crate::znet::read::hold::hold_arriving;
use crate::znet::read::keep_rate::{keep_rate, most_to_read};
use crate::znet::read::wait::{may_read, note_first_frame, wait_for_input};
use crate::znet::resume::returning::wait_for_return;
use crate::znet::resume::state::Resume;
use crate::znet::talk::call::deliver;
use crate::znet::transport::Left;
use crate::zpack::Message;

/// The next message that has been read but not handled. `None` if there is no whole one.
pub(crate) fn next_ahead(conn: &Connection) -> Option<Message> {
    let Some((message, number)) = conn.take_numbered(|_| true) else { return conn.cut_ahead(&|| false) };
    if let Some(resume) = conn.resume() {
        resume.takes_kept(number);
    }
    Some(message)
}

impl Connection {
    /// Whether a handler has read on.
    pub(crate) fn reads_ahead(&self) -> bool {
        self.on_demand().is_some_and(|on_demand| on_demand.ahead.has_input())
    }

    /// Whether the end of the stream is to be read.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.on_demand().is_some_and(|on_demand| on_demand.ahead.is_hung_up())
    }

    /// Reads on, until a message that answers no call has come, or `done`: then `None`. In the connection's own
    /// coroutine only.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], even if the caller is unwinding; [`Error::ConnectionClosed`] if nothing more will come.
    pub(crate) fn read_ahead(
        &self,
        what: &'static str,
        until: Until,
        done: &dyn Fn() -> bool,
    ) -> Result<Option<Message>> {
        let (mut alarmed, mut heard) = (None, Heard::default());
        let (mut empty, mut ended) = (false, false);
        // What has come in time may be unread at the end of it, on a busy machine: there is one look more, but only one.
        let mut has_looked_again = until.is_over();
        loop {
            self.ahead().note_reader(true);
            let message = self.cut_ahead(done);
            self.ahead().note_reader(false);
            if message.is_some() || done() {
                return Ok(message);
            }
            if is_unwinding() {
                return Err(Error::TimedOut { what, waited: Duration::ZERO });
            }
            let in_transport = if ended { self.begun_in_transport() } else { 0 };
            let failed = self.ahead().with(|input| match input.failed() {
                Some(error) => Some(reason_of(error)),
                None => ended.then(|| end_within(input.received() + in_transport)),
            });
            if let Some(reason) = failed {
                if !wait_for_return(self, reason.clone(), until) {
                    return Err(self.nothing_more(reason));
                }
                (empty, ended, alarmed) = (false, false, None);
            }
            if self.is_stopping() {
                return Err(Error::ConnectionClosed);
            }
            let is_over = until.is_over();
            if is_over && has_looked_again {
                until.check(what)?;
            }
            has_looked_again = is_over;
            let Some(transport) = self.line().get() else {
                if self.resume().is_none() {
                    return Err(Error::ConnectionClosed);
                }
                ended = true;
                continue;
            };
            if std::mem::take(&mut empty) && !is_over {
                transport.keep_alarm(&mut alarmed, until);
                let (begun, frames) = self.ahead().with(|input| (input.received(), input.take_cut()));
                heard.frames = frames;
                wait_for_input(
                    self,
                    &transport,
                    begun + transport.begun().received,
                    std::mem::take(&mut heard),
                );
                run_hooks(self);
                continue;
            }
            heard.held_back = !may_read(self);
            if heard.held_back {
                empty = true;
                continue;
            }
            let will_hold = self.ahead().with(|input| input.will_hold());
            hold_arriving(self, will_hold + transport.begun().held)?;
            let received =
                self.ahead().with(|input| input.fill(&transport, |large| most_to_read(self, large)));
            heard.bytes |= received.is_sign_of_life();
            heard.held_back |= keep_rate(self, &transport, 0, received.n);
            self.count_in(received.n, 0);
            match received.left {
                Left::More | Left::Begun => fairness_point(),
                Left::Drained => empty = !self.is_hung_up(),
                Left::Nothing => empty = true,
                Left::End => ended = true,
            }
        }
    }

    /// Bytes of a message that only the transport has seen.
    fn begun_in_transport(&self) -> usize {
        self.line().get().map_or(0, |transport| transport.begun().received)
    }

    fn nothing_more(&self, reason: CloseReason) -> Error {
        self.note_reason(reason);
        self.calls().close();
        Error::ConnectionClosed
    }

    /// The next frame read that answers no call, unless `done` by then.
    fn cut_ahead(&self, done: &dyn Fn() -> bool) -> Option<Message> {
        let framing = self.core().framing();
        while !done() {
            let message = self.ahead().with(|input| input.cut(framing))?;
            if let Some(tap) = self.notes().tap() {
                tap.received(message.get_msg_id(), message.get_data());
            }
            note_first_frame(self);
            if let Some(message) = deliver(self, message) {
                return Some(message);
            }
        }
        None
    }

    /// The first message kept for later that is `wanted`.
    pub(crate) fn take_kept(&self, wanted: impl Fn(&Message) -> bool) -> Option<Message> {
        self.take_numbered(wanted).map(|(message, _)| message)
    }

    fn take_numbered(&self, wanted: impl Fn(&Message) -> bool) -> Option<(Message, u64)> {
        let (message, number) = self.ahead().with(|input| input.take_kept(wanted))?;
        self.let_kept_go(message.get_data().len());
        Some((message, number))
    }

    /// Of the messages that have come and can be counted, how many come before the first that is kept. `None` if none is.
    pub(crate) fn come_before_kept(&self) -> Option<u64> {
        let first = || self.ahead().with(|input| input.first_number());
        self.reads_ahead().then(first)?.map(|number| number.saturating_sub(1))
    }

    /// Keeps a message for the reader to handle once its handler has returned. It is kept also where an error says that there is no
    /// room, and where a time limit around the caller ends the wait for room.
    pub(crate) fn keep_for_later(&self, message: Message) -> Result<()> {
        let payload = message.get_data().len();
        // It is the one that has come last.
        let number = self.resume().map_or(0, Resume::received);
        let kept = self.ahead().with(|input| input.keep(message, number, self.core().bounds().kept()));
        self.hold_kept(payload)?;
        kept
    }

    /// Keeps a message before all others. Never waits.
    pub(crate) fn put_back(&self, message: Message) {
        self.hold_put_back(message.get_data().len());
        self.ahead().with(|input| input.put_back(message));
    }
}
