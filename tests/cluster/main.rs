//! Several servers as one cluster, on a real Redis. Where there is no `redis-server`, each test says by name that it was skipped.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod chaos;
mod costs;
mod crowd;
mod cuts;
mod cutter;
mod demo;
mod durable;
mod kicks;
mod killed;
mod ledger;
mod listeners;
mod member;
mod nodes;
mod outages;
mod racing;
mod redis;
mod resuming;
mod roaming;
#[cfg(feature = "tls")]
mod secured;
mod sending;
mod sentinels;
mod wire;
mod world;
