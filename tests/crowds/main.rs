//! Many at once: the connection manager, groups, users, sending to many, and sizes at which servers break.
//!
//! Apart from the tests of one connection, some of which measure time.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod cluster;
mod conn_manager;
mod fan_out;
mod groups;
mod peer_faults;
mod promises;
mod users;
