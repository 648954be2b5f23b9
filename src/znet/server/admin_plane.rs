//! The admin plane of a server, which begins and ends with it; nothing without the cargo feature `admin`.

use std::net::SocketAddr;
use std::sync::Arc;

use super::core::Core;
use super::life::ServerLife;
use crate::error::Result;
use crate::zconf::Config;
#[cfg(feature = "admin")]
use crate::znet::admin::plane;

/// Where it is to listen; empty if there is to be none. Resolving a name may wait, so the caller holds no lock.
#[cfg(feature = "admin")]
pub(super) fn admin_addresses(config: &Config) -> Result<Vec<SocketAddr>> {
    plane::addresses(config)
}

/// A configuration that asks for one has been refused by then.
#[cfg(not(feature = "admin"))]
pub(super) const fn admin_addresses(_: &Config) -> Result<Vec<SocketAddr>> {
    Ok(Vec::new())
}

/// Begins it, if there is to be one.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if the port cannot be had.
#[cfg(feature = "admin")]
pub(super) fn open_admin(core: &Arc<Core>, life: &mut ServerLife, addresses: &[SocketAddr]) -> Result<()> {
    if !addresses.is_empty() {
        let plane = plane::open(core, addresses)?;
        life.admin = Some((plane.local_addr(), Box::new(plane)));
    }
    Ok(())
}

#[cfg(not(feature = "admin"))]
pub(super) const fn open_admin(_: &Arc<Core>, _: &mut ServerLife, _: &[SocketAddr]) -> Result<()> {
    Ok(())
}
