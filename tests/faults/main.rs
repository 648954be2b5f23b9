//! What an attacker tries, each kind with the promise it must not break. The scripts that found them are not in the tree; these
//! tests assert the same with counts.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each test file uses its share")]
mod common;

mod bounds;
mod busy_handlers;
mod cuts;
mod limits;
mod places;
mod pool;
mod rates;
mod resuming;
mod stuck_server;
mod the_end;
