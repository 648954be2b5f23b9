//! Connections over KCP: what they promise on a network that loses, doubles and reorders, and what strangers may cost.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod bad_networks;
mod endings;
mod go;
mod lossy;
mod ours;
mod peer;
mod strangers;
