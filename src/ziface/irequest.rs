//! A request: a message and the connection it came on.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::sealed::Sealed;
use super::{Data, HandleStep, IConnection, IMessage, IRouter, Payload, RouterHandler};
use crate::error::Result;

/// A value kept with a request.
pub type Value = Arc<dyn Any + Send + Sync>;

/// A message that has arrived, with the connection it arrived on.
///
/// | to | there is |
/// |---|---|
/// | read the payload | [`get_data`](Self::get_data), [`text`](#method.text); to keep it [`get_bytes`](Self::get_bytes), to send it on [`get_payload`](Self::get_payload); with the features `json` and `protobuf` [`json`](#method.json), [`proto`](#method.proto); what a decoder has parsed by [`get_decoded`](#method.get_decoded) |
/// | answer | [`get_connection`](Self::get_connection) |
/// | know what it is | [`get_msg_id`](Self::get_msg_id), [`get_message`](Self::get_message) |
/// | hand values to the next handler | [`set`](Self::set), [`get`](Self::get), [`get_as`](#method.get_as), [`set_response`](Self::set_response), [`get_response`](Self::get_response) |
/// | go another way | [`abort`](Self::abort), [`goto`](Self::goto), [`router_slices_next`](Self::router_slices_next), [`bind_router`](Self::bind_router), [`bind_router_slices`](Self::bind_router_slices), [`call`](Self::call) |
/// | keep it for later | [`copy`](Self::copy) |
pub trait IRequest: Sealed + Send + Sync {
    /// The connection it came on, to answer.
    #[doc(alias = "GetConnection")]
    fn get_connection(&self) -> &Arc<dyn IConnection>;

    /// The payload, lent for as long as the handler runs, also while it waits: a `&[u8]` that can be compared with text. To keep
    /// it longer: [`get_bytes`](Self::get_bytes).
    #[doc(alias = "GetData")]
    fn get_data(&self) -> &Data;

    /// The payload, to keep. One of up to 4 KiB is copied; a larger one is shared, and keeps the read buffer (at most
    /// 256 KiB) it arrived in.
    #[doc(alias = "GetData")]
    fn get_bytes(&self) -> Bytes;

    /// The payload, to send on: a large one is shared, and not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn echo(request: &dyn IRequest) -> zinx::Result<()> {
    ///     request.get_connection().send_msg(1, request.get_payload())
    /// }
    /// ```
    fn get_payload(&self) -> Payload<'_>;

    /// The message id.
    #[doc(alias = "GetMsgID")]
    #[doc(alias = "GetMsgId")]
    fn get_msg_id(&self) -> u32;

    /// The message.
    #[doc(alias = "GetMessage")]
    fn get_message(&self) -> &dyn IMessage;

    /// A request of its own with the same connection, message, values and response, its route not begun: to keep, or to
    /// queue ([`send_msg_to_task_queue`](super::IMsgHandler::send_msg_to_task_queue)).
    #[doc(alias = "Copy")]
    fn copy(&self) -> Box<dyn IRequest>;

    /// Keeps a value with the request, for the handlers after this one, replacing one of the same name.
    #[doc(alias = "Set")]
    fn set(&self, key: &str, value: Value);

    /// The value kept under a name. [`get_as`](#method.get_as) gives it its type.
    #[doc(alias = "Get")]
    fn get(&self, key: &str) -> Option<Value>;

    /// Keeps a result with the request, for interceptors and handlers that go on when its handlers have run. Nothing is
    /// sent.
    #[doc(alias = "SetResponse")]
    fn set_response(&self, response: Value);

    /// The result kept with the request.
    #[doc(alias = "GetResponse")]
    fn get_response(&self) -> Option<Value>;

    /// Gives the request a router in place of the one of its id, to be run from its first step: by
    /// [`call`](Self::call), or when the request is dispatched. What is left of the route it had is skipped.
    #[doc(alias = "BindRouter")]
    fn bind_router(&self, router: Arc<dyn IRouter>);

    /// As [`bind_router`](Self::bind_router), with handlers.
    #[doc(alias = "BindRouterSlices")]
    fn bind_router_slices(&self, handlers: Vec<RouterHandler>);

    /// Runs what is left of the route of this request, in the coroutine that calls. Nothing if all has run.
    ///
    /// # Errors
    ///
    /// Those of the router; what is left after one is skipped.
    #[doc(alias = "Call")]
    fn call(&self) -> Result<()>;

    /// Runs the handlers behind the one that calls, and returns when they have: what follows in the caller comes after
    /// them. Nothing if there are none, or they have run.
    ///
    /// # Errors
    ///
    /// The first of theirs.
    #[doc(alias = "RouterSlicesNext")]
    fn router_slices_next(&self) -> Result<()>;

    /// Skips what is left of the route: the steps of a router, or the handlers of a slice, after this one.
    #[doc(alias = "Abort")]
    fn abort(&self);

    /// Lets a classic router go on at another step, also one before this. Without effect among slices.
    #[doc(alias = "Goto")]
    fn goto(&self, step: HandleStep);
}

impl dyn IRequest + '_ {
    /// What the decoder has parsed ([`Decoded::with_value`](super::Decoded::with_value)), if it is a `T`. `None` if
    /// it left no value, or one of another type; an interceptor that passes on another message has it lost, unless that
    /// message carries a value too.
    #[doc(alias = "GetResponse")]
    pub fn get_decoded<T: Any>(&self) -> Option<&T> {
        self.get_message().get_decoded()
    }

    /// The value kept under a name, if it is a `T`.
    pub fn get_as<T: Any + Send + Sync>(&self, key: &str) -> Option<Arc<T>> {
        self.get(key)?.downcast().ok()
    }
}
