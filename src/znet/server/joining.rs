//! Before the start: the place of a server among the nodes of its cluster; nothing without the cargo feature `redis`.

use std::sync::Arc;

use super::core::Core;
#[cfg(feature = "redis")]
use crate::error::Error;
use crate::error::Result;
#[cfg(feature = "redis")]
use crate::green::Runtime;
#[cfg(feature = "redis")]
use crate::zconf::Config;
#[cfg(feature = "redis")]
use crate::znet::cluster::joined::Joined;
#[cfg(all(feature = "redis", feature = "tls"))]
use crate::znet::transport::tls_options::TlsOptions;
#[cfg(feature = "redis")]
use crate::zredis::Address;

/// Joins the cluster, if there is to be one. What is returned leaves it when it is dropped. May wait, so the caller holds no
/// lock.
///
/// # Errors
///
/// [`ClusterUnavailable`](crate::Error::ClusterUnavailable) if Redis cannot be reached, or a node of this name runs;
/// that of `ClusterCaFile` if it cannot be used.
#[cfg(feature = "redis")]
pub(super) fn join_cluster(core: &Arc<Core>) -> Result<Option<Box<dyn Send>>> {
    let config = core.config();
    if config.cluster.is_empty() {
        return Ok(None);
    }
    let (workers, stack_bytes, max_stacks) = (config.workers, config.stack_bytes, config.max_stacks);
    Runtime { workers, stack_bytes, max_stacks }.start()?;
    let (joined, membership) = Joined::begin(core, &config, &address_of(&config)?)?;
    core.talk().set_remote(joined);
    Ok(Some(Box::new(membership)))
}

/// A configuration that asks for one has been refused by then.
#[cfg(not(feature = "redis"))]
pub(super) const fn join_cluster(_: &Arc<Core>) -> Result<Option<Box<dyn Send>>> {
    Ok(None)
}

/// Where the Redis is, and who vouches for it.
#[cfg(feature = "redis")]
fn address_of(config: &Config) -> Result<Address> {
    // The check before the start has said so, with all else.
    let unreachable = |reason| Error::ClusterUnavailable { reason };
    let address = Address::parse(&config.cluster).map_err(unreachable)?;
    #[cfg(feature = "tls")]
    if address.is_encrypted() {
        let trust = match &*config.cluster_ca_file {
            "" => TlsOptions::new(),
            file => TlsOptions::new().ca_file(file),
        };
        return Ok(address.trusting(trust.config()?));
    }
    Ok(address)
}
