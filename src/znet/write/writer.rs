//! From the outbox to the socket: sending, waiting for room, and the writer coroutine.
//!
//! A message is queued and leaves when the coroutine that sent it next yields, whatever it yields on, with all that was
//! queued by then. Only where the socket is full does someone have to watch it: the reader does, as long as it waits
//! for input anyway; while it is in a handler, a writer coroutine takes its place until the queue is empty.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::outbox::{Appended, Flushed, State};
use crate::error::{Error, Result};
use crate::green::{
    Awaits, Builder, Deferred, Readiness, Socket, Until, defer, fairness_point, is_unwinding, yield_now,
};
use crate::zconf::QueueFull;
use crate::ziface::{CloseReason, Payload, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::Whom;
use crate::znet::read::held::LOOK_AGAIN;
use crate::znet::route::aside::step_aside;
use crate::znet::server::tutorial;

impl Connection {
    /// Queues a frame; where there is no room, does what the policy says.
    pub(crate) fn send(&self, msg_id: u32, data: Payload<'_>, wait: SendWait) -> Result<()> {
        let (pack, bounds) = (self.core().pack(), self.core().bounds());
        let frame = pack.get_head_len() + data.as_slice().len();
        let append = |state: &mut State| state.append(pack, bounds, frame, msg_id, data.reborrow());
        self.send_with(frame, wait, append).map(drop)
    }

    /// As [`send`](Self::send), without a head.
    pub(crate) fn send_raw(&self, data: &Payload<'_>, wait: SendWait) -> Result<()> {
        let (bounds, len) = (self.core().bounds(), data.as_slice().len());
        let append = |state: &mut State| state.append_raw(bounds, data.reborrow());
        if len == 0 { Ok(()) } else { self.send_with(len, wait, append).map(drop) }
    }

    /// As [`send`](Self::send), with what `append` does under the lock of the outbox. `false` where it is barred.
    pub(crate) fn send_with(
        &self,
        frame: usize,
        wait: SendWait,
        mut append: impl FnMut(&mut State) -> Result<Appended>,
    ) -> Result<bool> {
        match self.append(&mut append)? {
            Appended::Queued { flush, defer } => {
                self.after_append(flush, defer, wait);
                Ok(true)
            }
            Appended::Barred => Ok(false),
            full @ (Appended::Full | Appended::OverAll) => self.send_to_full(frame, wait, full, &mut append),
        }
    }

    #[inline]
    fn append(&self, append: &mut impl FnMut(&mut State) -> Result<Appended>) -> Result<Appended> {
        let appended = append(&mut self.outbox().lock());
        appended.inspect_err(|error| self.note_panic(error))
    }

    fn after_append(&self, flush: bool, defer: bool, wait: SendWait) {
        if flush {
            // A handler that fills the socket may return soon: a writer starts only if it really yields.
            self.send_now(wait);
        }
        if defer {
            self.flush_at_yield();
        }
    }

    /// What the policy says, where there was no room. Kept apart, never inlined: what it needs of the stack would be a
    /// second page of every connection that sends (`tests/idle.rs`).
    #[cold]
    #[inline(never)]
    fn send_to_full(
        &self,
        frame: usize,
        wait: SendWait,
        mut appended: Appended,
        mut append: &mut dyn FnMut(&mut State) -> Result<Appended>,
    ) -> Result<bool> {
        let bounds = self.core().bounds();
        let mut waits = None;
        loop {
            let over_all = matches!(appended, Appended::OverAll);
            match appended {
                Appended::Queued { flush, defer } => {
                    self.after_append(flush, defer, wait);
                    return Ok(true);
                }
                Appended::Barred => return Ok(false),
                Appended::OverAll if self.core().make_room(frame, Whom::Stuck) => {
                    appended = self.append(&mut append)?;
                    continue;
                }
                Appended::OverAll if frame > bounds.ledger.most() => {
                    return Err(self.queue_full(Duration::ZERO));
                }
                Appended::Full | Appended::OverAll => {}
            }
            if let Some((since, until)) = waits {
                match bounds.policy {
                    QueueFull::Wait if wait != SendWait::Never && !is_unwinding() => {
                        self.wait_for_room(since, until, over_all)?;
                    }
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
            } else {
                // The socket may well take it: what is queued has just not been sent yet.
                waits = Some((Instant::now(), self.wait_at_most(wait)));
                self.send_now(wait);
            }
            appended = self.append(&mut append)?;
        }
    }

    /// Whoever sends on and on to a peer that reads as fast would never wait, and nobody else would run beside it.
    #[inline(never)]
    fn send_now(&self, wait: SendWait) {
        if wait != SendWait::Never {
            fairness_point();
        }
        self.flush_or_defer();
    }

    /// Where the wire format has panicked, the peer misses a message, and who sent it may not look: the connection closes.
    #[cold]
    fn note_panic(&self, error: &Error) {
        if let Error::Panicked { what, words } = error {
            self.end_after_code(what, words.clone());
        }
    }

    /// Has what is queued sent when the coroutine that calls next yields.
    pub(crate) fn flush_at_yield(&self) {
        defer(self.arc());
    }

    /// As [`flush_at_yield`](Self::flush_at_yield), unless that is to be already.
    pub(crate) fn flush_soon(&self, mut state: MutexGuard<'_, State>) {
        let to_defer = state.defer_here();
        drop(state);
        if to_defer {
            self.flush_at_yield();
        }
    }

    /// Sends what the socket takes. The caller sees to it that a full socket is watched.
    pub(crate) fn flush(&self) -> Flushed {
        let core = self.core();
        let flushed = self.outbox().flush(core.bounds(), core.clock());
        if flushed == Flushed::Failed {
            self.fail_sending();
        }
        flushed
    }

    /// Sends what the socket takes; where it is full and nobody watches it, starts the writer.
    fn flush_or_watch(&self) {
        if self.flush() != (Flushed::Blocked { watched: false }) {
            return;
        }
        let socket = {
            let mut state = self.outbox().lock();
            if !state.needs_writer() {
                return;
            }
            state.set_writer(true);
            state.socket()
        };
        let this = self.arc();
        let started = socket.map(|socket| {
            let writer = Builder::new().name("writer").shielded().near(&socket);
            self.core().group().spawn(writer, move || this.write_until_empty(&socket))
        });
        if let Some(Err(error)) = started {
            // The connection's own coroutine watches the socket when its handler returns.
            self.outbox().lock().set_writer(false);
            self.core().log_refused(&error);
        }
    }

    /// The writer coroutine.
    fn write_until_empty(&self, socket: &Socket) {
        tutorial::say(format_args!("[WRITER] conn id {} runs until its queue is empty", self.id()));
        loop {
            if self.flush() == Flushed::ByAnother {
                yield_now();
                continue;
            }
            {
                let mut state = self.outbox().lock();
                if !state.is_blocked() {
                    state.set_writer(false);
                    drop(state);
                    // The reader watches the socket again, or reads on where it held back.
                    return socket.interrupt();
                }
            }
            socket.wait(Readiness::WRITE);
        }
    }

    fn wait_at_most(&self, wait: SendWait) -> Until {
        match wait {
            SendWait::Never => Until::after_running(Duration::ZERO),
            SendWait::Configured => self.core().bounds().wait.map_or_else(Until::never, Until::after_running),
            SendWait::AtMost(timeout) => Until::after_running(timeout),
        }
    }

    /// `over_all`: it is others who hold too much, and nothing tells when they do not any more.
    fn wait_for_room(&self, since: Instant, until: Until, over_all: bool) -> Result<()> {
        if until.is_over() || step_aside().is_err() {
            return Err(self.queue_full(since.elapsed()));
        }
        let waiter = {
            let mut state = self.outbox().lock();
            if state.is_closed() {
                return Err(Error::ConnectionClosed);
            }
            let waiter = state.room().enlist();
            let to_defer = state.defer_here();
            drop(state);
            if to_defer {
                // Waiting yields, and so flushes, or starts the writer.
                self.flush_at_yield();
            }
            waiter
        };
        let left = if over_all { until.or(Until::after(LOOK_AGAIN)).left() } else { until.left() };
        waiter.wait(Awaits::Room, left, |gone| self.outbox().lock().room().forget(gone));
        Ok(())
    }

    fn queue_full(&self, waited: Duration) -> Error {
        let state = self.outbox().lock();
        Error::QueueFull { bytes: state.bytes(), messages: state.messages(), waited }
    }
}

impl Deferred for Connection {
    fn run(self: Arc<Self>) {
        self.outbox().lock().undefer();
        self.flush_or_watch();
    }
}
