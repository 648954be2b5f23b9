//! Frames that end with a delimiter, and frames of one length.

use bytes::Bytes;

use super::framing::MAX_UNKNOWN;
use crate::error::{Error, Result};
use crate::ziface::{Decoded, IDecoder};

/// Cuts frames at a delimiter, for protocols of lines. The delimiter is not passed on.
#[derive(Clone, Debug)]
pub struct DelimiterDecoder {
    delimiter: Vec<u8>,
    max_frame_length: usize,
    msg_id: u32,
}

/// A decoder of frames that end with `delimiter` and are at most `max_frame_length` bytes long with it. All go to the
/// router of `msg_id`.
///
/// # Errors
///
/// [`Error::BadDecoder`] if the delimiter is empty or longer than a frame may be, or that is more than 64 KiB.
///
/// # Examples
///
/// ```
/// use zinx::zpack::new_delimiter_decoder;
///
/// let lines = new_delimiter_decoder("\r\n", 1024, 1)?;
/// # Ok::<(), zinx::Error>(())
/// ```
pub fn new_delimiter_decoder(
    delimiter: impl Into<Vec<u8>>,
    max_frame_length: usize,
    msg_id: u32,
) -> Result<DelimiterDecoder> {
    let delimiter = delimiter.into();
    if delimiter.is_empty() || delimiter.len() > max_frame_length {
        return Err(Error::BadDecoder {
            reason: "a delimiter has at least a byte and fits the longest frame",
        });
    }
    if max_frame_length > MAX_UNKNOWN {
        return Err(Error::BadDecoder { reason: "a frame up to a delimiter has at most 65536 bytes" });
    }
    Ok(DelimiterDecoder { delimiter, max_frame_length, msg_id })
}

impl IDecoder for DelimiterDecoder {
    fn frame_len(&self, begun: &[u8], seen: usize) -> Result<Option<usize>> {
        let len = self.delimiter.len();
        // A delimiter may have begun in what was seen.
        let from = seen.saturating_sub(len - 1);
        let end = begun[from..].windows(len).position(|window| window == self.delimiter);
        let end = end.map(|at| from + at + len);
        let max = self.max_frame_length;
        match end {
            Some(end) if end <= max => Ok(Some(end)),
            None if begun.len() < max => Ok(None),
            _ => Err(Error::FrameTooLarge { len: end.unwrap_or(begun.len() + 1) as u64, max: max as u64 }),
        }
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        let end = frame.len() - self.delimiter.len();
        Ok(Decoded::new(self.msg_id, frame.slice(..end)))
    }
}

/// Cuts frames of one length.
#[derive(Clone, Copy, Debug)]
pub struct FixedLengthDecoder {
    frame_length: usize,
    msg_id: u32,
}

/// A decoder of frames of `frame_length` bytes each. All go to the router of `msg_id`.
///
/// # Errors
///
/// [`Error::BadDecoder`] if the length is 0 or more than 1 GiB.
pub const fn new_fixed_length_decoder(frame_length: usize, msg_id: u32) -> Result<FixedLengthDecoder> {
    if frame_length == 0 || frame_length > 1 << 30 {
        return Err(Error::BadDecoder { reason: "a fixed length is from 1 byte to 1 GiB" });
    }
    Ok(FixedLengthDecoder { frame_length, msg_id })
}

impl IDecoder for FixedLengthDecoder {
    fn frame_len(&self, _begun: &[u8], _seen: usize) -> Result<Option<usize>> {
        Ok(Some(self.frame_length))
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        Ok(Decoded::new(self.msg_id, frame))
    }
}
