//! Frames out of a stream that arrives in pieces of any size.
//!
//! Bytes are read in *passes*: whatever the socket has, into a buffer that belongs to the pass. A [`FrameReader`] cuts
//! whole frames out of it and keeps only what a frame begun leaves over, so that a connection between two frames owns
//! no buffer. Payloads of up to 4 KiB are copied out, so that keeping one keeps no more; larger ones share the buffer.

use std::ops::Range;

use bytes::Bytes;

use super::Message;
use super::framing::{Cut, Framing, MAX_UNKNOWN, cut_decoded, cut_packed};
use super::pass::{Pass, SMALL_PAYLOAD};
use crate::error::Result;
use crate::ziface::IDataPack;

/// The part of a frame that has arrived while the rest has not.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The beginning of a frame; empty between frames.
    carry: Vec<u8>,
    /// The frame in `carry` if it is large and its length known.
    large: Option<Cut>,
    /// Bytes of `carry` in which a decoder has looked for its length and not found it.
    seen: usize,
}

impl FrameReader {
    /// A reader between two frames.
    pub const fn new() -> Self {
        Self { carry: Vec::new(), large: None, seen: 0 }
    }

    /// Bytes of a frame begun. 0 between frames.
    pub const fn received(&self) -> usize {
        self.carry.len()
    }

    /// Bytes that the frame begun takes now.
    pub const fn held(&self) -> usize {
        self.carry.capacity()
    }

    /// Bytes that it will take once [`large_rest`](Self::large_rest) has made room for more of it. 0 if no large frame
    /// has begun.
    pub fn will_hold(&self) -> usize {
        let Some(Cut { frame_len, .. }) = self.large else { return 0 };
        let more = if self.carry.len() == self.carry.capacity() { self.next_reserve(frame_len) } else { 0 };
        self.carry.capacity() + more
    }

    const fn next_reserve(&self, frame_len: usize) -> usize {
        let (len, missing) = (self.carry.len(), frame_len.saturating_sub(self.carry.len()));
        let doubled = if len > FIRST_RESERVE { len } else { FIRST_RESERVE };
        if doubled < missing { doubled } else { missing }
    }

    /// Takes the beginning of a frame out, as if nothing had been read of it.
    pub fn take_begun(&mut self) -> Vec<u8> {
        self.large = None;
        self.seen = 0;
        std::mem::take(&mut self.carry)
    }

    /// Moves a small frame begun to the front of a buffer; the next read goes behind it. Returns its length.
    ///
    /// # Panics
    ///
    /// Where `buf` is shorter than the frame begun; a small one fits [`MIN_BUFFER`].
    pub fn restore(&mut self, buf: &mut [u8]) -> usize {
        // Nearly always, and then no memory is to be freed either.
        if self.carry.is_empty() {
            return 0;
        }
        let carry = std::mem::take(&mut self.carry);
        buf[..carry.len()].copy_from_slice(&carry);
        carry.len()
    }

    /// Where a large frame has begun: its buffer, with room behind what has arrived, and how many bytes are still to
    /// be read into it. No more is reserved than has arrived twice over, or 96 KiB: the peer chooses the length.
    pub fn large_rest(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let large = self.large?.frame_len;
        if self.carry.len() == self.carry.capacity() {
            self.carry.reserve_exact(self.next_reserve(large));
        }
        let missing = (large - self.carry.len()).min(self.carry.capacity() - self.carry.len());
        Some((&mut self.carry, missing))
    }

    /// The large frame that [`large_rest`](Self::large_rest) has been read into, once it is whole.
    ///
    /// # Errors
    ///
    /// Those of the decoder.
    pub fn take_large(&mut self, framing: &Framing) -> Result<Option<Message>> {
        let Some(cut) = self.large.filter(|cut| self.carry.len() >= cut.frame_len) else { return Ok(None) };
        self.large = None;
        let frame = Bytes::from(std::mem::take(&mut self.carry));
        framing.message(cut, frame.slice(cut.head_len..)).map(Some)
    }

    /// The next whole frame of a pass. `None` if the rest of the pass is less than one; it is kept for the next.
    ///
    /// # Errors
    ///
    /// [`Error::PacketTooLarge`](crate::Error::PacketTooLarge) where a head announces more payload than is accepted, and
    /// those of the pack or the decoder. Nothing has been reserved for it. The stream cannot be read on.
    pub fn next<B: AsRef<[u8]> + Send + 'static>(
        &mut self,
        framing: &Framing,
        pass: &mut Pass<B>,
    ) -> Result<Option<Message>> {
        let frame = self.next_lent(framing, pass)?;
        Ok(frame.map(|frame| match frame {
            Frame::Lent { msg_id, at } => Message::new(msg_id, Bytes::copy_from_slice(pass.slice(at))),
            Frame::Own(message) => message,
        }))
    }

    /// As [`next`](Self::next), but leaves a small payload in the buffer of the pass.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline(always)]
    pub fn next_lent<B: AsRef<[u8]> + Send + 'static>(
        &mut self,
        framing: &Framing,
        pass: &mut Pass<B>,
    ) -> Result<Option<Frame>> {
        let decoder = match framing {
            Framing::Pack { pack, max } => return self.next_packed(&**pack, *max, pass),
            Framing::Decoder(decoder) => decoder,
        };
        let rest = pass.rest();
        let Some(cut) = cut_decoded(&**decoder, rest, std::mem::take(&mut self.seen))? else {
            self.keep(rest);
            return Ok(None);
        };
        if rest.len() < cut.frame_len {
            self.begin(rest, cut);
            return Ok(None);
        }
        framing.message(cut, pass.take(cut.head_len, cut.frame_len)).map(|message| Some(Frame::Own(message)))
    }

    /// As [`next_lent`](Self::next_lent), by a format of which the caller may know which it is: then its head is read in line.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline(always)]
    pub(crate) fn next_packed<B: AsRef<[u8]> + Send + 'static>(
        &mut self,
        pack: &(impl IDataPack + ?Sized),
        max: u32,
        pass: &mut Pass<B>,
    ) -> Result<Option<Frame>> {
        let rest = pass.rest();
        let Some(cut) = cut_packed(pack, max, rest)? else {
            self.keep(rest);
            return Ok(None);
        };
        if rest.len() < cut.frame_len {
            self.begin(rest, cut);
            return Ok(None);
        }
        let msg_id = cut.msg_id();
        Ok(Some(if cut.frame_len - cut.head_len <= SMALL_PAYLOAD {
            Frame::Lent { msg_id, at: pass.skip(cut.head_len, cut.frame_len) }
        } else {
            Frame::Own(Message::new(msg_id, pass.take(cut.head_len, cut.frame_len)))
        }))
    }

    /// Keeps what is less than a head, at the end of a pass; often nothing.
    #[inline]
    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.keep_some(rest);
        }
    }

    /// Not inlined, nor is what follows: once a pass, beside what is done for each frame.
    #[inline(never)]
    fn keep_some(&mut self, rest: &[u8]) {
        self.seen = rest.len();
        self.carry.extend_from_slice(rest);
    }

    /// Keeps the beginning of a frame cut.
    #[inline(never)]
    fn begin(&mut self, rest: &[u8], cut: Cut) {
        if cut.frame_len > SMALL_FRAME {
            self.large = Some(cut);
            self.carry.reserve_exact(cut.frame_len.min(FIRST_RESERVE.max(2 * rest.len())));
        }
        self.carry.extend_from_slice(rest);
    }
}

/// A frame cut out of a pass.
#[derive(Debug)]
pub enum Frame {
    /// A small one: its payload lies in the buffer of the pass, at these bytes.
    Lent {
        /// The message id.
        msg_id: u32,
        /// Where, for [`Pass::slice`].
        at: Range<usize>,
    },
    /// One that owns its payload.
    Own(Message),
}

/// The shortest buffer a pass can use: a frame begun, small or of unknown length, must fit in front, with room to read.
pub const MIN_BUFFER: usize = 2 * MAX_UNKNOWN;

/// Frames up to this are carried from pass to pass by copying; larger ones, once that is known, are read into a buffer of their own.
const SMALL_FRAME: usize = 8192;

/// What is reserved for a large frame before more of it has arrived.
const FIRST_RESERVE: usize = 96 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Error;
    use crate::zpack::{LtvLittleEndian, TlvBigEndian, new_delimiter_decoder, new_message};

    /// Feeds `stream` in pieces cut at `cuts` through the reader as a connection does.
    fn decode(framing: &Framing, stream: &[u8], cuts: &[usize]) -> Result<Vec<Message>> {
        let mut reader = FrameReader::new();
        let mut messages = Vec::new();
        let mut from = 0;
        for &to in cuts.iter().chain([&stream.len()]) {
            let mut piece = &stream[from..to];
            from = to;
            while let Some((rest, missing)) = reader.large_rest() {
                let n = missing.min(piece.len());
                rest.extend_from_slice(&piece[..n]);
                piece = &piece[n..];
                messages.extend(reader.take_large(framing)?);
                if piece.is_empty() {
                    break;
                }
            }
            if reader.large_rest().is_some() {
                continue;
            }
            let mut buffer = vec![0; stream.len() + MIN_BUFFER];
            let start = reader.restore(&mut buffer);
            buffer[start..start + piece.len()].copy_from_slice(piece);
            let mut pass = Pass::new(buffer, start + piece.len());
            while let Some(message) = reader.next(framing, &mut pass)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn framing(pack: impl IDataPack + 'static, max: u32) -> Framing {
        Framing::Pack { pack: Arc::new(pack), max }
    }

    fn stream(pack: &dyn IDataPack, lens: &[usize]) -> (Vec<u8>, Vec<Message>) {
        let message = |(n, &len): (usize, &usize)| new_message(n as u32, vec![n as u8; len]);
        let messages: Vec<_> = lens.iter().enumerate().map(message).collect();
        (messages.iter().flat_map(|message| pack.pack(message).unwrap()).collect(), messages)
    }

    #[test]
    fn a_stream_cut_at_every_byte_decodes_the_same() {
        let packs = [Arc::new(LtvLittleEndian) as Arc<dyn IDataPack>, Arc::new(TlvBigEndian)];
        for pack in packs {
            let (stream, messages) = stream(&*pack, &[0, 1, 100, 0, 7]);
            let framing = Framing::Pack { pack, max: 4096 };
            for cut in 0..=stream.len() {
                assert_eq!(decode(&framing, &stream, &[cut]).unwrap(), messages, "cut at {cut}");
            }
            let every: Vec<_> = (1..stream.len()).collect();
            assert_eq!(decode(&framing, &stream, &every).unwrap(), messages);
        }
    }

    #[test]
    fn large_frames_cut_anywhere_decode_the_same() {
        let (stream, messages) = stream(&LtvLittleEndian, &[5000, 70_000, 3, 200_000, 8184, 8185]);
        for step in [1, 3, 977, 4096, 65_536, 100_000] {
            let cuts: Vec<_> = (1..stream.len()).step_by(step).collect();
            assert_eq!(
                decode(&framing(LtvLittleEndian, 1 << 20), &stream, &cuts).unwrap(),
                messages,
                "step {step}"
            );
        }
    }

    #[test]
    fn the_limit_is_the_last_length_accepted() {
        let (stream, messages) = stream(&LtvLittleEndian, &[4096]);
        assert_eq!(decode(&framing(LtvLittleEndian, 4096), &stream, &[]).unwrap(), messages);
        let error = decode(&framing(LtvLittleEndian, 4095), &stream[..8], &[]).unwrap_err();
        assert!(matches!(error, Error::PacketTooLarge { len: 4096, max: 4095 }), "{error}");
    }

    #[test]
    fn a_large_frame_announced_reserves_little_until_it_arrives() {
        let mut reader = FrameReader::new();
        let mut pass = Pass::new(b"\0\0\0\x40\x01\0\0\0".to_vec(), 8);
        assert!(reader.next(&framing(LtvLittleEndian, 1 << 30), &mut pass).unwrap().is_none());
        assert!(reader.carry.capacity() <= FIRST_RESERVE, "{}", reader.carry.capacity());
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..seed % 64)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed as u8
                })
                .collect();
            let _ = decode(&framing(TlvBigEndian, 32), &bytes, &[bytes.len() / 2]);
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        }
    }

    #[test]
    fn lines_cut_anywhere_decode_the_same() {
        let lines = ["", "a", "\r", "\n\r", "some more", &"x".repeat(30_000), "end"];
        let stream: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
        let expected: Vec<_> = lines.iter().map(|line| new_message(5, line.as_bytes().to_vec())).collect();
        let framing = Framing::Decoder(Arc::new(new_delimiter_decoder("\r\n", 30_002, 5).unwrap()));
        for cut in (0..50).chain(30_000..stream.len()) {
            assert!(decode(&framing, &stream, &[cut]).unwrap() == expected, "cut at {cut}");
        }
        for step in [1, 7, 1000] {
            let cuts: Vec<_> = (1..stream.len()).step_by(step).collect();
            assert!(decode(&framing, &stream, &cuts).unwrap() == expected, "step {step}");
        }
    }
}
