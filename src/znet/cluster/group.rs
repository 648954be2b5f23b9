//! A group of the cluster: its members on each node.

use std::fmt;
use std::sync::Arc;

use super::member::ClusterMember;
use super::remote::Audience;
use crate::error::Result;
use crate::ziface::{IConnection, Payload};
use crate::znet::people::groups::{Broadcast, Group};
use crate::znet::server::core::Core;

/// A group with the members that it has on each node. Connections join and leave it as they do a
/// [`Group`](crate::znet::Group), which is its part on one node.
#[derive(Clone)]
pub struct ClusterGroup {
    pub(super) core: Arc<Core>,
    pub(super) name: Arc<str>,
}

/// What has become of a message to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterBroadcast {
    /// The members on this node.
    pub here: Broadcast,
    /// Whether the other nodes are told, if there are any. `false` if Redis cannot be reached: their members miss it.
    pub others_told: bool,
}

impl ClusterGroup {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many members it has, on all nodes.
    ///
    /// # Errors
    ///
    /// As [`members`](Self::members).
    pub fn len(&self) -> Result<usize> {
        match self.core.talk().remote() {
            Some(remote) => Ok(self.here().len() + remote.members(&self.name)?.len()),
            None => Ok(self.here().len()),
        }
    }

    /// Whether it has no member on any node.
    ///
    /// # Errors
    ///
    /// As [`members`](Self::members).
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Its members on all nodes, those of this node first, by connection id.
    ///
    /// # Errors
    ///
    /// [`ClusterUnavailable`](crate::Error::ClusterUnavailable), within a second, if Redis cannot be reached or a node does not
    /// answer.
    pub fn members(&self) -> Result<Vec<ClusterMember>> {
        let mut members = self.core.members_here(&self.name);
        if let Some(remote) = self.core.talk().remote() {
            members.extend(remote.members(&self.name)?);
        }
        Ok(members)
    }

    /// Sends a message to every member, at most once. Never waits, neither for a member
    /// ([`Group::broadcast`](crate::znet::Group::broadcast)) nor for another node. Messages that one node sends to a group
    /// reach each member in their order.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message.
    pub fn broadcast<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<ClusterBroadcast> {
        self.broadcast_to(msg_id, data.into(), |_| true)
    }

    /// As [`broadcast`](Self::broadcast), but not to the connection of this node that has this id.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_except<'a>(
        &self,
        conn_id: u64,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
    ) -> Result<ClusterBroadcast> {
        self.broadcast_to(msg_id, data.into(), |conn| conn.get_conn_id() != conn_id)
    }

    /// Its part on this node.
    pub fn here(&self) -> Group {
        Group::of(&self.core, &self.name)
    }

    fn broadcast_to(
        &self,
        msg_id: u32,
        data: Payload<'_>,
        takes: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Result<ClusterBroadcast> {
        self.core.send_everywhere(Audience::Group(&self.name), None, msg_id, &data, takes)
    }
}

impl Core {
    /// The members of a group on this node, by connection id.
    pub(super) fn members_here(self: &Arc<Self>, group: &str) -> Vec<ClusterMember> {
        let node = self.node_name();
        let of = |conn: &Arc<dyn IConnection>| ClusterMember {
            node: Arc::clone(&node),
            conn_id: conn.get_conn_id(),
            user: conn.get_user().filter(|_| conn.is_logged_in()),
        };
        Group::of(self, group).members().iter().map(of).collect()
    }
}

impl fmt::Debug for ClusterGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterGroup").field("name", &self.name).finish()
    }
}
