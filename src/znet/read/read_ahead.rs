//! Reading ahead: a handler that waits for a message reads on itself, for the reader is below it on the same stack.
//!
//! The reader keeps what it has read on its own stack, where a handler cannot reach it. So it *lends* the rest of a pass
//! that holds more than one frame, and says with each frame how far it has come: a store a frame. A handler that reads
//! on makes an [`Input`] of that; from then on the reader takes everything from there, until nothing is left in it.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::reader::{Heard, Read, received};
use crate::error::{Error, Result};
use crate::green::{
    Alarm, READ_BUFFER_BYTES, ReadBuffer, Socket, Until, drop_each, fairness_point, is_unwinding,
};
use crate::lock::Lock;
use crate::ziface::{CloseReason, IMessage};
use crate::znet::conn::connection::Connection;
use crate::znet::leave::closing::{end_within, reason_of};
use crate::zpack::{FrameReader, Framing, Message, Pass};

/// What the reader and the handlers above it on the stack share. All of it belongs to the connection's own coroutine;
/// the lock is never waited for.
#[derive(Default)]
pub(crate) struct ReadAhead {
    /// There is an input.
    on: AtomicBool,
    /// How far the reader has come in the pass it lends; 0 where it lends none.
    at: AtomicUsize,
    state: Lock<State>,
    /// The peer has ended its stream: the end is to be read, no further event tells of it.
    hangup: AtomicBool,
}

#[derive(Default)]
struct State {
    lent: Option<Bytes>,
    /// Most connections never need it.
    input: Option<Box<Input>>,
}

/// Input read but not handled, oldest first: messages kept for later, the rest of a pass, the beginning of a frame.
#[derive(Default)]
pub(crate) struct Input {
    kept: VecDeque<Message>,
    kept_bytes: usize,
    pass: Option<Pass<ReadBuffer>>,
    frames: FrameReader,
    /// A frame has been cut since this was last asked.
    cut: bool,
    /// Why nothing more can be read.
    failed: Option<Error>,
}

impl ReadAhead {
    /// Whether there is an input: what the reader itself has read of the pass is no longer true.
    pub(crate) fn has_input(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        self.hangup.load(Ordering::Relaxed)
    }

    pub(crate) fn hang_up(&self) {
        self.hangup.store(true, Ordering::Relaxed);
    }

    /// The stream goes on on another socket.
    pub(crate) fn begin_again(&self) {
        self.hangup.store(false, Ordering::Relaxed);
    }

    /// Lends what the pass still holds to the handler that is about to run.
    pub(crate) fn lend(&self, pass: &mut Pass<ReadBuffer>) {
        if !pass.has_rest() && self.at.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.at.swap_relaxed(pass.at()) == 0 {
            self.lock().lent = Some(pass.lend());
        }
    }

    /// Takes the lent pass back.
    pub(crate) fn take_back(&self) {
        if self.at.swap_relaxed(0) != 0 {
            self.lock().lent = None;
        }
    }

    /// Moves what the reader has into the input, unless a handler has made one.
    pub(crate) fn enter(&self, frames: &mut FrameReader, pass: Pass<ReadBuffer>) {
        if !self.has_input() {
            let frames = std::mem::take(frames);
            self.lock().input = Some(Box::new(Input::of(frames, Some(pass))));
            self.on.store(true, Ordering::Relaxed);
        }
    }

    /// Ends reading ahead. Returns the beginning of a frame, for the reader to go on with.
    ///
    /// # Errors
    ///
    /// Why nothing more can be read.
    pub(crate) fn leave(&self) -> Result<FrameReader> {
        self.on.store(false, Ordering::Relaxed);
        let State { input, .. } = std::mem::take(&mut *self.lock());
        let mut input = input.unwrap_or_default();
        input.failed.take().map_or_else(|| Ok(std::mem::take(&mut input.frames)), Err)
    }

    /// Takes all messages that are kept. From anywhere.
    pub(crate) fn take_all_kept(&self) -> VecDeque<Message> {
        let mut state = self.lock();
        let Some(input) = &mut state.input else { return VecDeque::new() };
        input.kept_bytes = 0;
        std::mem::take(&mut input.kept)
    }

    /// Runs `f` on the input, made of what the reader lends where there is none.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Input) -> R) -> R {
        let mut state = self.lock();
        let State { lent, input } = &mut *state;
        let input = input.get_or_insert_with(|| {
            self.on.store(true, Ordering::Relaxed);
            let at = self.at.load(Ordering::Relaxed);
            Input::of(FrameReader::new(), lent.take().map(|lent| Pass::resume(lent, at))).into()
        });
        f(input)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Messages may carry values of the program's decoder.
impl Drop for Input {
    fn drop(&mut self) {
        drop_each(self.kept.drain(..));
    }
}

/// A swap by a load and a store: one coroutine does both.
trait SwapRelaxed {
    fn swap_relaxed(&self, value: usize) -> usize;
}

impl SwapRelaxed for AtomicUsize {
    fn swap_relaxed(&self, value: usize) -> usize {
        let old = self.load(Ordering::Relaxed);
        self.store(value, Ordering::Relaxed);
        old
    }
}

impl Input {
    fn of(frames: FrameReader, pass: Option<Pass<ReadBuffer>>) -> Self {
        let mut input = Self::default();
        (input.frames, input.pass) = (frames, pass);
        input
    }

    /// The first message kept that is `wanted`.
    fn take_kept(&mut self, wanted: impl Fn(&Message) -> bool) -> Option<Message> {
        let at = self.kept.iter().position(wanted)?;
        let message = self.kept.remove(at)?;
        self.kept_bytes -= message.get_data().len();
        Some(message)
    }

    /// Keeps a message for later: it is never lost, but where there is no room for a further one it is an error.
    pub(crate) fn keep(&mut self, mut message: Message, max: (usize, usize)) -> Result<()> {
        // It may share a read buffer, which would stay as a whole.
        if message.get_data().len() < READ_BUFFER_BYTES {
            message.set_data(Bytes::copy_from_slice(message.get_data()));
        }
        self.kept_bytes += message.get_data().len();
        self.kept.push_back(message);
        let (messages, bytes) = (self.kept.len(), self.kept_bytes);
        if messages > max.0 || bytes > max.1 { Err(Error::KeptFull { messages, bytes }) } else { Ok(()) }
    }

    /// Whether there is room to keep one message more.
    pub(crate) fn has_room(&self, max: (usize, usize)) -> bool {
        self.kept.len() < max.0 && self.kept_bytes < max.1
    }

    /// Bytes that the frame begun takes once more of it has been read.
    fn will_hold(&self) -> usize {
        self.frames.will_hold()
    }

    /// Takes all bytes that no frame has been cut out of.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        let begun = self.frames.take_begun();
        let rest = self.pass.take().map_or_else(Bytes::new, |mut pass| pass.take_rest());
        if begun.is_empty() { rest } else { [&begun[..], &rest].concat().into() }
    }

    /// Puts back what is left of them.
    pub(crate) fn put_bytes(&mut self, bytes: Bytes) {
        self.pass = Some(Pass::resume(bytes, 0));
    }

    /// Whether a frame has been cut since a handler last waited.
    pub(crate) const fn has_cut(&self) -> bool {
        self.cut
    }

    /// Cuts the next frame out of what has been read. A frame that cannot be one ends the input.
    fn cut(&mut self, framing: &Framing) -> Option<Message> {
        let cut = self.frames.take_large(framing).and_then(|large| match (large, &mut self.pass) {
            (None, Some(pass)) => self.frames.next(framing, pass),
            (large, _) => Ok(large),
        });
        let message = cut.unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        });
        match message {
            Some(_) => self.cut = true,
            None => self.pass = None,
        }
        message
    }

    /// Whether it still is the beginning of one frame, so many bytes of it, and nothing else.
    pub(crate) fn is_as_it_was(&self, begun: usize) -> bool {
        let rest = self.pass.as_ref().is_some_and(Pass::has_rest);
        self.kept.is_empty() && !self.cut && !rest && self.failed.is_none() && self.frames.received() == begun
    }

    /// Forgets what was read of a stream that has ended, and goes on with another.
    fn begin_again(&mut self) {
        (self.frames, self.pass, self.failed) = (FrameReader::new(), None, None);
    }

    /// Reads what the socket has, once. Everything before has been cut.
    fn fill(&mut self, socket: &Socket, conn: &Connection) -> (usize, Read) {
        let filled = match self.frames.large_rest() {
            Some((buffer, missing)) => {
                let missing = missing.min(conn.most_to_read(true));
                received(socket.try_recv_into(buffer, missing), missing)
            }
            None => self.fill_pass(socket, conn.most_to_read(false)),
        };
        filled.unwrap_or_else(|error| {
            self.failed = Some(error);
            (0, Read::End)
        })
    }

    fn fill_pass(&mut self, socket: &Socket, most: usize) -> Result<(usize, Read)> {
        let mut buffer = ReadBuffer::take(self.frames.received());
        let start = self.frames.restore(&mut buffer);
        let room = (buffer.len() - start).min(most);
        let filled = received(socket.try_recv(&mut buffer[start..start + room]), room);
        let n = filled.as_ref().map_or(0, |(n, _)| *n);
        self.pass = Some(Pass::new(buffer, start + n));
        filled
    }
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

    /// The next message that has been read but not handled. `None` where there is no whole one.
    pub(crate) fn next_ahead(&self) -> Option<Message> {
        self.take_kept(|_| true).or_else(|| self.cut_ahead(&|| false))
    }

    /// Reads on, until a message that answers no call has come, or `done`: then `None`. In the connection's own
    /// coroutine only.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], also where the caller is unwinding; [`Error::ConnectionClosed`] where nothing more will come.
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
            let message = self.cut_ahead(done);
            if message.is_some() || done() {
                return Ok(message);
            }
            if is_unwinding() {
                return Err(Error::TimedOut { what, waited: Duration::ZERO });
            }
            let failed = self.ahead().with(|input| match &input.failed {
                Some(error) => Some(reason_of(error)),
                None => ended.then(|| end_within(input.frames.received())),
            });
            if let Some(reason) = failed {
                if !self.wait_for_return(reason.clone(), until, &|| {}) {
                    return Err(self.nothing_more(reason));
                }
                self.ahead().with(Input::begin_again);
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
            let Some(socket) = self.outbox().lock().socket() else {
                if self.resume().is_none() {
                    return Err(Error::ConnectionClosed);
                }
                ended = true;
                continue;
            };
            if std::mem::take(&mut empty) && !is_over {
                Alarm::keep(&mut alarmed, &socket, until);
                let (begun, frames) =
                    self.ahead().with(|input| (input.frames.received(), std::mem::take(&mut input.cut)));
                heard.frames = frames;
                self.wait_for_input(&socket, begun, std::mem::take(&mut heard));
                self.run_hooks();
                continue;
            }
            heard.held_back = !self.may_read();
            if heard.held_back {
                empty = true;
                continue;
            }
            let will_hold = self.ahead().with(|input| input.will_hold());
            self.hold_arriving(will_hold)?;
            let (n, read) = self.ahead().with(|input| input.fill(&socket, self));
            heard.bytes |= n > 0;
            heard.held_back |= self.keep_rate(&socket, 0, n);
            match read {
                Read::More => fairness_point(),
                Read::Drained => empty = !self.is_hung_up(),
                Read::Nothing => empty = true,
                Read::End => ended = true,
            }
        }
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
            self.note_first_frame();
            if let Some(message) = self.deliver(message) {
                return Some(message);
            }
        }
        None
    }

    /// The first message kept for later that is `wanted`.
    pub(crate) fn take_kept(&self, wanted: impl Fn(&Message) -> bool) -> Option<Message> {
        let message = self.ahead().with(|input| input.take_kept(wanted))?;
        self.let_kept_go(message.get_data().len());
        Some(message)
    }

    /// Keeps a message for the reader to handle once its handler has returned.
    pub(crate) fn keep_for_later(&self, message: Message) -> Result<()> {
        let config = self.core().config();
        self.hold_kept(message.get_data().len())?;
        self.ahead().with(|input| input.keep(message, (config.max_kept_messages, config.max_kept_bytes)))
    }
}
