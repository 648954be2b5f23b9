//! A stream through a decoder, in pieces, as a connection feeds it; and what must hold of every decoder.

use std::mem::discriminant;

use zinx::ziface::IMessage;
use zinx::zpack::{FrameReader, Framing, Message, Pass};
use zinx::{Error, Result};

use super::source::pieces;

/// A way to cut streams, and what is known of its frames.
pub(crate) struct Cutter {
    pub(crate) framing: Framing,
    /// Longest whole frame, in bytes.
    pub(crate) longest: u64,
    /// Bytes of a frame before its payload, and behind it.
    pub(crate) around: (usize, usize),
}

/// What came of a stream.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Message>,
    /// What ended it, unless it went on to its end.
    pub(crate) error: Option<Error>,
    /// Bytes of a frame begun, at the end.
    pub(crate) left: usize,
}

impl Cutter {
    /// Decodes a stream in one piece, and in pieces of several sizes: the outcome is one. Every byte of it is in a
    /// message, around one, or left.
    pub(crate) fn check(&self, stream: &[u8]) -> Outcome {
        let whole = self.decode(std::iter::once(stream));
        // A long stream in longer pieces: the time taken grows with their number squared.
        let least = 1 + stream.len() / 512;
        for most in [1, 2, 50, 256].map(|times| times * least) {
            let split = self.decode(pieces(stream, least..=most));
            assert_eq!(split.messages, whole.messages, "in pieces of up to {most}");
            assert_eq!(split.kind(), whole.kind(), "in pieces of up to {most}");
            assert_eq!(split.left, whole.left, "in pieces of up to {most}");
        }
        self.check_nothing_is_lost(stream, &whole);
        whole
    }

    fn check_nothing_is_lost(&self, stream: &[u8], outcome: &Outcome) {
        let (before, behind) = self.around;
        let mut rest = stream;
        for message in &outcome.messages {
            let payload = message.get_data();
            assert!(rest[before..].starts_with(payload));
            rest = &rest[before + payload.len() + behind..];
        }
        assert!(outcome.error.is_some() || rest.len() == outcome.left, "{} of {}", outcome.left, rest.len());
    }

    fn decode<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
        let (mut reader, mut messages) = (FrameReader::new(), Vec::new());
        for piece in pieces {
            if let Err(error) = self.feed(&mut reader, piece, &mut messages) {
                assert!(!error.to_string().contains("panicked"), "{error}");
                return Outcome { messages, error: Some(error), left: 0 };
            }
        }
        Outcome { messages, error: None, left: reader.received() }
    }

    /// Gives the reader a piece as a connection does.
    fn feed(&self, reader: &mut FrameReader, mut piece: &[u8], messages: &mut Vec<Message>) -> Result<()> {
        while !piece.is_empty() && self.check_memory(reader) {
            let Some((large, missing)) = reader.large_rest() else { break };
            let (now, later) = piece.split_at(missing.min(piece.len()));
            large.extend_from_slice(now);
            piece = later;
            messages.extend(reader.take_large(&self.framing)?);
        }
        if reader.large_rest().is_some() {
            return Ok(());
        }
        // Not a byte more than is used, so that a step beyond is seen.
        let mut buffer = vec![0; reader.received() + piece.len()];
        let start = reader.restore(&mut buffer);
        buffer[start..].copy_from_slice(piece);
        let end = buffer.len();
        let mut pass = Pass::new(buffer, end);
        while let Some(message) = reader.next(&self.framing, &mut pass)? {
            messages.push(message);
        }
        self.check_memory(reader);
        Ok(())
    }

    /// No more is held than the longest frame, nor than has come twice over or 96 KiB. Returns true.
    fn check_memory(&self, reader: &mut FrameReader) -> bool {
        let came = reader.received();
        if let Some((large, _)) = reader.large_rest() {
            let bound = self.longest.min(FIRST_RESERVE.max(2 * came as u64));
            assert!(large.capacity() as u64 <= bound, "{} bytes held for {came}", large.capacity());
        }
        true
    }
}

impl Outcome {
    /// What an outcome is told apart by; how far an error has looked depends on the pieces.
    pub(crate) fn kind(&self) -> Option<impl PartialEq + std::fmt::Debug + use<>> {
        self.error.as_ref().map(discriminant)
    }
}

/// What may be held for a frame of which less has come.
const FIRST_RESERVE: u64 = 96 * 1024;
