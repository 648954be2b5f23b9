//! What a server knows beyond its routers: how answers are told apart, the dialogue of its connections, their
//! groups and users.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::Result;
use crate::green::drop_contained;
use crate::lock::Lock;
use crate::ziface::IConnection;
use crate::znet::cluster::filters::ClusterFilters;
use crate::znet::cluster::remote::Remote;
use crate::znet::cluster::sends::Sends;
use crate::znet::cluster::tasks::ClusterTasks;
use crate::znet::conn::addresses::Addresses;
use crate::znet::people::registry::Groups;
use crate::znet::people::registry::Users;
use crate::znet::read::rate::Rates;
use crate::znet::route::bad_payload::BadPayload;
use crate::znet::transport::Transport;
use crate::zpack::Message;

/// What a server knows beyond its routers.
#[derive(Default)]
pub(crate) struct Talk {
    /// Tells the sequence number of an answer.
    pub(crate) sequence: OnceLock<Box<SequenceOf>>,
    /// The dialogue of every connection.
    pub(crate) dialogue: OnceLock<Box<Dialogue>>,
    /// The groups, by name.
    pub(crate) groups: Groups,
    /// The users that are logged in.
    pub(crate) users: Users,
    /// What the program does for other nodes of the cluster.
    pub(crate) cluster_tasks: ClusterTasks,
    /// Which members of its groups get what other nodes send to some.
    pub(crate) cluster_filters: ClusterFilters,
    /// What connections take along to another node.
    pub(crate) carry: OnceLock<Carry>,
    /// What is being sent to users and groups of the cluster.
    pub(crate) sends: Sends,
    /// The other nodes of the cluster, from the start on, if there is one.
    remote: Lock<Option<Arc<dyn Remote>>>,
    pub(crate) bad_payload: OnceLock<BadPayload>,
    pub(crate) rates: Rates,
    /// On a client that resumes: what connects again.
    pub(crate) redial: OnceLock<Arc<dyn Redial>>,
}

impl Talk {
    /// The other nodes of the cluster, if there is one.
    pub(crate) fn remote(&self) -> Option<Arc<dyn Remote>> {
        self.remote.lock().clone()
    }

    /// What names this node in a token; 0 without a cluster.
    pub(crate) fn mark(&self) -> u64 {
        self.remote().map_or(0, |remote| remote.mark())
    }

    #[cfg(feature = "redis")]
    pub(super) fn set_remote(&self, remote: Arc<dyn Remote>) {
        *self.remote.lock() = Some(remote);
    }
}

/// What the program has set is dropped with the last handle of its server.
impl Drop for Talk {
    fn drop(&mut self) {
        drop_contained(self.sequence.take());
        drop_contained(self.dialogue.take());
        if let Some(Carry { pack, unpack }) = self.carry.take() {
            drop_contained(pack);
            drop_contained(unpack);
        }
    }
}

pub(crate) type SequenceOf = dyn Fn(&Message) -> Option<u64> + Send + Sync;

/// Runs the dialogue of a connection.
pub(crate) type Dialogue = dyn Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync;

/// What a program does with the properties of a connection that moves to another node.
pub(crate) struct Carry {
    pub(crate) pack: Box<Pack>,
    pub(crate) unpack: Box<Unpack>,
}

/// Makes bytes of them.
pub(crate) type Pack = dyn Fn(&Arc<dyn IConnection>) -> Result<Vec<u8>> + Send + Sync;

/// Makes them of the bytes, on another node.
pub(crate) type Unpack = dyn Fn(&Arc<dyn IConnection>, &[u8]) -> Result<()> + Send + Sync;

/// Connects again for a client's connection that has lost its peer. A trait, so that what a connection knows needs nothing
/// that makes connections.
pub(crate) trait Redial: Send + Sync {
    /// A new transport to the same server, with its addresses. `None` if there is none; the error is kept.
    fn dial_again(&self) -> Option<(Transport, Addresses)>;

    /// The pause after so many failures of that. `None` if it gives up.
    fn resume_pause(&self, failures: u32) -> Option<Duration>;
}
