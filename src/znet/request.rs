//! A request: a message and the connection it came on.

use std::sync::Arc;

use bytes::Bytes;

use crate::ziface::sealed::Sealed;
use crate::ziface::{IConnection, IMessage, IRequest};
use crate::zpack::Message;

/// A message and the connection it came on.
#[derive(Clone)]
pub(crate) struct Request {
    conn: Arc<dyn IConnection>,
    message: Message,
}

impl Request {
    pub(crate) const fn new(conn: Arc<dyn IConnection>, message: Message) -> Self {
        Self { conn, message }
    }

    /// Puts the next message in: one request serves all that a connection's own coroutine handles.
    pub(crate) fn set_message(&mut self, message: Message) {
        self.message = message;
    }
}

impl Sealed for Request {}

impl IRequest for Request {
    fn get_connection(&self) -> &Arc<dyn IConnection> {
        &self.conn
    }

    fn get_data(&self) -> &Bytes {
        self.message.get_data()
    }

    fn get_msg_id(&self) -> u32 {
        self.message.get_msg_id()
    }

    fn get_message(&self) -> &dyn IMessage {
        &self.message
    }

    fn copy(&self) -> Box<dyn IRequest> {
        Box::new(self.clone())
    }
}
