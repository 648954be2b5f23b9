//! Conversations: asking the peer, sessions as loops, resuming, and our own client.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod calls;
mod calls_and_workers;
mod client;
mod resume;
mod resume_client;
mod resume_cuts;
mod resume_kept;
mod resume_rest;
mod sessions_as_loops;
mod unanswered;
mod vectors;
