//! A pass of reading: what one read has brought, in a buffer that belongs to it.

use std::ops::Range;

use bytes::Bytes;

/// One pass of reading: a buffer, and how far frames have been cut out of it.
#[derive(Debug)]
pub struct Pass<B> {
    buffer: Buffer<B>,
    at: usize,
    end: usize,
}

#[derive(Debug)]
enum Buffer<B> {
    Own(Option<B>),
    Shared(Bytes),
}

impl<B: AsRef<[u8]> + Send + 'static> Pass<B> {
    /// A pass over the first `end` bytes of `buffer`.
    pub const fn new(buffer: B, end: usize) -> Self {
        Self { buffer: Buffer::Own(Some(buffer)), at: 0, end }
    }

    /// A pass over bytes lent by [`lend`](Self::lend), from `at` on.
    pub const fn resume(lent: Bytes, at: usize) -> Self {
        let end = lent.len();
        Self { buffer: Buffer::Shared(lent), at, end }
    }

    /// How far frames have been cut out.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether anything is left to be cut.
    pub const fn has_rest(&self) -> bool {
        self.at < self.end
    }

    /// All bytes of the pass, to read on elsewhere from where it [is](Self::at).
    pub fn lend(&mut self) -> Bytes {
        let end = self.end;
        self.share().slice(..end)
    }

    /// What is left to be cut, taken out.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.at..self.end;
        self.at = self.end;
        self.share().slice(rest)
    }

    /// Bytes of the buffer; none where it has not so many.
    #[inline]
    pub fn slice(&self, at: Range<usize>) -> &[u8] {
        self.bytes().get(at).unwrap_or_default()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.buffer {
            Buffer::Own(own) => own.as_ref().map_or(&[][..], AsRef::as_ref),
            Buffer::Shared(shared) => shared,
        }
    }

    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.slice(self.at..self.end)
    }

    /// Cuts off a frame. Returns where its payload is.
    #[inline(always)]
    pub(super) const fn skip(&mut self, head_len: usize, frame_len: usize) -> Range<usize> {
        let begin = self.at;
        self.at += frame_len;
        begin + head_len..self.at
    }

    /// Cuts off a frame and returns its payload.
    pub(super) fn take(&mut self, head_len: usize, frame_len: usize) -> Bytes {
        let (from, to) = (self.at + head_len, self.at + frame_len);
        let payload = if to - from > SMALL_PAYLOAD {
            self.share().slice(from..to)
        } else {
            Bytes::copy_from_slice(&self.rest()[head_len..frame_len])
        };
        self.at = to;
        payload
    }

    fn share(&mut self) -> &Bytes {
        if let Buffer::Own(own) = &mut self.buffer {
            self.buffer = Buffer::Shared(own.take().map_or_else(Bytes::new, Bytes::from_owner));
        }
        match &self.buffer {
            Buffer::Shared(shared) => shared,
            Buffer::Own(_) => unreachable!("shared above"),
        }
    }
}

/// Payloads up to this are copied out of the buffer of their pass.
pub(super) const SMALL_PAYLOAD: usize = 4096;
