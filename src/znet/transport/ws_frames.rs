//! The WebSocket protocol of one connection (RFC 6455, section 5): frames in, bytes out, and the other way. No I/O, no waiting.
//!
//! The content of a message is handed on as it comes, however it is cut into frames, so nothing has to be held until a message is
//! whole. `tungstenite` reads and writes the heads of frames, and knows the codes of a close.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::mask::Mask;
use super::surplus::Surplus;
use super::ws_checks::{Broken, Side, check, close_code};

/// The state of one connection.
pub(super) struct Frames {
    /// Which side we are.
    side: Side,
    /// The beginning of a head.
    begun: Surplus,
    /// Read, and not taken yet.
    pub(super) plain: Surplus,
    /// Not sent yet.
    pub(super) unsent: Surplus,
    /// Control frames that wait for the end of a frame that has begun to leave.
    later: Surplus,
    /// The frame of which the content comes.
    incoming: Option<Incoming>,
    /// The content of a control frame, as far as it has come.
    control: Vec<u8>,
    /// A message has begun that goes on in the next frame.
    in_message: bool,
    /// The frame of which the content goes: how much is left of it, and its mask.
    outgoing: Option<Outgoing>,
    /// The peer has said that it sends nothing more, or its stream has ended.
    ended: bool,
    /// What we say when we send nothing more, if it is not what the program means.
    code: Option<CloseCode>,
    said_end: bool,
}

struct Incoming {
    left: u64,
    mask: Mask,
    opcode: OpCode,
    is_final: bool,
}

struct Outgoing {
    left: usize,
    mask: Mask,
}

impl Frames {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            side,
            begun: Surplus::new(),
            plain: Surplus::new(),
            unsent: Surplus::new(),
            later: Surplus::new(),
            incoming: None,
            control: Vec::new(),
            in_message: false,
            outgoing: None,
            ended: false,
            code: None,
            said_end: false,
        }
    }

    /// The beginning of a head: what comes next is to be read behind it.
    pub(super) fn begun(&self) -> &[u8] {
        self.begun.rest()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
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
    /// there, and returns how many bytes it filled.
    ///
    /// # Errors
    ///
    /// If the peer does not keep to the protocol. What it is to be told is noted for the end.
    pub(super) fn take(&mut self, bytes: &mut [u8], out: &mut [u8]) -> Result<usize, Broken> {
        self.begun = Surplus::new();
        let (mut at, mut filled) = (0, 0);
        while !self.ended {
            let Some(frame) = &mut self.incoming else {
                match self.take_head(&bytes[at..]).inspect_err(|broken| self.code = Some(broken.code))? {
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
            if matches!(frame.opcode, OpCode::Control(_)) {
                self.control.extend_from_slice(part);
            } else {
                let fits = n.min(out.len() - filled);
                out[filled..filled + fits].copy_from_slice(&part[..fits]);
                filled += fits;
                self.plain.push(&part[fits..]);
            }
            if frame.left > 0 {
                break;
            }
            self.finish().inspect_err(|broken| self.code = Some(broken.code))?;
        }
        Ok(filled)
    }

    /// Takes the head of a frame; returns its length. `None` if it has not all come.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor);
        let Some((head, left)) =
            parsed.map_err(|_| Broken::protocol("a frame of a kind that there is not"))?
        else {
            return Ok(None);
        };
        check(self.side, self.in_message, &head, left)?;
        let mask = Mask::new(head.mask);
        self.incoming = Some(Incoming { left, mask, opcode: head.opcode, is_final: head.is_final });
        Ok(Some(usize::try_from(cursor.position()).unwrap_or(bytes.len())))
    }

    /// A frame has come to its end.
    fn finish(&mut self) -> Result<(), Broken> {
        let Some(frame) = self.incoming.take() else { return Ok(()) };
        match frame.opcode {
            OpCode::Data(_) => self.in_message = !frame.is_final,
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

    /// Says that nothing more is sent, once: that is unsent then.
    pub(super) fn say_end(&mut self, code: CloseCode) {
        if std::mem::replace(&mut self.said_end, true) || self.outgoing.is_some() {
            return;
        }
        let code = u16::from(self.code.unwrap_or(code));
        self.push_control(Control::Close, &code.to_be_bytes());
    }

    fn push_control(&mut self, control: Control, content: &[u8]) {
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

    /// Puts the head of a binary message of `len` bytes into `out`. Returns how long it is.
    pub(super) fn begin_message(&mut self, len: usize, out: &mut [u8]) -> usize {
        let mask = self.new_mask();
        let head =
            FrameHeader { opcode: OpCode::Data(Data::Binary), mask: mask.bytes(), ..FrameHeader::default() };
        let room = out.len();
        let mut rest = out;
        let _ = head.format(len as u64, &mut rest);
        let written = room - rest.len();
        self.outgoing = Some(Outgoing { left: len, mask });
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

/// So many bytes of answers to pings may wait for a peer that does not read.
const MAX_ANSWERS_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// All frames of a stream, cut into two reads at every place, with little room and with much.
    fn read(side: Side, stream: &[u8]) -> Vec<(Result<Vec<u8>, Broken>, Frames)> {
        let mut outcomes = Vec::new();
        for cut in 0..=stream.len() {
            for room in [1, 1000] {
                let (mut frames, mut got) = (Frames::new(side), Vec::new());
                let mut outcome = Ok(());
                for part in [&stream[..cut], &stream[cut..]] {
                    let mut bytes = [frames.begun(), part].concat();
                    let mut out = vec![0; room];
                    match frames.take(&mut bytes, &mut out) {
                        Ok(n) => got.extend_from_slice(&out[..n]),
                        Err(broken) => outcome = Err(broken),
                    }
                    got.extend_from_slice(frames.plain.rest());
                    frames.plain = Surplus::new();
                    if outcome.is_err() {
                        break;
                    }
                }
                outcomes.push((outcome.map(|()| got), frames));
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
            assert_eq!(got.unwrap(), b"one two three");
            assert_eq!(frames.unsent.rest(), b"\x8a\x04ping");
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
            for (got, mut frames) in read(Side::Server, &stream) {
                assert!(got.is_err(), "{stream:x?}");
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
    fn a_close_is_answered_with_its_code_and_what_follows_is_not_read() {
        let stream = [masked(0x88, b"\x03\xe9bye"), masked(0x82, b"late")].concat();
        for (got, mut frames) in read(Side::Server, &stream) {
            assert_eq!(got.unwrap(), b"");
            assert!(frames.has_ended());
            frames.say_end(CloseCode::Normal);
            frames.say_end(CloseCode::Normal);
            assert_eq!(frames.unsent.rest(), b"\x88\x02\x03\xe9");
        }
    }

    #[test]
    fn pings_that_nobody_reads_the_answers_of_cost_little() {
        let mut frames = Frames::new(Side::Server);
        let ping = masked(0x89, &[7; 125]);
        for _ in 0..1000 {
            frames.take(&mut ping.clone(), &mut []).unwrap();
        }
        assert!(frames.unsent.rest().len() < MAX_ANSWERS_BYTES + 200);
    }

    #[test]
    fn what_a_client_sends_a_server_reads_in_any_pieces() {
        let content: Vec<u8> = (0..70_000).map(|n| (n % 251) as u8).collect();
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let (mut client, mut server) = (Frames::new(Side::Client), Frames::new(Side::Server));
            let mut stream = vec![0; 14];
            let head = client.begin_message(len, &mut stream);
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
                let n = server.take(&mut bytes, &mut out).unwrap();
                got.extend_from_slice(&out[..n]);
            }
            assert!(got == content[..len], "{len}");
            assert_eq!(client.left(), 0);
        }
    }
}
