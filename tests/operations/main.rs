//! Operations: the admin plane, and what it shows and does while the server runs.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod access;
mod acts;
mod bans;
mod crowd;
mod figures;
mod http;
mod page;
mod reload;
mod round_trips;
mod service;
mod shows;
mod trace;
mod under_load;
mod waits;
mod workers;
