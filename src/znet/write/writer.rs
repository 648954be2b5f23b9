//! From the queue to the transport.
//!
//! A message is queued and leaves when the coroutine that sent it next yields, whatever it yields on, with all that was
//! queued by then. Only if the socket is full does someone have to watch it. The reader does, as long as it waits for input
//! anyway; while it is in a handler, a writer coroutine takes its place until the queue is empty.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, MutexGuard};

use super::frame_queue::FrameQueue;
use super::outbox::{Flushed, Sender, State};
use crate::error::Error;
use crate::green::{Builder, Deferred, Readiness, defer, yield_now};
use crate::ziface::CloseReason;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::tap::Tap;
use crate::znet::transport::Transport;
use crate::znet::transport::line::OwnLine;
use crate::znet::tutorial;
use crate::zpack::Framing;

/// Sends what is queued to one connection.
pub(crate) struct Writer<'a> {
    conn: &'a Connection,
}

impl Connection {
    #[inline]
    pub(crate) const fn writer(&self) -> Writer<'_> {
        Writer { conn: self }
    }
}

impl<'a> Writer<'a> {
    /// Sends what is queued when the calling coroutine next yields.
    pub(crate) fn flush_at_yield(&self) {
        defer(self.conn.arc());
    }

    /// As [`flush_at_yield`](Self::flush_at_yield), unless that is asked for already.
    pub(crate) fn flush_soon(&self, mut state: MutexGuard<'_, State>) {
        let to_defer = state.defer_here();
        drop(state);
        if to_defer {
            self.flush_at_yield();
        }
    }

    /// Sends what the transport takes. If it is full and not watched, the next yield starts a writer coroutine.
    pub(crate) fn flush_or_defer(&self) -> Flushed {
        let flushed = self.flush();
        if flushed == (Flushed::Blocked { watched: false }) && self.conn.outbox().lock().defer_here() {
            self.flush_at_yield();
        }
        flushed
    }

    /// Sends what the transport takes. The caller sees to it that a full one is watched.
    pub(crate) fn flush(&self) -> Flushed {
        self.flush_from(self.conn.outbox().lock())
    }

    /// As [`flush`](Self::flush), by the connection's own coroutine, which is about to rest and watches the socket from now on.
    /// Returns what it waits for.
    pub(crate) fn flush_and_watch(&self, line: &OwnLine<'_>) -> Readiness {
        let mut state = self.conn.outbox().lock();
        state.undefer();
        if state.is_durable() {
            state = self.conn.begin_to_save(state);
        }
        let (mut state, flushed) = self.send_queued(state, line.only());
        let interest = state.begin_watch();
        drop(state);
        if let Flushed::Failed(how) = flushed {
            self.conn.fail_sending(how);
        }
        interest
    }

    fn flush_from(&self, mut state: MutexGuard<'a, State>) -> Flushed {
        if state.is_durable() {
            state = self.conn.begin_to_save(state);
        }
        let (state, flushed) = self.send_queued(state, None);
        drop(state);
        if let Flushed::Failed(how) = flushed {
            self.conn.fail_sending(how);
        }
        flushed
    }

    /// Sends what is queued, as far as the transport takes it, and what others append meanwhile. `only`: the transport, if it is
    /// known that there never is another. In line: see [`Input::fill`](crate::znet::read::input::Input::fill).
    #[inline(always)]
    fn send_queued(
        &self,
        mut state: MutexGuard<'a, State>,
        only: Option<&Transport>,
    ) -> (MutexGuard<'a, State>, Flushed) {
        let (outbox, core) = (self.conn.outbox(), self.conn.core());
        let bounds = core.bounds();
        if state.sender == Sender::Sending {
            state.again = true;
            return (state, Flushed::ByAnother);
        }
        let looked_up = if only.is_none() { self.conn.line().get() } else { None };
        let transport = only.or(looked_up.as_ref());
        loop {
            if state.queue.is_empty() && !transport.is_some_and(Transport::has_unsent) {
                state.drained(bounds);
                return (state, Flushed::Empty);
            }
            let Some(transport) = transport else {
                return (state, Flushed::Failed(ErrorKind::NotConnected));
            };
            let mut batch = state.take();
            drop(state);
            let (before, messages) = (batch.bytes(), batch.messages());
            let outcome = match self.conn.notes().tap() {
                None => send(transport, &mut batch, |_, _, _| {}),
                Some(tap) => send_tapped(transport, &mut batch, &tap, core.framing()),
            };
            let sent = before - batch.bytes();
            self.conn.count_out(messages - batch.messages(), sent);
            state = outbox.lock();
            let again = state.put_back(batch);
            match outcome {
                Ok(()) => {}
                // It was thrown away while it was being sent: nobody gives back later what was granted for it.
                Err(_) if state.discarded => {
                    state.drained(bounds);
                    return (state, Flushed::Empty);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && !state.has_lost_line() => {
                    // Read, not remembered: this time tells which peers are slow, by the tenth of a second.
                    state.note_blocked(sent, core.clock().tick());
                    core.clock().begins();
                    state.note_in_transport(bounds, transport.unsent_bytes());
                    if sent > 0 {
                        state.make_room(bounds);
                    }
                    if !again {
                        let watched = state.watched || state.writer;
                        return (state, Flushed::Blocked { watched });
                    }
                }
                Err(_) if state.lose_line(bounds) => {
                    // A system call under the lock, once for each loss: afterwards the transport may be another.
                    transport.end();
                    return (state, Flushed::Empty);
                }
                Err(error) => return (state, Flushed::Failed(error.kind())),
            }
        }
    }

    /// Sends what the transport takes. If it is full and not watched, starts the writer coroutine.
    fn flush_or_watch(&self, state: MutexGuard<'a, State>) {
        if self.flush_from(state) != (Flushed::Blocked { watched: false }) {
            return;
        }
        let conn = self.conn;
        let transport = {
            let mut state = conn.outbox().lock();
            if !state.needs_writer() {
                return;
            }
            state.set_writer(true);
            conn.line().get()
        };
        let started = transport.map(|transport| {
            let (this, builder) = (conn.arc(), transport.near(Builder::new().name("writer").shielded()));
            conn.core().group().spawn(builder, move || this.writer().write_until_empty(&transport))
        });
        if let Some(Err(error)) = started {
            // The connection's own coroutine watches the socket when its handler returns.
            conn.outbox().lock().set_writer(false);
            conn.core().log_refused(&error);
        }
    }

    /// The writer coroutine.
    fn write_until_empty(&self, transport: &Transport) {
        let conn = self.conn;
        tutorial::say(format_args!("[WRITER] conn id {} runs until its queue is empty", conn.id()));
        loop {
            if self.flush() == Flushed::ByAnother {
                yield_now();
                continue;
            }
            {
                let mut state = conn.outbox().lock();
                if !state.is_blocked() {
                    state.set_writer(false);
                    drop(state);
                    // The reader watches the socket again, or reads on if it held back.
                    return transport.interrupt();
                }
            }
            transport.wait(Readiness::WRITE);
        }
    }
}

impl Connection {
    /// A send has failed: the peer is gone. If it was away, and nothing is kept for it any more, that is why.
    fn fail_sending(&self, how: ErrorKind) {
        let error = match how {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                "the peer has reset the connection".to_string()
            }
            how => Error::io("send", how.into()).to_string(),
        };
        self.abort_because(self.why_away().unwrap_or(CloseReason::Failed { error }));
    }
}

impl Deferred for Connection {
    fn run(self: Arc<Self>) {
        let mut state = self.outbox().lock();
        state.undefer();
        self.writer().flush_or_watch(state);
    }
}

/// As [`send`], and shows what leaves.
#[cold]
#[inline(never)]
fn send_tapped(
    transport: &Transport,
    batch: &mut FrameQueue,
    tap: &Tap,
    framing: &Framing,
) -> io::Result<()> {
    send(transport, batch, |slices, sent, is_all| tap.sent(framing, slices, sent, is_all))
}

/// Sends until the batch is empty or the transport full. `show` gets what was to be sent, how many bytes of it have left, and
/// whether that is all there was.
fn send(
    transport: &Transport,
    batch: &mut FrameQueue,
    show: impl Fn(&[IoSlice<'_>], usize, bool),
) -> io::Result<()> {
    while !batch.is_empty() {
        let (one, mut several);
        let slices = if let Some(tail) = batch.only_tail() {
            one = [IoSlice::new(tail)];
            &one[..]
        } else {
            several = [IoSlice::new(&[]); MAX_SLICES];
            let filled = batch.slices(&mut several);
            &several[..filled]
        };
        let sent = transport.send(slices, || batch.frame_lens())?;
        show(slices, sent, sent == batch.bytes());
        batch.advance(sent);
    }
    transport.flush()
}

/// Buffers in one system call.
const MAX_SLICES: usize = 16;
