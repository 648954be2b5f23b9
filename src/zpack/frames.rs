//! Frames out of a stream that arrives in pieces of any size.
//!
//! Bytes are read in *passes*: whatever the socket has, into a buffer that belongs to the pass. A [`FrameReader`] cuts
//! whole frames out of it and keeps only what a frame begun leaves over, so that a connection between two frames owns
//! no buffer. Payloads of up to 4 KiB are copied out, so that keeping one keeps no more; larger ones share the buffer.

use std::io::{self, Read};

use bytes::Bytes;

use super::{Message, new_message};
use crate::error::{Error, Result};
use crate::ziface::IDataPack;

/// The part of a frame that has arrived while the rest has not.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The beginning of a frame; empty between frames.
    carry: Vec<u8>,
    /// Length of the whole frame in `carry` where it is large and its head complete, else 0.
    large: usize,
}

impl FrameReader {
    /// A reader between two frames.
    pub const fn new() -> Self {
        Self { carry: Vec::new(), large: 0 }
    }

    /// Bytes of a frame begun. 0 between frames.
    pub const fn received(&self) -> usize {
        self.carry.len()
    }

    /// Takes the beginning of a frame out, as if nothing had been read of it.
    pub fn take_begun(&mut self) -> Vec<u8> {
        self.large = 0;
        std::mem::take(&mut self.carry)
    }

    /// Moves a small frame begun to the front of a buffer that is to be read into behind it. Returns its length.
    ///
    /// # Panics
    ///
    /// Where `buf` is shorter than [`MIN_BUFFER`].
    pub fn restore(&mut self, buf: &mut [u8]) -> usize {
        let carry = std::mem::take(&mut self.carry);
        buf[..carry.len()].copy_from_slice(&carry);
        carry.len()
    }

    /// Where a large frame has begun: its buffer, with room behind what has arrived, and how many bytes are still to
    /// be read into it. No more is reserved than has arrived twice over, or 96 KiB: the peer chooses the length.
    pub fn large_rest(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if self.large == 0 {
            return None;
        }
        if self.carry.len() == self.carry.capacity() {
            self.carry.reserve_exact(self.carry.len().max(FIRST_RESERVE).min(self.large - self.carry.len()));
        }
        let missing = (self.large - self.carry.len()).min(self.carry.capacity() - self.carry.len());
        Some((&mut self.carry, missing))
    }

    /// The large frame that [`large_rest`](Self::large_rest) has been read into, once it is whole.
    ///
    /// # Errors
    ///
    /// Those of the pack.
    pub fn take_large(&mut self, pack: &dyn IDataPack) -> Result<Option<Message>> {
        if self.large == 0 || self.carry.len() < self.large {
            return Ok(None);
        }
        self.large = 0;
        let frame = Bytes::from(std::mem::take(&mut self.carry));
        let head = pack.unpack(&frame[..pack.get_head_len()])?;
        Ok(Some(new_message(head.msg_id, frame.slice(pack.get_head_len()..))))
    }

    /// The next whole frame of a pass. `None` where the rest of the pass is less than one; it is kept for the next.
    ///
    /// # Errors
    ///
    /// [`Error::PacketTooLarge`] where a head announces a payload of more than `max` bytes, and those of the pack.
    /// Nothing has been reserved for it. The stream cannot be read on.
    pub fn next<B: AsRef<[u8]> + Send + 'static>(
        &mut self,
        pack: &dyn IDataPack,
        max: u32,
        pass: &mut Pass<B>,
    ) -> Result<Option<Message>> {
        let rest = pass.rest();
        let head_len = pack.get_head_len();
        if rest.len() < head_len {
            self.carry.extend_from_slice(rest);
            return Ok(None);
        }
        let head = pack.unpack(&rest[..head_len])?;
        if head.data_len > max {
            return Err(Error::PacketTooLarge { len: u64::from(head.data_len), max });
        }
        let frame_len = head_len + head.data_len as usize;
        if rest.len() < frame_len {
            self.begin(rest, frame_len);
            return Ok(None);
        }
        Ok(Some(new_message(head.msg_id, pass.take(head_len, frame_len))))
    }

    fn begin(&mut self, rest: &[u8], frame_len: usize) {
        if frame_len > SMALL_FRAME {
            self.large = frame_len;
            self.carry.reserve_exact(frame_len.min(FIRST_RESERVE.max(2 * rest.len())));
        }
        self.carry.extend_from_slice(rest);
    }
}

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

    fn rest(&self) -> &[u8] {
        let bytes = match &self.buffer {
            Buffer::Own(own) => own.as_ref().map_or(&[][..], AsRef::as_ref),
            Buffer::Shared(shared) => shared,
        };
        bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Cuts off a frame and returns its payload.
    fn take(&mut self, head_len: usize, frame_len: usize) -> Bytes {
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

/// Reads one message from a blocking stream, for clients written as a loop. `None` where the stream ends between two
/// frames.
///
/// # Errors
///
/// [`Error::PacketTooLarge`] over `max` payload bytes, [`Error::Io`] where reading fails or the stream ends inside a
/// frame.
///
/// # Examples
///
/// ```
/// use zinx::ziface::IMessage;
/// use zinx::zpack::{new_data_pack, read_message};
///
/// let mut stream = &b"\x04\0\0\0\x01\0\0\0ping"[..];
/// let message = read_message(&mut stream, &new_data_pack(), 4096)?.unwrap();
/// assert_eq!(message.get_data(), "ping");
/// assert!(read_message(&mut stream, &new_data_pack(), 4096)?.is_none());
/// # Ok::<(), zinx::Error>(())
/// ```
pub fn read_message(stream: &mut impl Read, pack: &dyn IDataPack, max: u32) -> Result<Option<Message>> {
    let mut head = vec![0; pack.get_head_len()];
    if !read_first(stream, &mut head)? {
        return Ok(None);
    }
    let head = pack.unpack(&head)?;
    if head.data_len > max {
        return Err(Error::PacketTooLarge { len: u64::from(head.data_len), max });
    }
    let mut data = Vec::new();
    let got = stream.take(u64::from(head.data_len)).read_to_end(&mut data)?;
    if got < head.data_len as usize {
        return Err(Error::io("read a message", io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(new_message(head.msg_id, data)))
}

/// Fills `head`; `false` where the stream ends before its first byte.
fn read_first(stream: &mut impl Read, head: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while filled < head.len() {
        match stream.read(&mut head[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(Error::io("read a message", io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read a message", error)),
        }
    }
    Ok(true)
}

/// The shortest buffer a pass can use: a small frame begun must fit in front, with room to read.
pub const MIN_BUFFER: usize = 2 * SMALL_FRAME;

/// Payloads up to this are copied out of the buffer of their pass.
const SMALL_PAYLOAD: usize = 4096;

/// Frames up to this are carried from pass to pass by copying; larger ones are read into a buffer of their own.
const SMALL_FRAME: usize = 8192;

/// What is reserved for a large frame before more of it has arrived.
const FIRST_RESERVE: usize = 96 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zpack::{LtvLittleEndian, TlvBigEndian};

    /// Feeds `stream` in pieces cut at `cuts` through the reader as a connection does.
    fn decode(pack: &dyn IDataPack, max: u32, stream: &[u8], cuts: &[usize]) -> Result<Vec<Message>> {
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
                messages.extend(reader.take_large(pack)?);
                if piece.is_empty() {
                    break;
                }
            }
            let mut buffer = vec![0; stream.len() + MIN_BUFFER];
            if reader.large_rest().is_some() {
                continue;
            }
            let start = reader.restore(&mut buffer);
            buffer[start..start + piece.len()].copy_from_slice(piece);
            let mut pass = Pass::new(buffer, start + piece.len());
            while let Some(message) = reader.next(pack, max, &mut pass)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn stream(pack: &dyn IDataPack, lens: &[usize]) -> (Vec<u8>, Vec<Message>) {
        let message = |(n, &len): (usize, &usize)| new_message(n as u32, vec![n as u8; len]);
        let messages: Vec<_> = lens.iter().enumerate().map(message).collect();
        (messages.iter().flat_map(|message| pack.pack(message).unwrap()).collect(), messages)
    }

    #[test]
    fn a_stream_cut_at_every_byte_decodes_the_same() {
        for pack in [&LtvLittleEndian as &dyn IDataPack, &TlvBigEndian] {
            let (stream, messages) = stream(pack, &[0, 1, 100, 0, 7]);
            for cut in 0..=stream.len() {
                assert_eq!(decode(pack, 4096, &stream, &[cut]).unwrap(), messages, "cut at {cut}");
            }
            let every: Vec<_> = (1..stream.len()).collect();
            assert_eq!(decode(pack, 4096, &stream, &every).unwrap(), messages);
        }
    }

    #[test]
    fn large_frames_cut_anywhere_decode_the_same() {
        let (stream, messages) = stream(&LtvLittleEndian, &[5000, 70_000, 3, 200_000, 8184, 8185]);
        for step in [1, 3, 977, 4096, 65_536, 100_000] {
            let cuts: Vec<_> = (1..stream.len()).step_by(step).collect();
            assert_eq!(decode(&LtvLittleEndian, 1 << 20, &stream, &cuts).unwrap(), messages, "step {step}");
        }
    }

    #[test]
    fn the_limit_is_the_last_length_accepted() {
        let (stream, messages) = stream(&LtvLittleEndian, &[4096]);
        assert_eq!(decode(&LtvLittleEndian, 4096, &stream, &[]).unwrap(), messages);
        let error = decode(&LtvLittleEndian, 4095, &stream[..8], &[]).unwrap_err();
        assert!(matches!(error, Error::PacketTooLarge { len: 4096, max: 4095 }), "{error}");
    }

    #[test]
    fn a_large_frame_announced_reserves_little_until_it_arrives() {
        let mut reader = FrameReader::new();
        let mut pass = Pass::new(b"\0\0\0\x40\x01\0\0\0".to_vec(), 8);
        assert!(reader.next(&LtvLittleEndian, 1 << 30, &mut pass).unwrap().is_none());
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
            let _ = decode(&TlvBigEndian, 32, &bytes, &[bytes.len() / 2]);
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        }
    }
}
