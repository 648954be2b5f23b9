//! A request: a message and the connection it came on.

use std::sync::Arc;

use bytes::Bytes;

use super::sealed::Sealed;
use super::{IConnection, IMessage};

/// A message that has arrived, with the connection it arrived on.
pub trait IRequest: Sealed + Send + Sync {
    /// The connection it came on, to answer.
    #[doc(alias = "GetConnection")]
    fn get_connection(&self) -> &Arc<dyn IConnection>;

    /// The payload. See [`IMessage::get_data`] for what a clone keeps.
    #[doc(alias = "GetData")]
    fn get_data(&self) -> &Bytes;

    /// The message id.
    #[doc(alias = "GetMsgID")]
    #[doc(alias = "GetMsgId")]
    fn get_msg_id(&self) -> u32;

    /// The message.
    #[doc(alias = "GetMessage")]
    fn get_message(&self) -> &dyn IMessage;

    /// A request of its own with the same connection and message: to keep, or to queue
    /// ([`send_msg_to_task_queue`](super::IMsgHandler::send_msg_to_task_queue)).
    #[doc(alias = "Copy")]
    fn copy(&self) -> Box<dyn IRequest>;
}
