//! A user of the cluster: to send to, to ask, to close the user's connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::green::fairness_point;
use crate::ziface::{CloseReason, IConnection, Payload, SendWait};
use crate::znet::server::core::Core;
use crate::zpack::Message;

/// A user, logged in on any node of the cluster or on none. The handle stays good when that changes.
#[derive(Clone)]
pub struct ClusterUser {
    pub(super) core: Arc<Core>,
    pub(super) uid: Arc<str>,
}

/// What has become of a message to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// It is in the queue of one of the user's connections, at least.
    Delivered,
    /// The queue of the user's connection is full, and its `QueueFull` is not `drop_oldest`: it is not sent.
    Full,
    /// The user is logged in nowhere: it is not sent.
    Offline,
    /// The user's node has not answered in time. The message may still arrive, at most once.
    Unknown,
}

impl ClusterUser {
    /// Who it is.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Whether the user is logged in, on any node.
    ///
    /// # Errors
    ///
    /// None yet: there is one node.
    pub fn is_online(&self) -> Result<bool> {
        Ok(self.core.talk().users.is_online(&self.uid))
    }

    /// Sends a message on each of the user's connections, and says what has become of it. It never waits for room in a queue: if
    /// one is full, the connection's `QueueFull` policy acts, `wait` as `fail`.
    ///
    /// `Delivered` means: in the queue. If the connection ends before it has left, it is lost, unless the connection is resumed.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message.
    pub fn push<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<Delivery> {
        self.push_here(msg_id, data.into())
    }

    /// Sends a message and waits for the answer: [`call`](IConnection#method.call) of the connection that has logged in last.
    ///
    /// # Errors
    ///
    /// [`UserOffline`](Error::UserOffline) if the user is logged in nowhere, and those of [`call`](IConnection#method.call).
    pub fn call<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        reply_id: u32,
        timeout: Duration,
    ) -> Result<Message> {
        let last = self.connections().pop();
        let conn = last.ok_or_else(|| Error::UserOffline { uid: self.uid.to_string() })?;
        conn.call(msg_id, data, reply_id, timeout)
    }

    /// Closes the user's connections in order, with [`CloseReason::Kicked`]: what is queued is still sent. `false` if there was none.
    ///
    /// # Errors
    ///
    /// None yet: there is one node.
    pub fn kick(&self) -> Result<bool> {
        let conns = self.connections();
        conns.iter().for_each(|conn| conn.connection().stop_because(CloseReason::Kicked));
        Ok(!conns.is_empty())
    }

    /// The user's connections on this node, oldest login first.
    fn connections(&self) -> Vec<Arc<dyn IConnection>> {
        self.core.talk().users.connections(&self.uid)
    }

    fn push_here(&self, msg_id: u32, data: Payload<'_>) -> Result<Delivery> {
        let mut delivery = Delivery::Offline;
        for conn in self.connections() {
            match conn.send_payload(msg_id, data.reborrow(), SendWait::Never) {
                Ok(()) => delivery = Delivery::Delivered,
                Err(Error::QueueFull { .. }) if delivery == Delivery::Offline => delivery = Delivery::Full,
                Err(Error::QueueFull { .. } | Error::ConnectionClosed) => {}
                Err(error) => return Err(error),
            }
            fairness_point();
        }
        Ok(delivery)
    }
}

impl fmt::Debug for ClusterUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterUser").field("uid", &self.uid).finish()
    }
}
