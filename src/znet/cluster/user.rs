//! A user of the cluster: to send to, to ask, to close the user's connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::delivery::Delivery;
use super::remote::Question;
use crate::error::{Error, Result};
use crate::green::fairness_point;
use crate::ziface::{CloseReason, IConnection, Payload, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;
use crate::zpack::Message;

/// A user, logged in on any node of the cluster or on none. The handle stays good when that changes.
#[derive(Clone)]
pub struct ClusterUser {
    pub(super) core: Arc<Core>,
    pub(super) uid: Arc<str>,
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
    /// [`ClusterUnavailable`](Error::ClusterUnavailable), within a second, if there is no login here and Redis cannot be reached.
    pub fn is_online(&self) -> Result<bool> {
        let here = self.core.talk().users.is_online(&self.uid);
        match self.core.talk().remote() {
            Some(remote) if !here => Ok(remote.online(&[self.uid.to_string()])?.contains(&true)),
            _ => Ok(here),
        }
    }

    /// Sends a message on each of the user's connections, and says what has become of it. It never waits for room in a queue: if
    /// one is full, the connection's `QueueFull` policy acts, `wait` as `fail`. If there is none on this node, it waits until
    /// another has answered, a second at most.
    ///
    /// `Delivered` means: in the queue. If the connection ends before it has left, it is lost, unless the connection is resumed.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message. [`ClusterUnavailable`](Error::ClusterUnavailable) if Redis cannot be reached:
    /// then it is sent nowhere.
    pub fn push<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<Delivery> {
        let data = data.into();
        let talk = self.core.talk();
        let Some(remote) = talk.remote() else {
            return self.core.push_to_user(&self.uid, msg_id, data, |_| true);
        };
        let sending = talk.sends.begin();
        let takes = |conn: &Connection| !conn.is_left_out_of(&sending);
        match self.core.push_to_user(&self.uid, msg_id, data.reborrow(), takes)? {
            here @ (Delivery::Delivered | Delivery::Unknown) => {
                remote.push_also(&self.uid, msg_id, data.as_slice(), &sending);
                Ok(here)
            }
            here => remote.push(&self.uid, msg_id, data.as_slice(), sending).map(|there| here.or(there)),
        }
    }

    /// Sends a message and waits for the answer: [`call`](IConnection#method.call) of the connection that has logged in last; of those
    /// of this node, if there are any.
    ///
    /// # Errors
    ///
    /// [`UserOffline`](Error::UserOffline) if the user is logged in nowhere, those of [`call`](IConnection#method.call), and
    /// [`ClusterUnavailable`](Error::ClusterUnavailable) if Redis cannot be reached and there is no login here.
    pub fn call<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        reply_id: u32,
        timeout: Duration,
    ) -> Result<Message> {
        let data = data.into();
        let offline = || Error::UserOffline { uid: self.uid.to_string() };
        if let Some(conn) = self.connections().pop() {
            return conn.call(msg_id, data, reply_id, timeout);
        }
        let remote = self.core.talk().remote().ok_or_else(offline)?;
        let question = Question { msg_id, data: data.as_slice(), reply_id, timeout };
        remote.call(&self.uid, question)?.ok_or_else(offline)
    }

    /// Closes the user's connections in order, with [`CloseReason::Kicked`]: what is queued is still sent. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`ClusterUnavailable`](Error::ClusterUnavailable) if Redis cannot be reached: those of this node are closed all the same.
    pub fn kick(&self) -> Result<bool> {
        let conns = self.connections();
        conns.iter().for_each(|conn| conn.connection().stop_because(CloseReason::Kicked));
        let remote = self.core.talk().remote();
        let there = remote.map(|remote| remote.kick(&self.uid)).transpose()?;
        Ok(!conns.is_empty() || there == Some(true))
    }

    /// The user's connections on this node, oldest login first.
    fn connections(&self) -> Vec<Arc<dyn IConnection>> {
        self.core.talk().users.connections(&self.uid)
    }
}

impl Core {
    /// Sends to those of the user's connections on this node that `takes` accepts.
    pub(super) fn push_to_user(
        &self,
        uid: &str,
        msg_id: u32,
        data: Payload<'_>,
        takes: impl Fn(&Connection) -> bool,
    ) -> Result<Delivery> {
        let mut delivery = Delivery::Offline;
        let conns = self.talk().users.connections(uid);
        for conn in conns.into_iter().filter(|conn| takes(conn.connection())) {
            delivery = delivery.or(match conn.send_payload(msg_id, data.reborrow(), SendWait::Never) {
                // It is queued, and would be lost with this node.
                Ok(()) if conn.connection().is_in_doubt() => Delivery::Unknown,
                Ok(()) => Delivery::Delivered,
                Err(Error::QueueFull { .. }) => Delivery::Full,
                Err(Error::ConnectionClosed) => Delivery::Offline,
                Err(error) => return Err(error),
            });
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
