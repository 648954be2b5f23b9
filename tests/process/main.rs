//! What belongs to a whole process: its signals, descriptors, memory and log files. The tests start processes of their own.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod bad_starts;
mod descriptors;
mod exhaustion;
mod limits;
mod logger;
mod queue_memory;
mod requests;
mod runtime_settings;
mod signals;
mod signals_given_back;
