//! A part of what waits to be sent: frames side by side, or one large frame.

use bytes::Bytes;

use crate::green::{Contained, SendBuffer};

/// A part of what waits to be sent.
pub(super) struct Chunk {
    frames: Frames,
    /// Bytes of it that are sent or dropped. Only the front chunk may be in the middle of a frame.
    gone: usize,
    /// Where the first frame begins whose last byte is still to be sent. At most `gone`.
    first_at: usize,
    /// Its number, counted from the first frame that the chunk has ever held.
    first: usize,
    /// Other queues hold it too.
    shared: bool,
}

enum Frames {
    /// Whole frames, side by side.
    Small(SendBuffer),
    /// One frame whose payload is shared, or bytes that are sent as they are: then the head is empty.
    Large { head: Vec<u8>, data: Contained<Bytes> },
}

impl Chunk {
    pub(super) const fn small(frames: SendBuffer) -> Self {
        Self::new(Frames::Small(frames))
    }

    pub(super) const fn large(head: Vec<u8>, data: Bytes) -> Self {
        Self::new(Frames::Large { head, data: Contained::new(data) })
    }

    /// One frame that other queues hold too.
    pub(super) const fn shared(frame: Bytes) -> Self {
        let mut chunk = Self::large(Vec::new(), frame);
        chunk.shared = true;
        chunk
    }

    const fn new(frames: Frames) -> Self {
        Self { frames, gone: 0, first_at: 0, first: 0, shared: false }
    }

    /// Bytes still to be sent.
    pub(super) fn left(&self) -> usize {
        self.len() - self.gone
    }

    /// The same, where other queues hold it too; else 0.
    pub(super) fn left_shared(&self) -> usize {
        if self.shared { self.left() } else { 0 }
    }

    /// Bytes of it that have left, but are still in memory; 0 where other queues hold it too.
    pub(super) const fn gone_own(&self) -> usize {
        if self.shared { 0 } else { self.gone }
    }

    fn len(&self) -> usize {
        match &self.frames {
            Frames::Small(frames) => frames.len(),
            Frames::Large { head, data } => head.len() + data.len(),
        }
    }

    /// Frames whose last byte is still to be sent.
    pub(super) fn messages(&self) -> usize {
        match &self.frames {
            Frames::Small(frames) => frames.pieces() - self.first,
            Frames::Large { .. } => 1 - self.first,
        }
    }

    /// What is still to be sent.
    pub(super) fn rest(&self) -> [&[u8]; 2] {
        let (first, second): (&[u8], &[u8]) = match &self.frames {
            Frames::Small(frames) => (frames, &[]),
            Frames::Large { head, data } => (head, data),
        };
        let of_first = self.gone.min(first.len());
        [&first[of_first..], &second[self.gone - of_first..]]
    }

    /// Length of the first frame whose last byte is still to be sent.
    fn first_len(&self) -> usize {
        match &self.frames {
            Frames::Small(frames) => frames.piece_len(self.first),
            Frames::Large { .. } => self.len(),
        }
    }

    /// How long each frame is of which something is still to be sent; of the first, what is left of it.
    pub(super) fn frame_lens(&self) -> impl Iterator<Item = usize> + use<'_> {
        let begun = self.gone - self.first_at;
        (self.first..self.first + self.messages()).map(move |at| {
            let len = match &self.frames {
                Frames::Small(frames) => frames.piece_len(at),
                Frames::Large { .. } => self.len(),
            };
            if at == self.first { len - begun } else { len }
        })
    }

    /// Takes note that `n` bytes more have been sent, fewer than are left. Returns how many frames have left with them.
    pub(super) fn advance(&mut self, n: usize) -> usize {
        self.gone += n;
        let before = self.first;
        while self.first_at + self.first_len() <= self.gone {
            self.first_at += self.first_len();
            self.first += 1;
        }
        self.first - before
    }

    /// Drops the oldest frame of which nothing has been sent; returns its length.
    pub(super) fn drop_oldest(&mut self) -> Option<usize> {
        let has_begun = self.gone > self.first_at;
        if has_begun {
            return self.drop_second();
        }
        let len = self.first_len();
        self.gone += len;
        self.first_at += len;
        self.first += 1;
        Some(len)
    }

    /// Drops the frame behind the one that has begun to leave, which moves up to the one behind it.
    fn drop_second(&mut self) -> Option<usize> {
        let Frames::Small(frames) = &mut self.frames else { return None };
        let second = self.first + 1;
        if second >= frames.pieces() {
            return None;
        }
        let len = frames.piece_len(second);
        frames.overwrite_piece(second, self.first_at);
        self.gone += len;
        self.first_at += len;
        self.first = second;
        Some(len)
    }
}
