//! What a server needs of the other nodes. A trait, so that what a connection knows needs nothing that acts on connections.

use std::time::Duration;

use super::delivery::Delivery;
use super::member::ClusterMember;
use super::sends::Sending;
use super::stats::ClusterStats;
use crate::error::Result;
use crate::ziface::ResumeRefusal;
use crate::znet::people::registry::OnDuplicate;
use crate::znet::resume::parcel::{Ask, Decision, Fetched, Leaving, Save, Saving, Wanted};
use crate::zpack::Message;

/// The other nodes of a cluster. Each call waits for a second at most, unless it says otherwise, and fails with
/// [`ClusterUnavailable`](crate::Error::ClusterUnavailable) if they cannot be reached.
pub(crate) trait Remote: Send + Sync {
    /// The number of a login that is to be claimed: never used before on this node.
    fn next_login(&self) -> u64;

    /// Makes a login of this node one, or the one, that the user has. Returns its generation.
    fn claim(&self, uid: &str, login: u64, conn_id: u64, on_duplicate: OnDuplicate) -> Result<u64>;

    /// Ends a login, unless it has been replaced. Never waits: if the nodes cannot be reached, it is done when they can.
    fn release(&self, uid: &str, login: u64);

    /// Which of these users have a login on any node.
    fn online(&self, uids: &[String]) -> Result<Vec<bool>>;

    /// Sends to the user's connections on other nodes.
    fn push(&self, uid: &str, msg_id: u32, data: &[u8], sending: Sending<'_>) -> Result<Delivery>;

    /// The same, without waiting for what becomes of it.
    fn push_also(&self, uid: &str, msg_id: u32, data: &[u8], sending: &Sending<'_>);

    /// Asks the user on another node. `None` if there is no login on another node.
    fn call(&self, uid: &str, question: Question<'_>) -> Result<Option<Message>>;

    /// Closes the user's connections on other nodes. Whether there are any.
    fn kick(&self, uid: &str) -> Result<bool>;

    /// Sends to others on other nodes, without waiting. `false` if it is not sent.
    fn broadcast(
        &self,
        audience: Audience<'_>,
        chosen: Chosen<'_>,
        msg_id: u32,
        data: &[u8],
        sending: &Sending<'_>,
    ) -> bool;

    /// The members of a group on other nodes, node by node.
    fn members(&self, group: &str) -> Result<Vec<ClusterMember>>;

    /// Has another node run a task.
    fn run_on(&self, node: &str, task_id: u32, data: &[u8], timeout: Duration) -> Result<Vec<u8>>;

    /// What tells this life of this node from others, within a token. Never 0.
    fn mark(&self) -> u64;

    /// Asks the node that has a connection to let it move here. Waits for a second, and a second more once the nodes have
    /// changed over.
    fn fetch(&self, ask: &Ask) -> std::result::Result<Fetched, ResumeRefusal>;

    /// Says that a connection does not move. Never waits.
    fn refuse(&self, wanted: &Wanted, why: ResumeRefusal);

    /// Has the nodes change over: what is for a connection, its user or its groups goes to the other node from then on.
    fn change_over(&self, wanted: &Wanted, leaving: &Leaving) -> Decision;

    /// Sends a connection that has moved after it.
    fn deliver(&self, wanted: &Wanted, parcel: Vec<u8>);

    /// Writes something of a connection into Redis, behind what was written before, and before anything that Redis is told later. Never
    /// waits; what is returned does. `None` if it is not on its way.
    fn save(&self, conn_id: u64, save: &Save) -> Option<Saving>;

    /// Has Redis forget a connection. Never waits; if it does not hear that, it is said again.
    fn forget(&self, conn_id: u64);

    /// Whether Redis can be reached, as far as is known.
    fn can_save(&self) -> bool;

    /// The names of the nodes that are alive, in order.
    fn nodes(&self) -> Result<Vec<String>>;

    /// The same, each with how many entries its stream has that it has not read: those of another node as of its last renewal.
    #[cfg(feature = "admin")]
    fn lags(&self) -> Result<Vec<(String, u64)>>;

    /// What is counted.
    fn stats(&self) -> ClusterStats;
}

/// Whom a broadcast is for.
#[derive(Clone, Copy)]
pub(crate) enum Audience<'a> {
    /// The members of a group.
    Group(&'a str),
    /// All connections that are logged in.
    Users,
}

/// The filter that chooses among them, and what it is told.
pub(crate) type Chosen<'a> = Option<(u32, &'a [u8])>;

/// A question to a user.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node to ask"))]
pub(crate) struct Question<'a> {
    pub(crate) msg_id: u32,
    pub(crate) data: &'a [u8],
    pub(crate) reply_id: u32,
    pub(crate) timeout: Duration,
}
