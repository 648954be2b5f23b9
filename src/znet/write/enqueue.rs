//! From `send_msg` to the queue of the connection, and what happens if there is no room in it.

use std::time::{Duration, Instant};

use super::outbox::{Appended, Flushed, Plain, State};
use crate::error::{Error, Result};
use crate::green::{Until, fairness_point, is_unwinding};
use crate::zconf::{PackKind, QueueFull};
use crate::ziface::{CloseReason, Payload, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::Whom;
use crate::zpack::{LtvLittleEndian, TlvBigEndian};

impl Connection {
    /// Queues a frame. If there is no room, does what the policy says.
    pub(crate) fn send(&self, msg_id: u32, data: Payload<'_>, wait: SendWait) -> Result<()> {
        match self.append_plain(msg_id, data.as_slice()) {
            Ok(Plain::Queued { defer: false }) => Ok(()),
            Ok(Plain::Queued { defer: true }) => {
                self.writer().flush_at_yield();
                Ok(())
            }
            Ok(Plain::LookClosely) => self.send_closely(msg_id, data, wait),
            Err(error) => {
                self.note_panic(&error);
                Err(error)
            }
        }
    }

    /// Called for each message: the heads of the formats built in are written in line.
    #[inline]
    fn append_plain(&self, msg_id: u32, data: &[u8]) -> Result<Plain> {
        let core = self.core();
        let mut state = self.outbox().lock();
        match core.built_in_pack() {
            Some(PackKind::LtvLittleEndian) => {
                state.append_plain(&LtvLittleEndian, core.bounds(), msg_id, data)
            }
            Some(PackKind::TlvBigEndian) => state.append_plain(&TlvBigEndian, core.bounds(), msg_id, data),
            None => state.append_plain(core.pack(), core.bounds(), msg_id, data),
        }
    }

    #[inline(never)]
    fn send_closely(&self, msg_id: u32, data: Payload<'_>, wait: SendWait) -> Result<()> {
        let (pack, bounds) = (self.core().pack(), self.core().bounds());
        let frame = pack.get_head_len() + data.as_slice().len();
        let append = move |state: &mut State| state.append(pack, bounds, frame, msg_id, data.reborrow());
        self.send_with(frame, wait, append).map(drop)
    }

    /// As [`send`](Self::send), without a head.
    pub(crate) fn send_raw(&self, data: Payload<'_>, wait: SendWait) -> Result<()> {
        let (bounds, len) = (self.core().bounds(), data.as_slice().len());
        let append = move |state: &mut State| state.append_raw(bounds, data.reborrow());
        if len == 0 {
            return Ok(());
        }
        self.survives_no_longer();
        self.send_with(len, wait, append).map(drop)
    }

    /// As [`send`](Self::send), with what `append` does under the lock of the outbox. `false` if it is barred.
    pub(crate) fn send_with(
        &self,
        frame: usize,
        wait: SendWait,
        mut append: impl FnMut(&mut State) -> Result<Appended>,
    ) -> Result<bool> {
        let (appended, was_full) = match self.append(frame, &mut append)? {
            full @ (Appended::Full | Appended::OverAll) => {
                (self.append_to_full(frame, wait, full, &mut append), true)
            }
            appended => (Ok(appended), false),
        };
        // Others may run from here on, and what is queued may be thrown away meanwhile: then nothing of it must be left.
        drop(append);
        let mut has_flushed = false;
        if let Ok(Appended::Queued { flush, defer }) = appended {
            self.after_append(flush, defer, frame);
            has_flushed = flush;
        }
        // Last: a time limit around the caller may end it in there, and what is queued must leave all the same.
        if was_full || has_flushed {
            self.let_others_run(wait);
        }
        appended.map(|appended| matches!(appended, Appended::Queued { .. }))
    }

    #[inline]
    fn append(
        &self,
        frame: usize,
        append: &mut impl FnMut(&mut State) -> Result<Appended>,
    ) -> Result<Appended> {
        let mut state = self.outbox().lock();
        state.note_sender(|| self.reader_mark().is_current());
        let appended = append(&mut state);
        if state.is_blocked() && matches!(appended, Ok(Appended::Queued { .. })) && self.is_current() {
            self.outbox().note_reply(&mut state, frame);
        }
        drop(state);
        appended.inspect_err(|error| self.note_panic(error))
    }

    fn after_append(&self, flush: bool, defer: bool, frame: usize) {
        if flush {
            // A handler that fills the socket may return soon: a writer starts only if it really yields.
            if matches!(self.writer().flush_or_defer(), Flushed::Blocked { .. }) && self.is_current() {
                self.outbox().note_reply(&mut self.outbox().lock(), frame);
            }
        }
        if defer {
            self.writer().flush_at_yield();
        }
    }

    /// Does what the policy says if there was no room. Never inlined: the stack that it needs would cost every connection
    /// that sends a second page (`tests/idle.rs`).
    #[cold]
    #[inline(never)]
    fn append_to_full(
        &self,
        frame: usize,
        wait: SendWait,
        mut appended: Appended,
        mut append: &mut dyn FnMut(&mut State) -> Result<Appended>,
    ) -> Result<Appended> {
        let bounds = self.core().bounds();
        let mut waits = None;
        loop {
            let over_all = matches!(appended, Appended::OverAll);
            match appended {
                Appended::Queued { .. } | Appended::Barred => return Ok(appended),
                Appended::OverAll
                    if self.core().make_room(frame, Whom::Stuck).is_now() || self.displaces(frame, wait) =>
                {
                    appended = self.append(frame, &mut append)?;
                    continue;
                }
                Appended::OverAll if frame > bounds.ledger.most() => {
                    return Err(self.queue_full(Duration::ZERO));
                }
                Appended::Full | Appended::OverAll => {}
            }
            let may_wait = bounds.policy() == QueueFull::Wait && wait != SendWait::Never && !is_unwinding();
            // Others run while this one waits: what is in hand counts from now on.
            let waiting = if may_wait { self.hold_waiting(frame) } else { None };
            let Some((since, until)) = waits else {
                // The socket may well take it: what is queued has just not been sent yet.
                waits = Some((Instant::now(), self.wait_at_most(wait)));
                self.send_now(if waiting.is_some() { wait } else { SendWait::Never });
                drop(waiting);
                appended = self.append(frame, &mut append)?;
                continue;
            };
            match bounds.policy() {
                QueueFull::Wait if waiting.is_some() => self.wait_for_room(frame, since, until, over_all)?,
                QueueFull::DropOldest => {
                    if !self.outbox().lock().drop_oldest_for(bounds, frame) {
                        return Err(self.queue_full(Duration::ZERO));
                    }
                }
                QueueFull::Disconnect => {
                    let error = self.queue_full(Duration::ZERO);
                    self.abort_because(CloseReason::QueueFull);
                    return Err(error);
                }
                _ => return Err(self.queue_full(Duration::ZERO)),
            }
            drop(waiting);
            appended = self.append(frame, &mut append)?;
        }
    }

    #[inline(never)]
    fn send_now(&self, wait: SendWait) {
        self.let_others_run(wait);
        self.writer().flush_or_defer();
    }

    /// A handler that sends without end to a peer that reads as fast would never wait, and no other would run beside it:
    /// so this is a point where it may yield.
    fn let_others_run(&self, wait: SendWait) {
        if wait != SendWait::Never {
            fairness_point();
        }
    }

    /// If the wire format has panicked, the peer misses a message, and the sender may not look at the error: the connection
    /// closes.
    #[cold]
    fn note_panic(&self, error: &Error) {
        if let Error::Panicked { what, words } = error {
            self.end_after_code(what, words.clone());
        }
    }

    fn wait_at_most(&self, wait: SendWait) -> Until {
        match wait {
            SendWait::Never => Until::after_running(Duration::ZERO),
            SendWait::Configured => {
                self.core().bounds().wait().map_or_else(Until::never, Until::after_running)
            }
            SendWait::AtMost(timeout) => Until::after_running(timeout),
        }
    }

    pub(super) fn queue_full(&self, waited: Duration) -> Error {
        let state = self.outbox().lock();
        Error::QueueFull { bytes: state.bytes(), messages: state.messages(), waited }
    }
}
