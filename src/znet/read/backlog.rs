//! What a handler has read on, and what it has kept for later. The reader keeps what it has read on its own stack, where a
//! handler cannot reach it. So it *lends* the rest of a pass that holds more than one frame, and says with each frame how
//! far it has come: a store for each frame. A handler that reads on makes a [`Backlog`] of that; from then on the reader
//! takes everything from there, until nothing is left in it.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;

use super::input::Input;
use crate::error::{Error, Result};
use crate::green::{READ_BUFFER_BYTES, ReadBuffer, drop_each};
use crate::lock::Lock;
use crate::ziface::IMessage;
use crate::znet::transport::{Left, Received, Transport};
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
    /// The peer has ended its stream, and the end was not read yet: no further event tells of it.
    hangup: AtomicBool,
    /// A handler reads on.
    by_handler: AtomicBool,
}

#[derive(Default)]
struct State {
    lent: Option<Bytes>,
    /// Most connections never need it.
    input: Option<Box<Backlog>>,
}

/// Backlog read but not handled, oldest first: messages kept for later, the rest of a pass, the beginning of a frame.
#[derive(Default)]
pub(crate) struct Backlog {
    kept: VecDeque<Message>,
    /// Of each of those, how many messages of a connection that can be resumed have come with it; 0 if that is not known.
    numbers: VecDeque<u64>,
    kept_bytes: usize,
    pass: Option<Pass<ReadBuffer>>,
    input: Input,
    /// A frame has been cut since this was last asked.
    cut: bool,
    /// Why nothing more can be read.
    failed: Option<Error>,
}

impl ReadAhead {
    /// Notes whether a handler reads on, or the reader reads.
    pub(crate) fn note_reader(&self, is_handler: bool) {
        self.by_handler.store(is_handler, Ordering::Relaxed);
    }

    /// Whether what is cut now is read by a handler.
    pub(crate) fn is_read_by_handler(&self) -> bool {
        self.by_handler.load(Ordering::Relaxed)
    }

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

    /// The stream continues on another socket.
    pub(crate) fn begin_again(&self) {
        self.hangup.store(false, Ordering::Relaxed);
    }

    /// Lends what the pass still holds to the handler that is about to run.
    #[inline]
    pub(crate) fn lend(&self, pass: &mut Pass<ReadBuffer>) {
        if self.at.load(Ordering::Relaxed) != 0 {
            self.at.store(pass.at(), Ordering::Relaxed);
        } else if pass.has_rest() {
            self.lend_all(pass);
        }
    }

    #[inline(never)]
    fn lend_all(&self, pass: &mut Pass<ReadBuffer>) {
        self.at.store(pass.at(), Ordering::Relaxed);
        self.lock().lent = Some(pass.lend());
    }

    /// Takes the lent pass back.
    pub(crate) fn take_back(&self) {
        if self.at.load(Ordering::Relaxed) != 0 {
            self.at.store(0, Ordering::Relaxed);
            self.lock().lent = None;
        }
    }

    /// Moves what the reader has into the input, unless a handler has made one.
    pub(crate) fn enter(&self, frames: &mut FrameReader, pass: Pass<ReadBuffer>) {
        if !self.has_input() {
            let frames = std::mem::take(frames);
            self.lock().input = Some(Box::new(Backlog::of(frames, Some(pass))));
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
        input.failed.take().map_or_else(|| Ok(std::mem::take(&mut input.input.frames)), Err)
    }

    /// Takes all messages that are kept. From anywhere.
    pub(crate) fn take_all_kept(&self) -> VecDeque<Message> {
        let mut state = self.lock();
        let Some(input) = &mut state.input else { return VecDeque::new() };
        input.kept_bytes = 0;
        input.numbers.clear();
        std::mem::take(&mut input.kept)
    }

    /// Runs `f` on the input, made of what the reader lends if there is none.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Backlog) -> R) -> R {
        let mut state = self.lock();
        let State { lent, input } = &mut *state;
        let input = input.get_or_insert_with(|| {
            self.on.store(true, Ordering::Relaxed);
            let at = self.at.load(Ordering::Relaxed);
            Backlog::of(FrameReader::new(), lent.take().map(|lent| Pass::resume(lent, at))).into()
        });
        f(input)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Messages may carry values of the program's decoder.
impl Drop for Backlog {
    fn drop(&mut self) {
        drop_each(self.kept.drain(..));
    }
}

impl Backlog {
    fn of(frames: FrameReader, pass: Option<Pass<ReadBuffer>>) -> Self {
        let mut input = Self::default();
        (input.input, input.pass) = (Input::new(frames), pass);
        input
    }

    /// The first message kept that is `wanted`, and its number.
    pub(super) fn take_kept(&mut self, wanted: impl Fn(&Message) -> bool) -> Option<(Message, u64)> {
        let at = self.kept.iter().position(wanted)?;
        let message = self.kept.remove(at)?;
        let number = self.numbers.remove(at)?;
        self.kept_bytes -= message.get_data().len();
        Some((message, number))
    }

    /// The number of the first message kept.
    pub(super) fn first_number(&self) -> Option<u64> {
        self.numbers.front().copied()
    }

    /// Keeps a message for later: it is never lost, but it is an error if there is no room for a further one.
    pub(crate) fn keep(&mut self, message: Message, number: u64, max: (usize, usize)) -> Result<()> {
        self.kept_bytes += message.get_data().len();
        self.kept.push_back(apart(message));
        self.numbers.push_back(number);
        let (messages, bytes) = (self.kept.len(), self.kept_bytes);
        if messages > max.0 || bytes > max.1 { Err(Error::KeptFull { messages, bytes }) } else { Ok(()) }
    }

    /// Keeps a message that was taken out, before all others.
    pub(super) fn put_back(&mut self, message: Message) {
        self.kept_bytes += message.get_data().len();
        self.kept.push_front(apart(message));
        self.numbers.push_front(0);
    }

    /// Whether there is room to keep one message more.
    pub(crate) fn has_room(&self, max: (usize, usize)) -> bool {
        self.kept.len() < max.0 && self.kept_bytes < max.1
    }

    /// Bytes that the frame begun takes once more of it has been read.
    pub(super) fn will_hold(&self) -> usize {
        self.input.frames.will_hold()
    }

    /// Takes all bytes that no frame has been cut out of.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        let begun = self.input.frames.take_begun();
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
    pub(super) fn cut(&mut self, framing: &Framing) -> Option<Message> {
        let cut = self.input.frames.take_large(framing).and_then(|large| match (large, &mut self.pass) {
            (None, Some(pass)) => self.input.frames.next(framing, pass),
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
        self.kept.is_empty()
            && !self.cut
            && !rest
            && self.failed.is_none()
            && self.input.frames.received() == begun
    }

    /// Forgets what was read of a stream that has ended, and goes on with another.
    pub(crate) fn begin_again(&mut self) {
        (self.input, self.pass, self.failed) = (Input::default(), None, None);
    }

    /// Reads what the transport has, once. Everything before has been cut.
    pub(super) fn fill(&mut self, transport: &Transport, most: impl Fn(bool) -> usize) -> Received {
        let filled = if self.input.is_in_large_frame() {
            self.input.fill_large(transport, most(true))
        } else {
            self.fill_pass(transport, most(false))
        };
        filled.unwrap_or_else(|error| {
            self.failed = Some(error);
            Received { n: 0, left: Left::End }
        })
    }

    fn fill_pass(&mut self, transport: &Transport, most: usize) -> Result<Received> {
        let mut buffer = ReadBuffer::take(self.input.frames.received());
        let (received, end) = self.input.fill(transport, &mut buffer, most)?;
        self.pass = Some(Pass::new(buffer, end));
        Ok(received)
    }

    /// Why nothing more can be read.
    pub(super) const fn failed(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// Bytes of the frame begun.
    pub(super) const fn received(&self) -> usize {
        self.input.frames.received()
    }

    /// Whether a frame has been cut since this was last asked.
    pub(super) const fn take_cut(&mut self) -> bool {
        std::mem::replace(&mut self.cut, false)
    }
}

/// The message with a payload of its own. It may share a read buffer, which would stay as a whole.
fn apart(mut message: Message) -> Message {
    if message.get_data().len() < READ_BUFFER_BYTES {
        message.set_data(Bytes::copy_from_slice(message.get_data()));
    }
    message
}
