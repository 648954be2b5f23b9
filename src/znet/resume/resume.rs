//! Resuming: a connection outlives its socket.
//!
//! A client may ask for a token. From then on both sides count the frames they receive and keep the last ones they have
//! sent. Where the socket is lost, the connection stays as it is, with its user, groups, properties, handlers and calls,
//! only *away*: what is sent to it is kept. Comes the client back on a new socket, with the token and its count, within
//! `ResumeMs`, the connection goes on there: each side sends again what the other has not counted. The bytes are in
//! `docs/wire.md`. Where `ResumeMs` is 0, a connection owns nothing of this.

use super::state::{Resume, Stage};
use std::net::SocketAddr;

use bytes::Bytes;

use super::token::{Secret, Tokens};
use super::wire::{self, Granted, Token};
use crate::ziface::{CloseReason, IConnection, IMessage, ResumeRefusal};
use crate::znet::conn::connection::Connection;
use crate::zpack::{Message, new_message};

impl dyn IConnection {
    /// Whether the peer is away: the socket is lost, and the peer may come back and resume (`ResumeMs`). What is sent
    /// meanwhile is kept for it. `false` if nothing can be resumed.
    pub fn is_away(&self) -> bool {
        self.connection().is_away()
    }

    /// Drops the socket, as a network would: where the program knows that it has changed, or to try. The connection waits
    /// for its peer, or, on a client, connects again. `false` if it cannot be resumed: then nothing is dropped.
    pub fn drop_socket(&self) -> bool {
        let error = "the program has dropped the socket".to_string();
        self.connection().lose_peer(CloseReason::Failed { error })
    }
}

impl Connection {
    /// Counts a message of the connection and returns it. A message about resuming is handled here, and goes no further.
    pub(crate) fn filter_resume_frames(&self, resume: &Resume, message: Message) -> Option<Message> {
        let msg_id = message.get_msg_id();
        if !wire::IDS.contains(&msg_id) {
            let by_handler = self.ahead().is_read_by_handler();
            let (is_ours, tell) = resume.lock().count_frame(message.get_data().len(), by_handler);
            // One that survives its node tells what it has handled, once that is in Redis.
            if let Some(received) = tell.filter(|_| !resume.is_durable()) {
                self.tell_count(resume, received);
            }
            return is_ours.then_some(message);
        }
        let stage = resume.lock().stage;
        let done = match (msg_id, stage) {
            (wire::OPEN, Stage::Fresh | Stage::Plain) => self.grant(resume),
            (wire::RESUME, _) => self.hand_over_to_resumed(resume, stage, message.get_data()),
            (wire::TOKEN, Stage::Opening | Stage::Resuming) => {
                self.take_token(resume, stage, message.get_data())
            }
            (wire::REFUSED, Stage::Resuming) => self.take_refusal(message.get_data()),
            (wire::COUNT, Stage::Counting) => self.forget(resume, message.get_data()),
            (wire::BYE, Stage::Counting) => self.forgo(resume),
            // Late, or useless: without a token there is nothing to forget.
            (wire::COUNT | wire::BYE, _) => {
                resume.note_useless();
                Some(())
            }
            _ => None,
        };
        if done.is_none() {
            self.stop_because(CloseReason::BadFrame {
                reason: format!("message id {msg_id} of resuming comes at the wrong time"),
            });
        }
        None
    }

    /// Tells the peer what has been received; later, if its socket is full: one that sends and does not read could have any number of
    /// such frames queued.
    fn tell_count(&self, resume: &Resume, received: u64) {
        if self.outbox().lock().is_blocked() {
            return;
        }
        resume.lock().has_told(received);
        self.send_uncounted(wire::COUNT, received.to_le_bytes().to_vec());
    }

    /// Issues the first token, on a server.
    fn grant(&self, resume: &Resume) -> Option<()> {
        let Some(secret) = Secret::random() else { return Some(()) };
        let token = Token { address: self.address(), secret };
        let window = resume.lock().window;
        let frame = self.packed(wire::TOKEN, Granted { token, received: 0, window }.encode())?;
        self.start_keeping(&frame);
        let mut state = resume.lock();
        state.tokens = Some(Tokens::new(secret));
        state.stage = Stage::Counting;
        Some(())
    }

    /// Asks for the first token, on a client: the first frame of all.
    pub(crate) fn ask_for_token(&self) {
        let Some(resume) = self.resume() else { return };
        let Some(frame) = self.packed(wire::OPEN, Vec::new()) else { return };
        resume.lock().stage = Stage::Opening;
        self.start_keeping(&frame);
    }

    /// The server has issued a token, first or next.
    fn take_token(&self, resume: &Resume, stage: Stage, data: &[u8]) -> Option<()> {
        let Granted { token, received, window } = Granted::decode(data)?;
        {
            let mut state = resume.lock();
            (state.token, state.window, state.stage) = (Some(token), window, Stage::Counting);
            state.told = state.received;
        }
        if stage == Stage::Resuming
            && let Err(why) = self.go_on(resume, received)
        {
            self.stop_because(CloseReason::ResumeRefused { why });
        }
        Some(())
    }

    fn take_refusal(&self, data: &[u8]) -> Option<()> {
        let why = wire::decode_refusal(data)?;
        // If it is busy, the token stays good: the socket is lost once more, and the next attempt comes after a pause.
        if why != ResumeRefusal::Busy || !self.lose_peer(CloseReason::PeerClosed) {
            self.stop_because(CloseReason::ResumeRefused { why });
        }
        Some(())
    }

    /// The peer has received so many frames.
    fn forget(&self, resume: &Resume, data: &[u8]) -> Option<()> {
        resume.lock().confirm();
        let count = wire::decode_count(data)?;
        let mut outbox = self.outbox().lock();
        let is_news = outbox.counted().is_none_or(|counted| count > counted);
        let forgotten = outbox.forget(self.core().bounds(), count);
        drop(outbox);
        if !is_news {
            resume.note_useless();
        }
        forgotten.then_some(())
    }

    /// The peer will not come back.
    fn forgo(&self, resume: &Resume) -> Option<()> {
        self.end_durable(resume);
        resume.lock().stage = Stage::Forgone;
        self.outbox().lock().stop_keeping(self.core().bounds());
        Some(())
    }

    /// Closing on purpose: the peer is told, unless it is away, and cannot come back.
    pub(crate) fn end_resuming(&self) {
        let Some(resume) = self.resume() else { return };
        let (handover, wanted, before, is_away) = {
            let mut state = resume.lock();
            let before = std::mem::replace(&mut state.stage, Stage::Over);
            (state.handover.take(), state.wanted.take(), before, state.away.is_some())
        };
        // One that has moved is found where it is.
        let why = if before == Stage::Leaving { ResumeRefusal::Busy } else { ResumeRefusal::Gone };
        if let Some(handover) = handover {
            handover.answer(Err(why));
        }
        if let (Some(wanted), Some(remote)) = (wanted, self.core().talk().remote()) {
            remote.refuse(&wanted, why);
        }
        self.end_away(resume);
        self.end_durable(resume);
        // On the lost socket it would only count as unsent.
        if before == Stage::Counting && !is_away {
            self.send_uncounted(wire::BYE, Vec::new());
        }
    }

    /// Our address and the peer's, once resumed.
    pub(crate) fn resumed_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.resume()?.lock().addresses.as_ref().map(|addresses| (addresses.local(), addresses.remote()))
    }

    /// Lets the connection's own coroutine look, if it waits for a peer that is away.
    pub(crate) fn wake_away(&self) {
        if let Some(resume) = self.resume() {
            resume.wake.ring();
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        self.resume().is_some() && self.outbox().lock().is_away()
    }

    fn start_keeping(&self, frame: &Bytes) {
        let config = self.core().config();
        let mut state = self.outbox().lock();
        state.start_keeping(frame, (config.resume_frames, config.resume_bytes));
        self.writer().flush_soon(state);
    }

    pub(super) fn send_uncounted(&self, msg_id: u32, data: Vec<u8>) {
        if let Some(frame) = self.packed(msg_id, data) {
            let mut state = self.outbox().lock();
            state.append_uncounted(&frame);
            self.writer().flush_soon(state);
        }
    }

    /// A frame of ours. `None` if the wire format cannot carry it; it is logged.
    pub(super) fn packed(&self, msg_id: u32, data: Vec<u8>) -> Option<Bytes> {
        let packed = self.core().pack().pack(&new_message(msg_id, data));
        packed.inspect_err(|error| self.answer_or_log_error(msg_id, error)).ok().map(Bytes::from)
    }
}
