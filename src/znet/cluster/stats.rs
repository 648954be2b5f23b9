//! What a node counts of its cluster.

use std::time::Duration;

use serde::Serialize;

/// What a node counts of its cluster since its start, from [`Cluster::stats`](crate::znet::Cluster::stats). Without Redis all is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Whether Redis is reached.
    pub is_connected: bool,
    /// How often the connection for commands was made again.
    pub reconnects: usize,
    /// How long Redis took to renew the lease of this node, the last time.
    pub round_trip: Duration,
    /// Logins on this node that the others know of.
    pub logins_won: usize,
    /// Logins on this node that a login elsewhere, or on another connection, has replaced.
    pub logins_lost: usize,
    /// What other nodes have sent to this one.
    pub entries_read: usize,
    /// What other nodes have sent, and this one has not got: Redis has dropped it before it was read. 1 more, at least, each time that
    /// another Redis is there, or the same one after a restart: what was lost with the one before, nobody knows.
    pub entries_lost: usize,
    /// Entries for other nodes that this node has sent without waiting, and that Redis has not confirmed: broadcasts, answers, and
    /// pushes to a user who is also here.
    pub entries_unsent: usize,
    /// How often the lease of this node was over before it was renewed. Others send nothing to it meanwhile.
    pub leases_lost: usize,
}
