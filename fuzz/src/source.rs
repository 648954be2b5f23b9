//! Parameters out of an input: its first bytes choose them, the rest is the stream.

use std::ops::RangeInclusive;

/// An input that is taken from the front; what is missing is 0.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// A number of up to eight bytes.
    pub(crate) fn number(&mut self, bytes: usize) -> u64 {
        self.bytes(bytes).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The next `count` bytes, fewer at the end.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The pieces in which a stream arrives, as long as its own bytes say.
pub(crate) fn pieces(stream: &[u8], lengths: RangeInclusive<usize>) -> impl Iterator<Item = &[u8]> {
    let (least, most) = lengths.into_inner();
    let mut rest = stream;
    std::iter::from_fn(move || {
        let len = least + usize::from(*rest.first()?) % (most - least + 1);
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}
