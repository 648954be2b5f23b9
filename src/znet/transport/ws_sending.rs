//! The WebSocket protocol of one connection, the way out: messages, control frames, farewell.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::mask::Mask;
use super::surplus::Surplus;
use super::ws_checks::Side;
use super::ws_frames::{Frames, Outgoing};

impl Frames {
    /// Says that nothing more is sent, once: that is unsent then.
    pub(super) fn say_end(&mut self, code: CloseCode) {
        if std::mem::replace(&mut self.said_end, true) || self.outgoing.is_some() {
            return;
        }
        let code = match code {
            // A close is answered with its own code.
            CloseCode::Normal | CloseCode::Away => self.code.unwrap_or(code),
            code => code,
        };
        let code = u16::from(self.breach.unwrap_or(code));
        self.push_control(Control::Close, &code.to_be_bytes());
    }

    pub(super) fn push_control(&mut self, control: Control, content: &[u8]) {
        let (mut mask, mut frame) = (self.new_mask(), Vec::new());
        let head =
            FrameHeader { opcode: OpCode::Control(control), mask: mask.bytes(), ..FrameHeader::default() };
        // Writing into memory does not fail.
        let _ = head.format(content.len() as u64, &mut frame);
        let begins = frame.len();
        frame.extend_from_slice(content);
        mask.apply(&mut frame[begins..]);
        self.later.push(&frame);
        self.let_control_frames_go();
    }

    /// Has control frames that wait sent behind what is unsent, if no frame has begun to leave.
    pub(super) fn let_control_frames_go(&mut self) {
        if self.outgoing.is_none() {
            self.unsent.push(self.later.rest());
            self.later = Surplus::new();
        }
    }

    /// How a frame of `len` bytes leaves that begins so: the kind of its message, and how much of it is left out.
    pub(super) fn kind(&self, begins: &[u8], len: usize) -> (Data, usize) {
        self.bare.as_ref().map_or((Data::Binary, 0), |bare| bare.kind(begins, len))
    }

    /// Puts the head of a message of `len` bytes into `out`. Returns how long it is.
    pub(super) fn begin_message(&mut self, data: Data, len: usize, out: &mut [u8]) -> usize {
        let mask = self.new_mask();
        let head = FrameHeader { opcode: OpCode::Data(data), mask: mask.bytes(), ..FrameHeader::default() };
        let room = out.len();
        let mut rest = out;
        let _ = head.format(len as u64, &mut rest);
        let written = room - rest.len();
        self.outgoing = (len > 0).then_some(Outgoing { left: len, mask });
        written
    }

    /// How much is left of the message that has begun to leave.
    pub(super) fn left(&self) -> usize {
        self.outgoing.as_ref().map_or(0, |outgoing| outgoing.left)
    }

    /// Has a part of the content ready to be sent.
    pub(super) fn go_on(&mut self, part: &mut [u8]) {
        let Some(outgoing) = &mut self.outgoing else { return };
        outgoing.mask.apply(part);
        outgoing.left -= part.len();
        if outgoing.left == 0 {
            self.outgoing = None;
        }
    }

    fn new_mask(&self) -> Mask {
        Mask::new((self.side == Side::Client).then(|| {
            let mut mask = [0; 4];
            // The system always has four bytes; a mask of zeros is one too.
            let _ = rustix::rand::getrandom(&mut mask, rustix::rand::GetRandomFlags::empty());
            mask
        }))
    }
}
