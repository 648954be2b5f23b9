//! How an outbox keeps what it sends, if its connection can be resumed: what the peer has not counted is sent again when it
//! is back.

use std::io::IoSlice;

use bytes::Bytes;

use super::bounds::Bounds;
use super::frame_queue::FrameQueue;
use super::ledger::Kind;
use super::outbox::{Appended, Outbox, Sender, State};
use super::replay::Replay;
use crate::error::Result;
use crate::ziface::{ResumeRefusal, Unsent};
use crate::znet::transport::Transport;
use crate::znet::transport::line::Line;

impl Outbox {
    /// Takes the transport for lost: nothing leaves until there is another, and those that wait on it are woken. `false` if
    /// nothing is kept, so that nothing could be sent again.
    pub(crate) fn lose_line(&self, bounds: &Bounds, line: &Line) -> bool {
        self.lose_line_and(bounds, line, Transport::end)
    }

    /// As [`lose_line`](Self::lose_line), and resets the stream: its peer is cut off.
    pub(crate) fn cut_line(&self, bounds: &Bounds, line: &Line) -> bool {
        self.lose_line_and(bounds, line, Transport::reset)
    }

    /// A system call under the lock, once for each loss: afterwards the transport may be another.
    fn lose_line_and(&self, bounds: &Bounds, line: &Line, end: impl FnOnce(&Transport)) -> bool {
        let mut state = self.lock();
        let lost = state.lose_line(bounds);
        if lost && let Some(transport) = line.get() {
            end(&transport);
        }
        lost
    }
}

impl State {
    /// Keeps what is sent from now on, after `frame`, which is not counted.
    pub(crate) fn start_keeping(&mut self, frame: &Bytes, max: (usize, usize)) {
        self.queue.push_packed(frame);
        self.pressure().kept = Some(Box::new(Replay::new(max)));
    }

    /// Keeps nothing any more: the connection ends with its socket. What a peer that is away has missed counts as unsent.
    pub(crate) fn stop_keeping(&mut self, bounds: &Bounds) {
        if let Some(mut kept) = self.pressure.as_mut().and_then(|pressure| pressure.kept.take()) {
            kept.count_unreleased();
            kept.share.give_back(&bounds.ledger, Kind::Resume);
            self.count_unsent(kept.unsent.messages, kept.unsent.bytes);
        }
    }

    pub(super) fn has_lost_line(&self) -> bool {
        self.kept().is_some_and(|kept| kept.lost)
    }

    /// Takes note of what could not be sent on the lost transport.
    pub(super) fn count_lost(&mut self, queue: &FrameQueue) {
        if let Some(kept) = self.kept_mut() {
            kept.count_lost(queue);
        }
    }

    /// What is granted for frames that are kept.
    pub(crate) fn granted_resume(&self) -> usize {
        self.kept().map_or(0, |kept| kept.share.granted())
    }

    /// Whether what is sent is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.kept().is_some()
    }

    pub(super) fn kept(&self) -> Option<&Replay> {
        self.pressure.as_ref()?.kept.as_deref()
    }

    pub(super) fn kept_mut(&mut self) -> Option<&mut Replay> {
        self.pressure.as_mut()?.kept.as_deref_mut()
    }

    /// Whether the peer is away.
    pub(crate) fn is_away(&self) -> bool {
        self.kept().is_some_and(|kept| kept.away)
    }

    /// Appends a frame that is not counted; if nothing leaves, it would be useless.
    pub(crate) fn append_uncounted(&mut self, frame: &Bytes) {
        if !self.closed && !self.has_lost_line() {
            self.queue.push_packed(frame);
        }
    }

    /// How many frames the peer has counted. `None` if nothing is kept.
    pub(crate) fn counted(&self) -> Option<u64> {
        self.kept().map(Replay::counted)
    }

    /// Forgets what the peer has received. `false` if that is more than was sent.
    pub(crate) fn forget(&mut self, bounds: &Bounds, count: u64) -> bool {
        let Some(kept) = self.kept_mut() else { return true };
        let forgotten = kept.forget(count);
        let held = kept.held();
        kept.share.shrink_to(&bounds.ledger, Kind::Resume, held);
        // Less than was forgotten is old news.
        forgotten != Err(ResumeRefusal::BadCount)
    }

    /// As `append_with`, and keeps the frame.
    pub(super) fn append_and_keep(
        &mut self,
        bounds: &Bounds,
        len: usize,
        push: impl FnOnce(&mut FrameQueue) -> Result<()>,
    ) -> Result<Appended> {
        if self.kept_mut().is_some_and(|kept| !kept.has_grant(bounds, len)) {
            return Ok(Appended::OverAll);
        }
        let mut one = FrameQueue::default();
        push(&mut one)?;
        let frame = flatten(&one);
        if self.is_durable() {
            return self.append_durable(bounds, frame);
        }
        if !self.is_away() {
            let appended = self.append_now(bounds, len, |queue| {
                queue.push_packed(&frame);
                Ok(())
            })?;
            if let (Appended::Queued { .. }, Some(kept)) = (&appended, self.kept_mut()) {
                kept.push(frame);
            }
            return Ok(appended);
        }
        if let Some(kept) = self.kept_mut() {
            kept.count_lost(&one);
            kept.push(frame);
        }
        Ok(Appended::Queued { flush: false, defer: false })
    }

    pub(super) fn lose_line(&mut self, bounds: &Bounds) -> bool {
        let Some(kept) = self.kept_mut() else { return false };
        (kept.away, kept.lost) = (true, true);
        let queue = std::mem::take(&mut self.queue);
        self.count_lost(&queue);
        // A sender that waits for room finds that its frame is kept.
        match self.sender {
            Sender::Sending => self.wake_all(),
            Sender::Idle | Sender::Blocked => self.drained(bounds),
        }
        true
    }

    /// Lets go of the lost transport, whose descriptor closes. Once settled.
    pub(crate) fn release_lost(&self, line: &Line) {
        if self.has_lost_line() {
            line.release();
        }
    }

    /// Whether the lost transport is not in use any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.sender != Sender::Sending && !self.writer
    }

    /// Sends `frame` on another transport, and nothing else yet. Once settled.
    pub(crate) fn begin_again(&mut self, line: &Line, transport: Transport, frame: &Bytes) {
        line.replace(transport);
        self.queue = FrameQueue::default();
        self.queue.push_packed(frame);
        (self.sender, self.again) = (Sender::Idle, false);
        if let Some(kept) = self.kept_mut() {
            kept.lost = false;
        }
    }

    /// Forgets what a peer that is back has received.
    ///
    /// # Errors
    ///
    /// Where what it has not is no longer kept, or was never sent.
    pub(crate) fn forget_received(&mut self, count: u64) -> Result<(), ResumeRefusal> {
        self.kept_mut().ok_or(ResumeRefusal::Gone)?.forget(count)
    }

    /// Asks for a grant to queue once more all that is kept. `false` if the server's bound is reached.
    pub(crate) fn may_send_again(&mut self, bounds: &Bounds) -> bool {
        let held = self.kept().map_or(0, Replay::held);
        let queued = self.queue.own_bytes() + self.taken.2;
        self.pressure().queued.cover(&bounds.ledger, Kind::Queued, queued + held)
    }

    /// The peer is back: sends what is kept once more, behind what is queued, and then what is sent from now on.
    pub(crate) fn send_again(&mut self, bounds: &Bounds) {
        if let Some(kept) = self.kept_mut() {
            kept.away = false;
            kept.unsent = Unsent::default();
        }
        if self.is_durable() {
            return self.release_again(bounds);
        }
        let kept = self.pressure.as_ref().and_then(|pressure| pressure.kept.as_deref());
        for frame in kept.into_iter().flat_map(|kept| &kept.frames) {
            self.queue.push_packed(frame);
        }
    }
}

/// The bytes of a queue with one frame.
fn flatten(one: &FrameQueue) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 4];
    let filled = one.slices(&mut slices);
    let mut bytes = Vec::with_capacity(one.bytes());
    slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes.into()
}
