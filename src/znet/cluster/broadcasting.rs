//! Messages for many, on every node: each sends to its own, and asks its own filter.

use std::sync::Arc;

use super::cluster::Cluster;
use super::group::{ClusterBroadcast, ClusterGroup};
use super::remote::{Audience, Chosen};
use crate::error::Result;
use crate::green::contain;
use crate::ziface::{Data, IConnection, Payload};
use crate::znet::people::groups::Broadcast;
use crate::znet::server::core::Core;

impl Cluster {
    /// Sets which members of this node get a message that is [broadcast](ClusterGroup::broadcast_where) with this id. `filter` is
    /// given the member, and what the broadcast says for the filter.
    ///
    /// It runs where this node reads what others send, so it must not wait. If it panics, its member misses the message.
    ///
    /// # Errors
    ///
    /// [`RepeatedFilter`](crate::Error::RepeatedFilter) if the id has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// const OLDER_THAN: u32 = 1;
    /// const NEWS: u32 = 30;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = new_server_with_config(Config::default())?;
    /// let cluster = server.cluster();
    /// // On each node, at the start.
    /// cluster.add_filter(OLDER_THAN, |conn, id| conn.get_conn_id() < u64::from(id[0]))?;
    /// let sent = cluster.group("lobby").broadcast_where(OLDER_THAN, [7], NEWS, "hello")?;
    /// assert_eq!(sent.here.queued, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_filter(
        &self,
        filter_id: u32,
        filter: impl Fn(&Arc<dyn IConnection>, &Data) -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        self.core.talk().cluster_filters.add(filter_id, Arc::new(filter))
    }

    /// Sends a message to all connections that are logged in, on every node, at most once. Never waits, neither for a user nor for
    /// another node.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message.
    #[doc(alias = "NotifyAll")]
    pub fn notify_all<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<ClusterBroadcast> {
        self.core.send_everywhere(Audience::Users, None, msg_id, &data.into(), |_| true)
    }
}

impl ClusterGroup {
    /// As [`broadcast`](Self::broadcast), to those members that the [filter](Cluster::add_filter) with this id accepts: on each node
    /// its own, which is given `about`. A node without it sends to nobody, and says so in its log.
    ///
    /// # Errors
    ///
    /// [`FilterNotFound`](crate::Error::FilterNotFound) if this node has none: then it is sent nowhere. As [`broadcast`](Self::broadcast).
    pub fn broadcast_where<'a, 'b>(
        &self,
        filter_id: u32,
        about: impl Into<Payload<'b>>,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
    ) -> Result<ClusterBroadcast> {
        let (about, data) = (about.into(), data.into());
        let (audience, chosen) = (Audience::Group(&self.name), Some((filter_id, about.as_slice())));
        self.core.send_everywhere(audience, chosen, msg_id, &data, |_| true)
    }
}

impl Core {
    /// Sends to those of this node that `takes` accepts.
    pub(super) fn send_to_audience(
        self: &Arc<Self>,
        audience: Audience<'_>,
        chosen: Chosen<'_>,
        msg_id: u32,
        data: Payload<'_>,
        takes: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Result<Broadcast> {
        let conns = match audience {
            Audience::Group(name) => self.group_members(name),
            Audience::Users => self.talk().users.all(),
        };
        let Some((filter_id, about)) = chosen else {
            return self.send_to_all(conns, msg_id, data, takes);
        };
        let filter = self.talk().cluster_filters.find(filter_id)?;
        let about = Data::new(about);
        self.send_to_all(conns, msg_id, data, |conn| {
            takes(conn)
                && contain(|| filter(conn, about)).unwrap_or_else(|words| {
                    log::error!("the filter {filter_id} panicked: {words}");
                    false
                })
        })
    }

    /// Sends to those of this node that `takes` accepts, and tells the other nodes, which send to theirs.
    pub(super) fn send_everywhere(
        self: &Arc<Self>,
        audience: Audience<'_>,
        chosen: Chosen<'_>,
        msg_id: u32,
        data: &Payload<'_>,
        takes: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Result<ClusterBroadcast> {
        let sending = self.talk().sends.begin();
        let takes = |conn: &Arc<dyn IConnection>| takes(conn) && !conn.connection().is_left_out_of(&sending);
        let here = self.send_to_audience(audience, chosen, msg_id, data.reborrow(), takes)?;
        let remote = self.talk().remote();
        let others_told =
            remote.is_none_or(|remote| remote.broadcast(audience, chosen, msg_id, data.as_slice(), &sending));
        Ok(ClusterBroadcast { here, others_told })
    }
}
