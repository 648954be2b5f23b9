//! The cluster of a server, as a program uses it.

use std::fmt;
use std::sync::Arc;

use super::group::ClusterGroup;
use super::stats::ClusterStats;
use super::user::ClusterUser;
use crate::error::Result;
use crate::ziface::IConnection;
use crate::znet::server::core::Core;
use crate::znet::server::server::Server;

impl Server {
    /// The cluster that the server is a node of. Without the key `Cluster` this server is its only node, so that the same
    /// program runs on one machine.
    pub fn cluster(&self) -> Cluster {
        Cluster { core: Arc::clone(self.core()) }
    }
}

impl dyn IConnection {
    /// The cluster that the connection's server is a node of.
    pub fn cluster(&self) -> Cluster {
        Cluster { core: Arc::clone(self.connection().core()) }
    }
}

/// Servers that work as one. Each is a node, with a name: the key `NodeName`.
///
/// | to | use |
/// |---|---|
/// | send to a user, ask one, close a user's connections | [`user`](Self::user) |
/// | send to a group | [`group`](Self::group) |
/// | ask which users are online | [`online`](Self::online) |
/// | have a node do something, and get its answer | [`add_task`](Self::add_task), [`run_on`](Self::run_on) |
/// | know the nodes | [`nodes`](Self::nodes), [`node_name`](Self::node_name) |
///
/// # Examples
///
/// ```
/// use zinx::prelude::*;
/// use zinx::znet::Delivery;
///
/// /// A private message: the name of a user, a line feed, the text.
/// fn whisper(request: &dyn IRequest) -> zinx::Result<()> {
///     let conn = request.get_connection();
///     let (uid, text) = request.text()?.split_once('\n').ok_or("no name")?;
///     match conn.cluster().user(uid).push(20, text)? {
///         Delivery::Delivered => Ok(()),
///         Delivery::Offline => conn.send_msg(21, "not here"),
///         _ => conn.send_msg(21, "it may not arrive"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Cluster {
    pub(super) core: Arc<Core>,
}

impl Cluster {
    /// The name of this node: `NodeName`, or the name of the server if that is empty.
    pub fn node_name(&self) -> Arc<str> {
        self.core.node_name()
    }

    /// The nodes that are alive, by name.
    ///
    /// # Errors
    ///
    /// [`ClusterUnavailable`](crate::Error::ClusterUnavailable), within a second, if Redis cannot be reached.
    pub fn nodes(&self) -> Result<Vec<ClusterNode>> {
        let this = self.node_name();
        let Some(remote) = self.core.talk().remote() else {
            return Ok(vec![ClusterNode { name: this, is_this: true }]);
        };
        let node = |name: String| ClusterNode { is_this: *name == *this, name: name.into() };
        Ok(remote.nodes()?.into_iter().map(node).collect())
    }

    /// A user, logged in on any node or on none.
    pub fn user(&self, uid: impl ToString) -> ClusterUser {
        ClusterUser { core: Arc::clone(&self.core), uid: uid.to_string().into() }
    }

    /// The group of this name, with the members that it has on each node.
    pub fn group(&self, name: &str) -> ClusterGroup {
        ClusterGroup { core: Arc::clone(&self.core), name: name.into() }
    }

    /// Whether each of these users is logged in, on any node. In their order.
    ///
    /// # Errors
    ///
    /// [`ClusterUnavailable`](crate::Error::ClusterUnavailable), within a second, if Redis cannot be reached.
    pub fn online<U: ToString>(&self, uids: impl IntoIterator<Item = U>) -> Result<Vec<bool>> {
        let uids: Vec<_> = uids.into_iter().map(|uid| uid.to_string()).collect();
        let users = &self.core.talk().users;
        match self.core.talk().remote() {
            Some(remote) => remote.online(&uids),
            None => Ok(uids.iter().map(|uid| users.is_online(uid)).collect()),
        }
    }

    /// What this node counts of the cluster. Never waits.
    pub fn stats(&self) -> ClusterStats {
        self.core.talk().remote().map_or_else(ClusterStats::default, |remote| remote.stats())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("node_name", &self.node_name()).finish()
    }
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    name: Arc<str>,
    is_this: bool,
}

impl ClusterNode {
    /// Its name, which no other node has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is this server.
    pub const fn is_this(&self) -> bool {
        self.is_this
    }
}
