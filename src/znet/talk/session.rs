//! The whole dialogue of a connection in one function.

use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, limited};
use crate::error::{Error, Result};
use crate::green::{Until, contain};
use crate::ziface::{CloseReason, IConnection, IMessage, Payload};
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::{Code, Purpose};
use crate::znet::read::keep_rate::keep_rate;
use crate::znet::route::chain::pass_on;
use crate::znet::route::request::Request;
use crate::zpack::Message;

/// Runs the dialogue, where there is one.
pub(crate) fn run_dialogue(conn: &Connection, shared: &Arc<dyn IConnection>) {
    let Some(dialogue) = conn.core().talk().dialogue.get() else { return };
    if conn.is_stopping() {
        return;
    }
    let _code = conn.enter_code(Code::Session);
    let ended = contain(|| match dialogue(shared) {
        Ok(()) | Err(Error::ConnectionClosed) => CloseReason::SessionEnded,
        Err(error) => CloseReason::SessionFailed { error: error.to_string() },
    });
    conn.stop_because(ended.unwrap_or_else(|words| {
        conn.core().counters.handler_panics.add();
        CloseReason::SessionFailed { error: format!("panicked: {words}") }
    }));
}

/// The dialogue of one connection, on its own coroutine. Elsewhere receiving and asking are errors
/// ([`NotOnConnection`](Error::NotOnConnection)).
#[derive(Debug)]
pub struct Session {
    conn: Arc<dyn IConnection>,
    /// The narrowest time limit around.
    until: Until,
    /// The next message that is received has been paid for.
    has_paid: bool,
}

impl Session {
    pub(crate) fn of(conn: Arc<dyn IConnection>) -> Self {
        Self { conn, until: Until::never(), has_paid: false }
    }

    /// The connection.
    pub const fn get_connection(&self) -> &Arc<dyn IConnection> {
        &self.conn
    }

    /// Waits for the next message that has no router and answers no call, those kept for later first.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](Error::TimedOut) within [`with_timeout`](Self::with_timeout),
    /// [`ConnectionClosed`](Error::ConnectionClosed) once the connection closes.
    pub fn recv(&mut self) -> Result<Message> {
        Purpose::Recv.during(|| self.next("recv", |_| true))
    }

    /// Waits for the next message with this id. Others that have no router are kept for later, in order, up to `MaxKeptMessages`
    /// and `MaxKeptBytes`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`KeptFull`](Error::KeptFull).
    pub fn recv_id(&mut self, msg_id: u32) -> Result<Message> {
        Purpose::RecvId(msg_id).during(|| self.next("recv_id", |message| message.get_msg_id() == msg_id))
    }

    /// Sends a message: `send_msg` of the connection. Within [`with_timeout`](Self::with_timeout) it waits for room no longer
    /// than that allows.
    ///
    /// # Errors
    ///
    /// Those of `send_msg`, and [`TimedOut`](Error::TimedOut).
    pub fn send<'a>(&mut self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        let wait = self.conn.connection().wait_within(self.until);
        let sent = self.conn.send_payload(msg_id, data.into(), wait);
        sent.map_err(|error| limited(error, "send", self.until))
    }

    /// Sends a value as JSON, as [`send`](Self::send) does. Feature `json`.
    ///
    /// # Errors
    ///
    /// Those of `send_json` of the connection, and [`TimedOut`](Error::TimedOut).
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn send_json<T: serde::Serialize + ?Sized>(&mut self, msg_id: u32, value: &T) -> Result<()> {
        self.send(msg_id, serde_json::to_vec(value)?)
    }

    /// Sends a message of protobuf, as [`send`](Self::send) does. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// Those of `send_proto` of the connection, and [`TimedOut`](Error::TimedOut).
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn send_proto<T: prost::Message>(&mut self, msg_id: u32, message: &T) -> Result<()> {
        self.send(msg_id, message.encode_to_vec())
    }

    /// Sends a message and waits for the one with the id `reply_id`: `call` of the connection, limited by
    /// [`with_timeout`](Self::with_timeout) only. Messages that come meanwhile are kept for later.
    ///
    /// # Errors
    ///
    /// Those of `call`.
    pub fn ask<'a>(&mut self, msg_id: u32, data: impl Into<Payload<'a>>, reply_id: u32) -> Result<Message> {
        self.on_own_coroutine("ask")?;
        self.conn.call_with(msg_id, data, reply_id, Call::within(self.until))
    }

    /// Runs a stretch of the dialogue within a time limit: what still waits then gets
    /// [`TimedOut`](Error::TimedOut). Within another limit, the earlier end counts.
    ///
    /// # Errors
    ///
    /// Those of `stretch`.
    pub fn with_timeout<T>(
        &mut self,
        timeout: Duration,
        stretch: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let narrowed = self.until.or(Until::after_running(timeout));
        let outer = std::mem::replace(&mut self.until, narrowed);
        let limited = Limited { session: self, outer };
        stretch(&mut *limited.session)
    }

    fn on_own_coroutine(&self, what: &'static str) -> Result<&Connection> {
        let conn = self.conn.connection();
        if conn.reader_mark().is_current() { Ok(conn) } else { Err(Error::NotOnConnection { what }) }
    }

    /// The next message that is `wanted`. What has a router goes there, the rest is kept for later.
    fn next(&mut self, what: &'static str, wanted: impl Fn(&Message) -> bool) -> Result<Message> {
        self.on_own_coroutine(what)?;
        let conn = self.conn.connection();
        let routed = |message: &Message| conn.core().handler().has_router(message.get_msg_id());
        let kept = || conn.take_kept(routed).or_else(|| conn.take_kept(&wanted));
        loop {
            let message = match kept() {
                Some(message) => message,
                None => conn.read_ahead(what, self.until, &|| false)?.ok_or(Error::ConnectionClosed)?,
            };
            if routed(&message) {
                conn.route(&self.conn, message);
                conn.pay_for(1);
            } else if wanted(&message) {
                let in_hand = InHand { conn, message: Some(message) };
                let is_paid = std::mem::replace(&mut self.has_paid, true);
                conn.pay_for(usize::from(!is_paid));
                self.has_paid = false;
                conn.core().counters.requests.add();
                conn.count_in(0, 1);
                return in_hand.take();
            } else {
                conn.keep_for_later(message)?;
            }
        }
    }
}

/// A session within a time limit, until this is dropped: also if what runs in it unwinds.
struct Limited<'a> {
    session: &'a mut Session,
    /// The limit around it.
    outer: Until,
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        self.session.until = self.outer;
    }
}

/// A message that is about to be received, or queued. Dropped, a time limit around the caller has ended that: it is kept for the next call.
struct InHand<'a> {
    conn: &'a Connection,
    message: Option<Message>,
}

impl InHand<'_> {
    fn take(mut self) -> Result<Message> {
        self.message.take().ok_or(Error::ConnectionClosed)
    }

    fn let_go(mut self) {
        self.message = None;
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.conn.put_back(message);
        }
    }
}

impl Connection {
    /// Pays for messages, as the reader does for those of a read.
    fn pay_for(&self, messages: usize) {
        if let Some(transport) = self.line().get() {
            keep_rate(self, &transport, messages, 0);
        }
    }

    fn route(&self, shared: &Arc<dyn IConnection>, message: Message) {
        if self.tasks().worker().is_some() {
            // While the worker's queue is full a time limit around the caller may end the wait. Nothing of the program has seen the
            // message then, unless there are interceptors: the next call routes it.
            let is_unseen = self.core().handler().interceptors().is_empty();
            let in_hand = InHand { conn: self, message: is_unseen.then(|| message.clone()) };
            pass_on(self, Request::new(Arc::clone(shared), message));
            in_hand.let_go();
            self.count_routed();
        } else {
            self.count_routed();
            let msg_id = message.get_msg_id();
            let request = Request::new(Arc::clone(shared), message);
            self.observe(msg_id, || pass_on(self, request));
        }
    }

    fn count_routed(&self) {
        self.core().counters.requests.add();
        self.count_in(0, 1);
    }
}
