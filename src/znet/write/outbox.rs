//! The outbox: the queue that a connection's handlers and its writer share.
//!
//! It owns the closed state, so there is no window between "is it closed" and "put". A sender takes everything out,
//! sends without the lock, and takes along what others have appended meanwhile; so frames of all senders leave in one
//! order, whole. The lock is a plain mutex held for a few instructions and never across a yield or a system call (except
//! for the one that wakes those that wait on a lost socket, if the connection can be resumed).

use std::io::ErrorKind;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::bounds::Bounds;
use super::frame_queue::FrameQueue;
use super::ledger::Kind;
use super::pressure::Pressure;
use crate::error::{Error, Result};
use crate::green::{Awaits, READ_BUFFER_BYTES, WaitList, home_index};
use crate::lock::Lock;
use crate::ziface::{IDataPack, Payload, Unsent};

/// The queue of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Lock<State>,
    /// The connection's own handlers may have queued replies while the socket was full. Written under the lock.
    has_replies: AtomicBool,
}

/// What the lock guards.
#[derive(Default)]
pub(crate) struct State {
    /// Frames that are not being sent right now.
    pub(super) queue: FrameQueue,
    /// Bytes and frames that the one in [`Sender::Sending`] has taken out, and the bytes among them that are granted.
    pub(super) taken: (usize, usize, usize),
    pub(super) sender: Sender,
    /// Someone wanted to send while another did: it tries once more before it calls the socket full, because the
    /// edge that says "writable" may have come in between.
    pub(super) again: bool,
    /// The connection's own coroutine watches the socket; else it may be in user code, and stay there.
    pub(super) watched: bool,
    /// A writer coroutine watches the socket.
    pub(super) writer: bool,
    /// Bytes that the transport had taken and not sent when the socket was last found full.
    pub(super) in_transport: usize,
    /// The worker, counted from 1, on whose list of connections to be flushed at the next yield this one is; 0: none.
    deferred: u16,
    pub(super) closed: bool,
    pub(super) discarded: bool,
    pub(super) pressure: Option<Box<Pressure>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sender {
    /// Nothing is being sent, and the socket takes what comes.
    #[default]
    Idle,
    /// Someone sends, without the lock.
    Sending,
    /// The socket is full; the first to see it writable sends.
    Blocked,
}

/// Whether a frame fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The queue is full.
    Full,
    /// The server holds as much as it may.
    OverAll,
}

/// What happened to a frame that should be queued.
pub(crate) enum Appended {
    /// Queued. `flush`: so much waits that it should be sent at once; `defer`: else it must be put on the list.
    Queued { flush: bool, defer: bool },
    /// No room in this queue.
    Full,
    /// No room under the bound over all that is held for peers.
    OverAll,
    /// Not queued: the sender must wait for something else first.
    Barred,
}

/// What became of a small frame that was to be queued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Queued. `defer`: the connection is to be put on the list.
    Queued { defer: bool },
    /// Nothing was done: this one is for [`State::append`].
    LookClosely,
}

/// What happened to an attempt to send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    Empty,
    /// Another is sending, and takes everything along.
    ByAnother,
    /// The socket is full. `watched`: the connection's own coroutine or a writer will see it writable.
    Blocked { watched: bool },
    /// The connection has failed, so.
    Failed(ErrorKind),
}

impl Outbox {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes note that a handler of the connection's own has queued so many bytes while the socket is full.
    pub(super) fn note_reply(&self, state: &mut State, bytes: usize) {
        self.has_replies.store(true, Ordering::Relaxed);
        state.note_reply(bytes);
    }

    /// As [`State::holds_back_reading`]. Asked before each read: nearly always the answer is known without the lock.
    #[inline]
    pub(crate) fn holds_back_reading(&self) -> bool {
        self.has_replies.load(Ordering::Relaxed) && self.looks_whether_to_hold_back()
    }

    #[cold]
    fn looks_whether_to_hold_back(&self) -> bool {
        let state = self.lock();
        self.has_replies.store(state.has_replies(), Ordering::Relaxed);
        state.holds_back_reading()
    }
}

impl State {
    /// Appends a small frame if it is plain to see that there is room: nearly always.
    #[inline]
    pub(crate) fn append_plain(
        &mut self,
        pack: &(impl IDataPack + ?Sized),
        bounds: &Bounds,
        msg_id: u32,
        data: &[u8],
    ) -> Result<Plain> {
        let room = self.plain_room(bounds);
        if self.closed || !self.queue.push_plain(pack, msg_id, data, room)? {
            return Ok(Plain::LookClosely);
        }
        Ok(Plain::Queued { defer: self.defer_here() })
    }

    /// Appends a frame of `len` bytes, or says that there is no room.
    #[inline]
    pub(crate) fn append(
        &mut self,
        pack: &dyn IDataPack,
        bounds: &Bounds,
        len: usize,
        msg_id: u32,
        data: Payload<'_>,
    ) -> Result<Appended> {
        self.append_with(bounds, len, |queue| queue.push(pack, msg_id, data))
    }

    /// As [`append`](Self::append), for bytes without a head.
    pub(crate) fn append_raw(&mut self, bounds: &Bounds, data: Payload<'_>) -> Result<Appended> {
        // It is not known whether they are frames, and how many.
        self.stop_keeping(bounds);
        self.append_with(bounds, data.as_slice().len(), |queue| {
            queue.push_raw(data);
            Ok(())
        })
    }

    /// Appends a frame of so many bytes by `push`, or says that there is no room.
    pub(crate) fn append_with(
        &mut self,
        bounds: &Bounds,
        len: usize,
        push: impl FnOnce(&mut FrameQueue) -> Result<()>,
    ) -> Result<Appended> {
        if self.closed {
            return Err(Error::ConnectionClosed);
        }
        if self.keeps() {
            return self.append_and_keep(bounds, len, push);
        }
        self.append_now(bounds, len, push)
    }

    pub(super) fn append_now(
        &mut self,
        bounds: &Bounds,
        len: usize,
        push: impl FnOnce(&mut FrameQueue) -> Result<()>,
    ) -> Result<Appended> {
        match self.room_for(bounds, len, len) {
            Room::Enough => self.push_now(push),
            Room::Full => Ok(Appended::Full),
            Room::OverAll => Ok(Appended::OverAll),
        }
    }

    /// Appends a frame that all queues it is in share, and that is granted already.
    pub(crate) fn append_shared(&mut self, bounds: &Bounds, frame: &Bytes) -> Result<Appended> {
        if self.closed || self.keeps() {
            // Where frames are kept, each is a copy.
            return self.append_with(bounds, frame.len(), |queue| {
                queue.push_packed(frame);
                Ok(())
            });
        }
        match self.room_for(bounds, frame.len(), 0) {
            Room::Enough => self.push_now(|queue| {
                queue.push_shared(frame);
                Ok(())
            }),
            Room::Full => Ok(Appended::Full),
            Room::OverAll => Ok(Appended::OverAll),
        }
    }

    fn push_now(&mut self, push: impl FnOnce(&mut FrameQueue) -> Result<()>) -> Result<Appended> {
        push(&mut self.queue)?;
        let flush = self.sender == Sender::Idle && self.queue.bytes() >= FLUSH_FROM;
        let defer = !flush && self.sender != Sender::Sending && self.defer_here();
        Ok(Appended::Queued { flush, defer })
    }

    /// Whether the socket is full.
    pub(crate) fn is_blocked(&self) -> bool {
        self.sender == Sender::Blocked
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the writer waits for, coroutine or not.
    pub(crate) fn awaits(&self) -> Awaits {
        match self.sender {
            Sender::Sending => Awaits::Nothing,
            Sender::Blocked => Awaits::Socket,
            Sender::Idle if self.queue.is_empty() => Awaits::Item,
            // It sends when the one that has queued it yields, or once a peer that is away is back.
            Sender::Idle => Awaits::Turn,
        }
    }

    pub(crate) const fn has_writer(&self) -> bool {
        self.writer
    }

    pub(crate) fn set_writer(&mut self, writer: bool) {
        self.writer = writer;
        if !writer {
            self.wake_all();
        }
    }

    /// Notes that the connection must be flushed when the calling coroutine next yields. `false` if that is
    /// noted already. On the list of another worker it would be useless: the coroutine there may not yield for long. A plain
    /// thread has no list, and flushes at once.
    pub(crate) fn defer_here(&mut self) -> bool {
        let Some(home) = home_index() else { return true };
        let here = home as u16 + 1;
        std::mem::replace(&mut self.deferred, here) != here
    }

    /// Takes note that a list it is on is being flushed: which one is not said. To be on a second list once more costs a
    /// look; to be taken for listed and not to be, all that is queued.
    pub(crate) const fn undefer(&mut self) {
        self.deferred = 0;
    }

    /// Those who wait for room or for the end.
    pub(crate) fn room(&mut self) -> &mut WaitList {
        &mut self.pressure().room
    }

    /// Since when nothing has left for a full socket, in milliseconds of the server's clock; 0 if it is not full.
    pub(crate) fn blocked_since(&self) -> u64 {
        self.pressure.as_ref().map_or(0, |pressure| pressure.since)
    }

    pub(super) fn drained(&mut self, bounds: &Bounds) {
        (self.sender, self.in_transport) = (Sender::Idle, 0);
        if let Some(pressure) = &mut self.pressure {
            (pressure.since, pressure.replies) = (0, 0);
            pressure.queued.give_back(&bounds.ledger, Kind::Queued);
            pressure.room.wake_all();
        }
    }

    pub(super) fn note_blocked(&mut self, sent: usize, now: u64) {
        self.sender = Sender::Blocked;
        self.pressure().note_blocked(sent, now);
    }

    pub(super) fn wake_all(&mut self) {
        if let Some(pressure) = &mut self.pressure {
            pressure.room.wake_all();
        }
    }

    pub(super) fn give_back(&mut self, bounds: &Bounds) {
        if let Some(pressure) = &mut self.pressure {
            pressure.queued.give_back(&bounds.ledger, Kind::Queued);
        }
    }

    pub(super) fn pressure(&mut self) -> &mut Pressure {
        self.pressure.get_or_insert_default()
    }

    /// What was dropped, or left when the outbox was discarded.
    pub(crate) fn unsent(&self) -> Unsent {
        self.pressure.as_ref().map_or_else(Unsent::default, |pressure| pressure.unsent)
    }

    /// Takes no more frames; what is queued may still leave.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.wake_all();
    }

    /// Closes, throws away what is queued and counts it; so does a sender with what it cannot send.
    pub(crate) fn discard(&mut self, bounds: &Bounds) {
        self.close();
        self.discarded = true;
        let queue = std::mem::take(&mut self.queue);
        self.count_unsent(queue.messages(), queue.bytes());
        self.stop_keeping(bounds);
        if self.sender != Sender::Sending {
            self.give_back(bounds);
        }
    }

    pub(super) fn count_unsent(&mut self, messages: usize, bytes: usize) {
        if messages > 0 {
            self.pressure().count_unsent(messages, bytes);
        }
    }

    pub(super) fn take(&mut self) -> FrameQueue {
        self.sender = Sender::Sending;
        let batch = std::mem::take(&mut self.queue);
        self.taken = (batch.bytes(), batch.messages(), batch.own_bytes());
        batch
    }

    /// Puts what was not sent in front again. Returns whether another wanted to send meanwhile.
    pub(super) fn put_back(&mut self, mut rest: FrameQueue) -> bool {
        self.sender = Sender::Idle;
        self.taken = (0, 0, 0);
        if self.discarded {
            self.count_unsent(rest.messages(), rest.bytes());
        } else if self.has_lost_line() {
            self.count_lost(&rest);
        } else if !rest.is_empty() {
            rest.append(std::mem::take(&mut self.queue));
            self.queue = rest;
        }
        std::mem::take(&mut self.again)
    }
}

/// So much queued on a socket that takes it is sent at once, not at the next yield. As much as one read brings: its
/// answers may leave by one send, if they fit the queue and one system call.
const FLUSH_FROM: usize = READ_BUFFER_BYTES;
