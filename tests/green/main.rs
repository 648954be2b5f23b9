//! Green threads: spawning, waiting, killing, what they share, and the network of `green`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod bluelet;
mod bluelet_files;
mod channel;
mod generator;
mod home;
mod imap;
mod joining;
mod kill;
mod killed_waits;
mod net;
mod places;
mod pool;
mod queue;
mod reuse;
mod rlock;
mod select;
mod semaphore;
mod server;
mod sharing;
mod shield;
mod timeout;
mod unix_server;
mod unwind;
mod unwind_calls;
