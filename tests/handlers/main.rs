//! What handles messages: routes, interceptors, worker modes, asynchronous operations, timers.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod async_op;
mod interceptors;
mod routing;
mod surface;
mod timers;
mod worker_modes;
