//! Decoders: how a stream is cut into frames, and what a frame means, for protocols other than head and payload.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::{Payload, Value};
use crate::error::Result;

/// Cuts a stream into frames and makes a message of each. Given to `Server::set_decoder` or `Client::set_decoder`.
///
/// Those of this crate: [`zpack`](crate::zpack) has decoders by length field, by delimiter, of fixed length, HTLVCRC.
/// `MaxPacketSize` does not concern decoders: each says itself how long a frame may be. A panic of a decoder closes the
/// connection as a bad frame does.
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
///         Ok(Decoded::new(u32::from(frame[1]), frame.slice(2..)))
///     }
/// }
/// ```
///
/// A decoder that parses the frame anyway passes on what it has parsed: see [`Decoded::with_value`].
pub trait IDecoder: Send + Sync {
    /// The length of the whole frame with which `begun` begins, in bytes; `None` while too little has come to tell,
    /// which may be up to 64 KiB. Called again, with more, when more has come; `seen` bytes were there the last time.
    ///
    /// # Errors
    ///
    /// If this can be no frame, or is too long a one. It closes the connection, with what the error says as the
    /// reason; a length of 0 does too.
    fn frame_len(&self, begun: &[u8], seen: usize) -> Result<Option<usize>>;

    /// The message in a whole frame. [`frame_len`](Self::frame_len) has given its length.
    ///
    /// # Errors
    ///
    /// If the frame is damaged. It closes the connection.
    fn decode(&self, frame: Bytes) -> Result<Decoded>;

    /// The parameters, if a length field says how long a frame is.
    #[doc(alias = "GetLengthField")]
    fn get_length_field(&self) -> Option<LengthField> {
        None
    }
}

/// What is in a frame.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The message id, which chooses the router.
    pub msg_id: u32,
    /// The payload.
    pub data: Bytes,
    /// What the decoder has parsed, for the handler. Default `None`.
    pub value: Option<Value>,
}

impl Decoded {
    /// A message id and a payload: anything that can be sent, often a slice of the frame, which copies nothing.
    pub fn new<'a>(msg_id: u32, data: impl Into<Payload<'a>>) -> Self {
        Self { msg_id, data: data.into().into_bytes(), value: None }
    }

    /// Lets the message carry what the decoder has parsed, so that no handler parses it again: `get_decoded::<T>()` of a
    /// request, or of the message that a session or a call receives, gives it back. A message without a value costs
    /// nothing, one with a value two small allocations.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use zinx::prelude::*;
    /// use zinx::ziface::{Decoded, IDecoder};
    ///
    /// /// Frames of 6 bytes: device (4), command, value.
    /// struct Reading {
    ///     device: u32,
    ///     value: u8,
    /// }
    ///
    /// struct ReadingDecoder;
    ///
    /// impl IDecoder for ReadingDecoder {
    ///     fn frame_len(&self, _begun: &[u8], _seen: usize) -> zinx::Result<Option<usize>> {
    ///         Ok(Some(6))
    ///     }
    ///
    ///     fn decode(&self, frame: Bytes) -> zinx::Result<Decoded> {
    ///         let device = u32::from_be_bytes(frame[..4].try_into()?);
    ///         let reading = Reading { device, value: frame[5] };
    ///         Ok(Decoded::new(u32::from(frame[4]), frame).with_value(reading))
    ///     }
    /// }
    ///
    /// fn handle(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let Reading { device, value } = request.get_decoded().ok_or("not from the decoder")?;
    ///     println!("device {device}: {value}");
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    #[doc(alias = "ProceedWithIMessage")]
    #[doc(alias = "SetResponse")]
    pub fn with_value(self, value: impl Any + Send + Sync) -> Self {
        Self { value: Some(Arc::new(value)), ..self }
    }
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
    /// What is added to the field; negative if it counts what comes before its end too.
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
