//! The message itself.

use bytes::Bytes;

use crate::ziface::{IMessage, Payload};

/// A message: an id and a payload.
///
/// # Examples
///
/// ```
/// use zinx::ziface::IMessage;
/// use zinx::zpack::new_message;
///
/// let message = new_message(1, "ping");
/// assert_eq!((message.get_msg_id(), message.get_data_len()), (1, 4));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    id: u32,
    data: Bytes,
}

/// A message of an id and a payload: anything that can be sent. What is borrowed is copied; `Bytes`, a `String` or a
/// `Vec<u8>` are kept as they are. The formats of this crate carry up to 4 GiB less one byte; a longer one is an error
/// when it is sent.
#[doc(alias = "NewMsgPackage")]
#[doc(alias = "NewMessage")]
pub fn new_message<'a>(id: u32, data: impl Into<Payload<'a>>) -> Message {
    Message::new(id, data.into().into_bytes())
}

impl Message {
    /// As [`new_message`], of a payload that is there: for each frame that is read.
    pub(crate) const fn new(id: u32, data: Bytes) -> Self {
        Self { id, data }
    }
}

impl IMessage for Message {
    fn get_msg_id(&self) -> u32 {
        self.id
    }

    fn get_data_len(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX)
    }

    fn get_data(&self) -> &Bytes {
        &self.data
    }

    fn set_msg_id(&mut self, id: u32) {
        self.id = id;
    }

    fn set_data(&mut self, data: Bytes) {
        self.data = data;
    }
}
