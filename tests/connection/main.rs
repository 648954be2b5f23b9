//! A connection from its first byte to its end: frames, hooks, limits, full queues, heartbeats, closing.

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
mod data_path;
mod framing;
mod full_queues;
mod full_sockets;
mod heartbeat;
mod hooks;
mod properties;
mod rates;
mod resting;
mod stacks;
mod standstill;
mod timeouts;
