//! How messages become bytes and back.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Data, IMessage};
use crate::error::{Error, Result};

/// A wire format: a head of fixed length that announces the length of the payload behind it.
///
/// Implement it for a format of your own and give it to `Server::set_packet`. The
/// framework reads [`get_head_len`](Self::get_head_len) bytes, calls [`unpack`](Self::unpack), checks the announced
/// length against `MaxPacketSize` before it reserves anything, and reads the payload. Answers may have other heads than
/// requests.
///
/// A panic is contained: in [`unpack`](Self::unpack) it closes the connection as a bad frame does, elsewhere the message is
/// not sent ([`Error::Panicked`](crate::Error::Panicked)) and its connection closes.
pub trait IDataPack: Send + Sync {
    /// Length of the head, in bytes, 1 to 64; 0 only beside a decoder, which cuts what is received.
    #[doc(alias = "GetHeadLen")]
    fn get_head_len(&self) -> usize;

    /// Reads a head of exactly [`get_head_len`](Self::get_head_len) bytes.
    ///
    /// # Errors
    ///
    /// [`Error::BadFrame`](crate::Error::BadFrame) if the head cannot be one: it closes the connection.
    #[doc(alias = "Unpack")]
    fn unpack(&self, head: &[u8]) -> Result<Head>;

    /// Appends the head of a message of `data_len` bytes to `out`. The payload follows it on the wire.
    ///
    /// # Errors
    ///
    /// If the format cannot carry such a message.
    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()>;

    /// The whole frame of a message, in memory of its own.
    ///
    /// # Errors
    ///
    /// Those of [`pack_head`](Self::pack_head), and [`Error::PacketTooLarge`](crate::Error::PacketTooLarge) for a payload of 4 GiB.
    #[doc(alias = "Pack")]
    fn pack(&self, message: &dyn IMessage) -> Result<Vec<u8>> {
        let data = message.get_data();
        if u32::try_from(data.len()).is_err() {
            return Err(Error::PacketTooLarge { len: data.len() as u64, max: u32::MAX });
        }
        let mut frame = Vec::with_capacity(self.get_head_len() + data.len());
        self.pack_head(message.get_msg_id(), message.get_data_len(), &mut frame)?;
        frame.extend_from_slice(data);
        Ok(frame)
    }
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The message id.
    pub msg_id: u32,
    /// Length of the payload that follows, in bytes.
    pub data_len: u32,
}

impl Head {
    /// The message id.
    #[doc(alias = "GetMsgId")]
    pub const fn get_msg_id(self) -> u32 {
        self.msg_id
    }

    /// Length of the payload that follows, in bytes.
    #[doc(alias = "GetDataLen")]
    pub const fn get_data_len(self) -> u32 {
        self.data_len
    }
}

/// A payload to be sent: borrowed bytes are copied into the queue, [`Bytes`] of 16 KiB and more leave without a copy.
///
/// Made by `into()` from text (`&str`, `&&str`, `String`, `&String`, `Cow<str>`, `Arc<str>`, `&Arc<str>`) and from bytes
/// (`&[u8]`, `[u8; N]`, `&[u8; N]`, `Vec<u8>`, `&Vec<u8>`, `Box<[u8]>`, `Cow<[u8]>`, `Bytes`, `&Bytes`, `BytesMut`). A
/// number is sent by its bytes: `7_u32.to_be_bytes()`.
#[derive(Debug)]
pub enum Payload<'a> {
    /// Bytes that stay the caller's.
    Borrowed(&'a [u8]),
    /// Bytes that the queue may share.
    Shared(Bytes),
}

impl Payload<'_> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(data) => data,
            Self::Shared(data) => data,
        }
    }

    /// The bytes, to keep: copied if they are borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(data) => Bytes::copy_from_slice(data),
            Self::Shared(data) => data,
        }
    }

    /// The same payload again, without a copy.
    pub fn reborrow(&self) -> Payload<'_> {
        match self {
            Self::Borrowed(data) => Payload::Borrowed(data),
            Self::Shared(data) => Payload::Shared(data.clone()),
        }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(data: &'a [u8]) -> Self {
        Self::Borrowed(data)
    }
}

macro_rules! borrowed {
    ($($data:ty),+) => {$(
        impl<'a> From<&'a $data> for Payload<'a> {
            fn from(data: &'a $data) -> Self {
                Self::Borrowed(data.as_ref())
            }
        }
    )+};
}

borrowed!(str, &str, String, Vec<u8>, Data);

impl<'a> From<&'a Arc<str>> for Payload<'a> {
    fn from(data: &'a Arc<str>) -> Self {
        Self::Borrowed(data.as_bytes())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(data: &'a [u8; N]) -> Self {
        Self::Borrowed(data)
    }
}

macro_rules! shared {
    ($($data:ty),+) => {$(
        impl From<$data> for Payload<'_> {
            fn from(data: $data) -> Self {
                Self::Shared(data.into())
            }
        }
    )+};
}

shared!(String, Vec<u8>, Box<[u8]>, Bytes, BytesMut);

impl<const N: usize> From<[u8; N]> for Payload<'_> {
    fn from(data: [u8; N]) -> Self {
        Self::Shared(Bytes::copy_from_slice(&data))
    }
}

impl From<Arc<str>> for Payload<'_> {
    fn from(data: Arc<str>) -> Self {
        Self::Shared(Bytes::copy_from_slice(data.as_bytes()))
    }
}

impl<'a> From<Cow<'a, str>> for Payload<'a> {
    fn from(data: Cow<'a, str>) -> Self {
        match data {
            Cow::Borrowed(data) => data.into(),
            Cow::Owned(data) => data.into(),
        }
    }
}

impl<'a> From<Cow<'a, [u8]>> for Payload<'a> {
    fn from(data: Cow<'a, [u8]>) -> Self {
        match data {
            Cow::Borrowed(data) => data.into(),
            Cow::Owned(data) => data.into(),
        }
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    fn from(data: &'a Bytes) -> Self {
        // A clone costs two atomic operations: worth it only where it saves a copy of some size.
        if data.len() < SHARE_FROM { Self::Borrowed(data) } else { Self::Shared(data.clone()) }
    }
}

/// Length from which sharing a payload is cheaper than copying it.
const SHARE_FROM: usize = 4096;
