//! The message itself.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use crate::ziface::{Decoded, IMessage, Payload, Value};

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
///
/// Two messages are equal where id and payload are: a value that a decoder has parsed says nothing else.
#[derive(Clone, Default)]
pub struct Message {
    id: u32,
    data: Bytes,
    /// One word if there is none, because every message is moved about.
    value: Option<Box<Parsed>>,
}

/// A value of the program, dropped wherever the message is.
#[derive(Clone)]
struct Parsed(Option<Value>);

impl Parsed {
    fn boxed(value: Value) -> Box<Self> {
        Box::new(Self(Some(value)))
    }
}

/// A panic of the value's destructor is its own affair: a queue of messages has others to drop.
impl Drop for Parsed {
    fn drop(&mut self) {
        let value = self.0.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            log::error!("the destructor of a decoded value panicked");
            // It may panic when it is dropped, too.
            std::mem::forget(payload);
        }
    }
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
        Self { id, data, value: None }
    }

    /// What a decoder has made of a frame.
    pub(crate) fn decoded(decoded: Decoded) -> Self {
        Self { id: decoded.msg_id, data: decoded.data, value: decoded.value.map(Parsed::boxed) }
    }

    /// The same message with a value, as [`Decoded::with_value`]: for an interceptor that parses.
    #[must_use]
    pub fn with_value(self, value: impl Any + Send + Sync) -> Self {
        Self { value: Some(Parsed::boxed(Arc::new(value))), ..self }
    }

    /// What the decoder has parsed ([`Decoded::with_value`]), if it is a `T`.
    pub fn get_decoded<T: Any>(&self) -> Option<&T> {
        self.get_value()?.downcast_ref()
    }

    /// The message with the value of another.
    pub(crate) fn carrying(self, value: Option<&Value>) -> Self {
        Self { value: value.cloned().map(Parsed::boxed), ..self }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("data", &self.data).finish()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.data) == (other.id, &other.data)
    }
}

impl Eq for Message {}

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

    fn get_value(&self) -> Option<&Value> {
        self.value.as_ref()?.0.as_ref()
    }
}
