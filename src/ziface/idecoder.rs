//! Decoders: how a stream is cut into frames, and what a frame means, for protocols other than head and payload.

use bytes::Bytes;

use crate::error::Result;

/// Cuts a stream into frames and makes a message of each. Given to `Server::set_decoder` or `Client::set_decoder`.
///
/// Those of this crate: [`zpack`](crate::zpack) has decoders by length field, by delimiter, of fixed length, HTLVCRC.
/// `MaxPacketSize` does not concern decoders: each says itself how long a frame may be.
///
/// # Examples
///
/// Frames that begin with their whole length in one byte, then the message id:
///
/// ```
/// use bytes::Bytes;
/// use zinx::ziface::{Decoded, IDecoder};
/// use zinx::{Error, Result};
///
/// struct Tiny;
///
/// impl IDecoder for Tiny {
///     fn frame_len(&self, begun: &[u8], _seen: usize) -> Result<Option<usize>> {
///         match begun.first() {
///             Some(0 | 1) => Err(Error::BadFrame { reason: "shorter than its head" }),
///             len => Ok(len.map(|&len| usize::from(len))),
///         }
///     }
///
///     fn decode(&self, frame: Bytes) -> Result<Decoded> {
///         Ok(Decoded { msg_id: u32::from(frame[1]), data: frame.slice(2..) })
///     }
/// }
/// ```
pub trait IDecoder: Send + Sync {
    /// The length of the whole frame with which `begun` begins, in bytes; `None` while too little has come to tell,
    /// which may be up to 64 KiB. Called again, with more, when more has come; `seen` bytes were there the last time.
    ///
    /// # Errors
    ///
    /// Where this can be no frame, or is too long a one. It closes the connection, with what the error says as the
    /// reason; a length of 0 does too.
    fn frame_len(&self, begun: &[u8], seen: usize) -> Result<Option<usize>>;

    /// The message in a whole frame. [`frame_len`](Self::frame_len) has given its length.
    ///
    /// # Errors
    ///
    /// Where the frame is damaged. It closes the connection.
    fn decode(&self, frame: Bytes) -> Result<Decoded>;

    /// The parameters, where a length field says how long a frame is.
    #[doc(alias = "GetLengthField")]
    fn get_length_field(&self) -> Option<LengthField> {
        None
    }
}

/// What is in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The message id, which chooses the router.
    pub msg_id: u32,
    /// The payload.
    pub data: Bytes,
}

/// Where a frame says how long it is. Whole length = field + adjustment + offset of the field + length of the field.
///
/// The default: two bytes at the beginning, big-endian, that count what follows them; frames of up to 64 KiB - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    /// Order of the field's bytes.
    pub order: Order,
    /// Longest whole frame accepted, in bytes.
    pub max_frame_length: u64,
    /// Bytes before the field.
    pub length_field_offset: usize,
    /// Length of the field, in bytes: 1, 2, 3, 4 or 8.
    pub length_field_length: usize,
    /// What is added to the field; negative where it counts what comes before its end too.
    pub length_adjustment: i64,
    /// Bytes at the beginning that are not passed on.
    pub initial_bytes_to_strip: usize,
}

impl Default for LengthField {
    fn default() -> Self {
        Self {
            order: Order::BigEndian,
            max_frame_length: 65_535,
            length_field_offset: 0,
            length_field_length: 2,
            length_adjustment: 0,
            initial_bytes_to_strip: 0,
        }
    }
}

/// Order of the bytes of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The most significant byte first.
    #[default]
    BigEndian,
    /// The least significant byte first.
    LittleEndian,
}
