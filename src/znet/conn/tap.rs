//! Following the frames of a connection, for one who looks from outside: a line for each, until the looking ends.
//!
//! A connection without a tap pays one look at a flag for each read and each send.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io::IoSlice;
use std::sync::Arc;
#[cfg(feature = "admin")]
use std::time::Duration;
use std::time::Instant;

use crate::green::Event;
use crate::lock::Lock;
use crate::log_line;
use crate::ziface::IMessage;
use crate::zpack::{Frame, Framing, Pass};

/// What is followed, and what has been seen. Several connections write to it.
pub(crate) struct Trace {
    begun: Instant,
    lines: Lock<Lines>,
    come: Event,
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<String>,
    left_out: usize,
}

/// Follows one connection.
pub(crate) struct Tap {
    conn: u64,
    trace: Arc<Trace>,
    sent: Lock<Sent>,
}

/// How far the frames that leave have been cut.
struct Sent {
    /// Whether the next byte is the first of a frame, or one that follows such a byte.
    is_at_frame: bool,
    head: Vec<u8>,
    begun: Option<Begun>,
}

/// A frame whose end has not left yet.
struct Begun {
    msg_id: u32,
    len: usize,
    missing: usize,
    shown: Vec<u8>,
}

#[cfg(feature = "admin")]
impl Trace {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), lines: Lock::default(), come: Event::new() })
    }

    /// Waits for lines, at most for `timeout`, and takes them.
    pub(crate) fn take(&self, timeout: Duration) -> Vec<String> {
        self.come.wait_timeout(timeout);
        self.come.clear();
        let mut lines = self.lines.lock();
        let mut taken: Vec<_> = lines.waiting.drain(..).collect();
        match std::mem::take(&mut lines.left_out) {
            0 => {}
            count => taken.push(format!("{count} lines were left out: they came too fast\n")),
        }
        taken
    }
}

impl Trace {
    /// Adds a line, unless so many wait already that the reader of it has fallen behind. What a peer has sent can get into it, also
    /// by way of a reason to close.
    pub(crate) fn say(&self, conn: u64, what: &dyn Display) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let line = format!("{seconds:+9.3} {conn} {}\n", log_line::Shown(what));
        let mut lines = self.lines.lock();
        if lines.waiting.len() < MAX_LINES {
            lines.waiting.push_back(line);
        } else {
            lines.left_out += 1;
        }
        drop(lines);
        self.come.set();
    }
}

impl Tap {
    /// `is_at_frame`: whether the next byte that leaves begins a frame.
    #[cfg(feature = "admin")]
    pub(crate) const fn new(conn: u64, trace: Arc<Trace>, is_at_frame: bool) -> Self {
        let sent = Lock::new(Sent { is_at_frame, head: Vec::new(), begun: None });
        Self { conn, trace, sent }
    }

    /// A frame has been cut out of a pass.
    #[cold]
    #[inline(never)]
    pub(crate) fn shows<B: AsRef<[u8]> + Send + 'static>(&self, frame: &Frame, pass: &Pass<B>) {
        match frame {
            Frame::Lent { msg_id, at } => self.received(*msg_id, pass.slice(at.clone())),
            Frame::Own(message) => self.received(message.get_msg_id(), message.get_data()),
        }
    }

    /// A frame has been cut out of what has come.
    pub(crate) fn received(&self, msg_id: u32, data: &[u8]) {
        self.say("<-", msg_id, data.len(), data);
    }

    /// So many bytes of these have left. `is_all`: nothing else is queued.
    pub(crate) fn sent(&self, framing: &Framing, slices: &[IoSlice<'_>], mut bytes: usize, is_all: bool) {
        let mut sent = self.sent.lock();
        for slice in slices {
            let part = slice.get(..bytes.min(slice.len())).unwrap_or_default();
            bytes -= part.len();
            if sent.is_at_frame {
                self.cut(&mut sent, framing, part);
            }
        }
        sent.is_at_frame |= is_all;
    }

    fn cut(&self, sent: &mut Sent, framing: &Framing, mut bytes: &[u8]) {
        let Framing::Pack { pack, .. } = framing else {
            // Only the peer's decoder knows where frames end.
            return self.trace.say(self.conn, &format_args!("-> {} bytes: {}", bytes.len(), Shown(bytes)));
        };
        while !bytes.is_empty() {
            if let Some(begun) = &mut sent.begun {
                let (now, rest) = bytes.split_at(begun.missing.min(bytes.len()));
                let room = MAX_SHOWN + 1 - begun.shown.len();
                begun.shown.extend_from_slice(now.get(..room.min(now.len())).unwrap_or_default());
                begun.missing -= now.len();
                bytes = rest;
            } else {
                let missing = pack.get_head_len() - sent.head.len();
                let (now, rest) = bytes.split_at(missing.min(bytes.len()));
                sent.head.extend_from_slice(now);
                bytes = rest;
                if now.len() < missing {
                    return;
                }
                let Ok(head) = pack.unpack(&std::mem::take(&mut sent.head)) else {
                    sent.is_at_frame = false;
                    return self.trace.say(self.conn, &"-> bytes that are no frame");
                };
                let len = head.data_len as usize;
                sent.begun = Some(Begun { msg_id: head.msg_id, len, missing: len, shown: Vec::new() });
            }
            if let Some(whole) = sent.begun.take_if(|begun| begun.missing == 0) {
                self.say("->", whole.msg_id, whole.len, &whole.shown);
            }
        }
    }

    fn say(&self, direction: &str, msg_id: u32, len: usize, data: &[u8]) {
        self.trace.say(self.conn, &format_args!("{direction} id {msg_id}, {len} bytes: {}", Shown(data)));
    }
}

/// The beginning of a payload, escaped.
struct Shown<'a>(&'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = self.0.get(..MAX_SHOWN).unwrap_or(self.0);
        let more = if begin.len() < self.0.len() { "…" } else { "" };
        write!(f, "\"{}\"{more}", begin.escape_ascii())
    }
}

/// Lines that wait to be read.
const MAX_LINES: usize = 2000;

/// Bytes of a payload that are shown.
const MAX_SHOWN: usize = 64;

#[cfg(all(test, feature = "admin"))]
mod tests {
    use super::*;
    use crate::ziface::{CloseReason, IDataPack};
    use crate::zpack::{LtvLittleEndian, new_message};

    #[test]
    fn frames_that_leave_in_any_pieces_are_each_shown_once() {
        let framing = Framing::Pack { pack: Arc::new(LtvLittleEndian), max: 10 };
        let frames: Vec<u8> = [0, 3, 64, 65, 1000]
            .iter()
            .flat_map(|len| LtvLittleEndian.pack(&new_message(7, vec![b'x'; *len])).unwrap())
            .collect();
        for cut in 1..frames.len() {
            let trace = Trace::new();
            let tap = Tap::new(5, Arc::clone(&trace), true);
            for part in frames.chunks(cut) {
                tap.sent(&framing, &[IoSlice::new(part)], part.len(), false);
            }
            let lines = trace.take(Duration::ZERO).concat();
            let lens: Vec<_> = lines.lines().map(|line| line.split_once("id 7, ").unwrap().1).collect();
            let shown = |len: usize| format!("\"{}\"", "x".repeat(len));
            let expected = [
                format!("0 bytes: {}", shown(0)),
                format!("3 bytes: {}", shown(3)),
                format!("64 bytes: {}", shown(64)),
                format!("65 bytes: {}…", shown(64)),
                format!("1000 bytes: {}…", shown(64)),
            ];
            assert_eq!(lens, expected, "{cut}");
        }
    }

    #[test]
    fn what_a_peer_has_put_into_a_reason_forges_no_line_and_reaches_no_terminal() {
        let trace = Trace::new();
        let reason = "unknown field `\u{1b}[2J\n+0.001 9 <- id 1, 0 bytes`".to_string();
        trace.say(5, &CloseReason::BadPayload { msg_id: 7, reason });
        let lines = trace.take(Duration::ZERO).concat();
        assert!(lines.lines().count() == 1 && !lines.contains('\u{1b}'), "{lines:?}");
        assert!(lines.contains(r"unknown field `\u{1b}[2J\n+0.001 9 <- id 1, 0 bytes`"), "{lines}");
    }

    #[test]
    fn one_who_does_not_read_costs_no_memory() {
        let trace = Trace::new();
        (0..10_000).for_each(|_| trace.say(1, &"a line"));
        let lines = trace.take(Duration::ZERO);
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert!(lines[MAX_LINES].starts_with("8000 lines were left out"));
    }
}
