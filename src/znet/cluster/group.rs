//! A group of the cluster: its members on each node.

use std::fmt;
use std::sync::Arc;

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

/// A member of a group, on any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMember {
    node: Arc<str>,
    conn_id: u64,
    user: Option<Arc<str>>,
}

impl ClusterMember {
    /// The node that it is connected to.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its connection id, on that node.
    pub const fn conn_id(&self) -> u64 {
        self.conn_id
    }

    /// The user that it is logged in as.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
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
    /// None yet: there is one node.
    pub fn len(&self) -> Result<usize> {
        Ok(self.here().len())
    }

    /// Whether it has no member on any node.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Its members on all nodes, node by node, by connection id.
    ///
    /// # Errors
    ///
    /// None yet: there is one node.
    pub fn members(&self) -> Result<Vec<ClusterMember>> {
        let node = self.core.node_name();
        let of = |conn: &Arc<dyn IConnection>| ClusterMember {
            node: Arc::clone(&node),
            conn_id: conn.get_conn_id(),
            user: conn.get_user().filter(|_| conn.is_logged_in()),
        };
        Ok(self.here().members().iter().map(of).collect())
    }

    /// Sends a message to every member, at most once. Never waits for a member: see
    /// [`Group::broadcast`](crate::znet::Group::broadcast). Returns what it was on this node.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message.
    pub fn broadcast<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<Broadcast> {
        self.here().broadcast(msg_id, data)
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
    ) -> Result<Broadcast> {
        self.here().broadcast_except(conn_id, msg_id, data)
    }

    /// Its part on this node.
    pub fn here(&self) -> Group {
        Group::of(&self.core, &self.name)
    }
}

impl fmt::Debug for ClusterGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterGroup").field("name", &self.name).finish()
    }
}
