//! Before the start: the place of a server among the nodes of its cluster; nothing without the cargo feature `redis`.

use std::sync::Arc;

use super::core::Core;
use crate::error::Result;
#[cfg(feature = "redis")]
use crate::green::Runtime;
#[cfg(feature = "redis")]
use crate::znet::cluster::joined::Joined;

/// Joins the cluster, if there is to be one. What is returned leaves it when it is dropped. May wait, so the caller holds no
/// lock.
///
/// # Errors
///
/// [`ClusterUnavailable`](crate::Error::ClusterUnavailable) if Redis cannot be reached, or a node of this name runs.
#[cfg(feature = "redis")]
pub(super) fn join_cluster(core: &Arc<Core>) -> Result<Option<Box<dyn Send>>> {
    let config = core.config();
    if config.cluster.is_empty() {
        return Ok(None);
    }
    let (workers, stack_bytes, max_stacks) = (config.workers, config.stack_bytes, config.max_stacks);
    Runtime { workers, stack_bytes, max_stacks }.start()?;
    let (joined, membership) = Joined::begin(core, &config)?;
    core.talk().set_remote(joined);
    Ok(Some(Box::new(membership)))
}

/// A configuration that asks for one has been refused by then.
#[cfg(not(feature = "redis"))]
pub(super) const fn join_cluster(_: &Arc<Core>) -> Result<Option<Box<dyn Send>>> {
    Ok(None)
}
