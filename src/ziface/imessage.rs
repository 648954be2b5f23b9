//! A message: an id and its payload.

use std::any::Any;

use bytes::Bytes;

use super::Value;

/// A message: an id that chooses the router, and a payload.
pub trait IMessage: Send + Sync {
    /// The message id.
    #[doc(alias = "GetMsgID")]
    #[doc(alias = "GetMsgId")]
    fn get_msg_id(&self) -> u32;

    /// Length of the payload, in bytes.
    #[doc(alias = "GetDataLen")]
    #[doc(alias = "GetMsgLen")]
    fn get_data_len(&self) -> u32;

    /// The payload. Cloning it copies nothing; a payload of up to 4 KiB owns its memory, a clone of a larger one
    /// keeps the read buffer (at most 256 KiB) it arrived in.
    #[doc(alias = "GetData")]
    #[doc(alias = "GetRawData")]
    fn get_data(&self) -> &Bytes;

    /// Replaces the id.
    #[doc(alias = "SetMsgID")]
    #[doc(alias = "SetMsgId")]
    fn set_msg_id(&mut self, id: u32);

    /// Replaces the payload and, with it, its length.
    #[doc(alias = "SetData")]
    fn set_data(&mut self, data: Bytes);

    /// What the decoder has parsed: see [`get_decoded`](#method.get_decoded), which gives it its type. `None` if it
    /// has left no value.
    fn get_value(&self) -> Option<&Value> {
        None
    }
}

impl dyn IMessage + '_ {
    /// What the decoder has parsed ([`Decoded::with_value`](super::Decoded::with_value)), if it is a `T`.
    pub fn get_decoded<T: Any>(&self) -> Option<&T> {
        self.get_value()?.downcast_ref()
    }
}
