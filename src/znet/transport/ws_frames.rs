//! The WebSocket protocol of one connection (RFC 6455, section 5): frames in, bytes out, and the other way. No I/O, no waiting.
//!
//! The content of a message is handed on as it comes, however it is cut into frames; only a bare message whose length nobody knows yet
//! is held. `tungstenite` reads and writes the heads of frames, and knows the codes of a close.

use std::io::Cursor;
use std::sync::Arc;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::bare::{Bare, Coming};
use super::mask::Mask;
use super::surplus::{Sink, Surplus};
use super::ws_checks::{Broken, Side, TEXT, check, close_code};
use super::{Aside, Begun};

/// The state of one connection.
pub(super) struct Frames {
    /// Which side we are.
    pub(super) side: Side,
    /// Which messages are bare, if any.
    pub(super) bare: Option<Arc<Bare>>,
    /// The beginning of a head.
    begun: Surplus,
    /// Read, and not taken yet.
    pub(super) plain: Surplus,
    /// Not sent yet.
    pub(super) unsent: Surplus,
    /// Control frames that wait for the end of a frame that has begun to leave.
    pub(super) later: Surplus,
    /// The frame of which the content comes.
    incoming: Option<Incoming>,
    /// The content of a control frame, as far as it has come.
    control: Vec<u8>,
    /// What has come beside the content of messages, since somebody has set this to nothing.
    pub(super) aside: Aside,
    /// A message has begun that goes on in the next frame.
    in_message: bool,
    /// The message that comes, if it is a bare one.
    coming: Option<Box<Coming>>,
    /// The frame of which the content goes: how much is left of it, and its mask.
    pub(super) outgoing: Option<Outgoing>,
    /// The peer has said that it sends nothing more, or its stream has ended.
    ended: bool,
    /// What the peer has done that it must not. What has come before can still be taken.
    broken: Option<Broken>,
    /// What we say when we send nothing more: of what the peer has done that it must not, once that has ended the connection.
    pub(super) breach: Option<CloseCode>,
    /// The code with which the peer has closed.
    pub(super) code: Option<CloseCode>,
    pub(super) said_end: bool,
}

struct Incoming {
    left: u64,
    mask: Mask,
    opcode: OpCode,
    is_final: bool,
}

pub(super) struct Outgoing {
    pub(super) left: usize,
    pub(super) mask: Mask,
}

impl Frames {
    pub(super) const fn new(side: Side, bare: Option<Arc<Bare>>) -> Self {
        Self {
            side,
            bare,
            begun: Surplus::new(),
            plain: Surplus::new(),
            unsent: Surplus::new(),
            later: Surplus::new(),
            incoming: None,
            control: Vec::new(),
            aside: Aside { frames: 0, bytes: 0 },
            in_message: false,
            coming: None,
            outgoing: None,
            ended: false,
            broken: None,
            breach: None,
            code: None,
            said_end: false,
        }
    }

    /// The beginning of a head: what comes next is to be read behind it.
    pub(super) fn begun(&self) -> &[u8] {
        self.begun.rest()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended && self.broken.is_none()
    }

    /// Whether the peer has done what it must not.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// What the peer has done that it must not, once all that came before has been taken: it ends the connection.
    pub(super) fn raise(&mut self) -> Option<Broken> {
        self.breach = self.broken.map(|broken| broken.code);
        self.broken
    }

    /// What is held of a message.
    pub(super) fn held(&self) -> Begun {
        self.coming.as_ref().map_or_else(Begun::default, |coming| coming.begun())
    }

    pub(super) const fn has_said_end(&self) -> bool {
        self.said_end
    }

    /// Takes note that the stream below has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.begun = Surplus::new();
    }

    /// Takes bytes: what was [`begun`](Self::begun), and what came behind it. Fills `out` with the content, keeps what has no room
    /// there, and returns how many bytes it filled. If the peer does not keep to the protocol, it takes no more: see
    /// [`raise`](Self::raise).
    pub(super) fn take(&mut self, bytes: &mut [u8], out: &mut [u8]) -> usize {
        self.begun = Surplus::new();
        let mut kept = std::mem::take(&mut self.plain);
        let mut sink = Sink { out, filled: 0, rest: &mut kept };
        if let Err(broken) = self.take_frames(bytes, &mut sink) {
            self.broken = Some(broken);
        }
        let filled = sink.filled;
        self.plain = kept;
        filled
    }

    fn take_frames(&mut self, bytes: &mut [u8], sink: &mut Sink<'_>) -> Result<(), Broken> {
        let mut at = 0;
        while !self.ended && self.broken.is_none() {
            let Some(frame) = &mut self.incoming else {
                match self.take_head(&bytes[at..], sink)? {
                    Some(len) => at += len,
                    None => {
                        self.begun.push(&bytes[at..]);
                        break;
                    }
                }
                continue;
            };
            let n = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            let part = &mut bytes[at..at + n];
            frame.mask.apply(part);
            frame.left -= n as u64;
            at += n;
            let (is_whole, is_final) = (frame.left == 0, frame.is_final);
            match (frame.opcode, &mut self.coming) {
                (OpCode::Control(_), _) => self.control.extend_from_slice(part),
                (OpCode::Data(_), Some(coming)) => coming.content(part, is_whole && is_final, sink)?,
                (OpCode::Data(_), None) => sink.put(part),
            }
            if !is_whole {
                break;
            }
            self.finish()?;
        }
        Ok(())
    }

    /// Takes the head of a frame; returns its length. `None` if it has not all come.
    fn take_head(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<Option<usize>, Broken> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor);
        let Some((head, left)) =
            parsed.map_err(|_| Broken::protocol("a frame of a kind that there is not"))?
        else {
            return Ok(None);
        };
        check(self.side, self.in_message, &head, left)?;
        if let OpCode::Data(data) = head.opcode {
            self.begin_data(data, left, head.is_final, sink)?;
        }
        let len = usize::try_from(cursor.position()).unwrap_or(bytes.len());
        let is_control = matches!(head.opcode, OpCode::Control(_));
        // One without content may end a message, or be a bare one: that counts elsewhere.
        let is_message = head.is_final && (self.in_message || self.coming.is_some());
        if is_control || left == 0 && !is_message {
            self.aside.frames += 1;
            self.aside.bytes += len + if is_control { usize::try_from(left).unwrap_or(0) } else { 0 };
        }
        let mask = Mask::new(head.mask);
        self.incoming = Some(Incoming { left, mask, opcode: head.opcode, is_final: head.is_final });
        Ok(Some(len))
    }

    /// A frame of a message begins.
    fn begin_data(
        &mut self,
        data: Data,
        len: u64,
        is_final: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Broken> {
        if !self.in_message {
            let coming = self.bare.as_ref().and_then(|bare| bare.begin(data));
            if data == Data::Text && coming.is_none() {
                return Err(TEXT);
            }
            self.coming = coming.map(Box::new);
        }
        match (&self.bare, &mut self.coming) {
            (Some(bare), Some(coming)) => coming.frame(bare, len, is_final, sink),
            _ => Ok(()),
        }
    }

    /// A frame has come to its end.
    fn finish(&mut self) -> Result<(), Broken> {
        let Some(frame) = self.incoming.take() else { return Ok(()) };
        match frame.opcode {
            OpCode::Data(_) => {
                self.in_message = !frame.is_final;
                if frame.is_final {
                    self.coming = None;
                }
            }
            OpCode::Control(control) => {
                let content = std::mem::take(&mut self.control);
                match control {
                    Control::Ping
                        if self.unsent.rest().len() + self.later.rest().len() < MAX_ANSWERS_BYTES =>
                    {
                        self.push_control(Control::Pong, &content);
                    }
                    // Whoever asks faster than it reads gets no answer to each.
                    Control::Ping | Control::Pong | Control::Reserved(_) => {}
                    Control::Close => {
                        self.ended = true;
                        // It is answered with its own code, once all is sent that is due.
                        self.code = Some(close_code(&content)?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// So many bytes of answers to pings may wait for a peer that does not read.
const MAX_ANSWERS_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// All frames of a stream, cut into two reads at every place, with little room and with much.
    fn read(side: Side, stream: &[u8]) -> Vec<(Vec<u8>, Frames)> {
        let mut outcomes = Vec::new();
        for cut in 0..=stream.len() {
            for room in [1, 1000] {
                let (mut frames, mut got) = (Frames::new(side, None), Vec::new());
                for part in [&stream[..cut], &stream[cut..]] {
                    let mut bytes = [frames.begun(), part].concat();
                    let mut out = vec![0; room];
                    let n = frames.take(&mut bytes, &mut out);
                    got.extend_from_slice(&out[..n]);
                    got.extend_from_slice(frames.plain.rest());
                    frames.plain = Surplus::new();
                }
                outcomes.push((got, frames));
            }
        }
        outcomes
    }

    fn masked(first: u8, content: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first, 0x80 | content.len() as u8, 1, 2, 3, 4];
        frame.extend(content.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    #[test]
    fn messages_in_pieces_with_control_frames_between_them_are_one_stream() {
        let stream = [
            masked(0x02, b"one "),
            masked(0x89, b"ping"),
            masked(0x00, b""),
            masked(0x80, b"two "),
            masked(0x8a, b"pong"),
            masked(0x82, b"three"),
        ];
        for (got, frames) in read(Side::Server, &stream.concat()) {
            assert_eq!(got, b"one two three");
            assert_eq!(frames.unsent.rest(), b"\x8a\x04ping");
            // The ping, the frame without content in the middle of a message, and the pong.
            assert_eq!(frames.aside, Aside { frames: 3, bytes: 10 + 6 + 10 });
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_told_by_its_code() {
        let unmasked = vec![0x82, 1, 0];
        let cases: [(Vec<u8>, u16); 12] = [
            (unmasked, 1002),
            (masked(0xc2, b"a"), 1002),
            (masked(0x83, b"a"), 1002),
            (masked(0x8b, b"a"), 1002),
            (masked(0x80, b"a"), 1002),
            ([masked(0x02, b"a"), masked(0x82, b"b")].concat(), 1002),
            (masked(0x09, b"a"), 1002),
            (vec![0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0], 1002),
            (masked(0x88, b"\x03"), 1002),
            (masked(0x88, b"\x03\xed"), 1002),
            (masked(0x88, b"\x03\xe8\xff"), 1007),
            (masked(0x81, b"text"), 1003),
        ];
        for (stream, code) in cases {
            for (_, mut frames) in read(Side::Server, &stream) {
                assert!(!frames.has_ended() && frames.raise().is_some(), "{stream:x?}");
                frames.say_end(CloseCode::Normal);
                assert_eq!(
                    frames.unsent.rest(),
                    [&[0x88, 2][..], &code.to_be_bytes()].concat(),
                    "{stream:x?}"
                );
            }
        }
    }

    #[test]
    fn what_comes_before_a_breach_is_taken() {
        let stream = [masked(0x82, b"before"), masked(0x83, b"a"), masked(0x82, b"behind")].concat();
        for (got, frames) in read(Side::Server, &stream) {
            assert_eq!(got, b"before");
            assert!(frames.is_broken());
        }
    }

    #[test]
    fn a_close_is_answered_with_its_code_and_what_follows_is_not_read() {
        let stream = [masked(0x88, b"\x03\xe9bye"), masked(0x82, b"late")].concat();
        for (got, mut frames) in read(Side::Server, &stream) {
            assert_eq!(got, b"");
            assert!(frames.has_ended());
            frames.say_end(CloseCode::Normal);
            frames.say_end(CloseCode::Normal);
            assert_eq!(frames.unsent.rest(), b"\x88\x02\x03\xe9");
        }
    }

    /// What ends the connection is told, however much of what follows has been read.
    #[test]
    fn a_limit_of_the_program_is_told_and_not_what_comes_behind() {
        for behind in [masked(0x83, b"a"), masked(0x88, b"\x03\xe9")] {
            let mut frames = Frames::new(Side::Server, None);
            frames.take(&mut [masked(0x82, b"too large"), behind].concat(), &mut []);
            frames.say_end(CloseCode::Size);
            assert_eq!(frames.unsent.rest(), b"\x88\x02\x03\xf1");
        }
    }

    #[test]
    fn pings_that_nobody_reads_the_answers_of_cost_little() {
        let mut frames = Frames::new(Side::Server, None);
        let ping = masked(0x89, &[7; 125]);
        for _ in 0..1000 {
            frames.take(&mut ping.clone(), &mut []);
        }
        assert!(frames.unsent.rest().len() < MAX_ANSWERS_BYTES + 200);
    }

    #[test]
    fn what_a_client_sends_a_server_reads_in_any_pieces() {
        let content: Vec<u8> = (0..70_000).map(|n| (n % 251) as u8).collect();
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let (mut client, mut server) = (Frames::new(Side::Client, None), Frames::new(Side::Server, None));
            let mut stream = vec![0; 14];
            let head = client.begin_message(Data::Binary, len, &mut stream);
            stream.truncate(head);
            for part in content[..len].chunks(1001) {
                let mut part = part.to_vec();
                client.go_on(&mut part);
                stream.extend(part);
            }
            let mut got = Vec::new();
            for part in stream.chunks(997) {
                let mut bytes = [server.begun(), part].concat();
                let mut out = vec![0; 2000];
                let n = server.take(&mut bytes, &mut out);
                got.extend_from_slice(&out[..n]);
            }
            assert!(got == content[..len], "{len}");
            assert_eq!(client.left(), 0);
        }
    }
}
