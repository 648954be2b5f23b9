//! A connection from its first byte to its end: frames, limits, full queues, closing, and who is connected.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod close_callbacks;
mod closes;
mod conn_manager;
mod data_path;
mod fan_out;
mod framing;
mod full_queues;
mod full_sockets;
mod groups;
mod heartbeat;
mod hooks;
mod peer_faults;
mod promises;
mod properties;
mod rates;
mod standstill;
mod timeouts;
mod users;
