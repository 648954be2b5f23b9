//! The server as a whole: whether it works, whether it takes connections, and all that it knows of itself.

use serde::Serialize;

use super::bans;
use crate::green::{self, Runtime};
use crate::http::Response;
use crate::zconf::ConfigValue;
use crate::ziface::IConnManager;
use crate::znet::server::core::Core;
use crate::znet::server::stats::Stats;

/// That the process works is shown by the answer.
pub(super) fn health() -> Response {
    Response::text(200, "ok\n")
}

/// Whether a new connection would be taken.
pub(super) fn readiness(core: &Core) -> Response {
    if core.stopping().is_set() {
        return Response::text(503, "stopping\n");
    }
    let (here, most) = (core.places_taken(), core.config().max_conn);
    if here >= most {
        return Response::text(503, format!("{here} connections are open, MaxConn is {most}\n"));
    }
    Response::text(200, "ready\n")
}

#[derive(Serialize)]
struct Variables<'a, B: Serialize> {
    name: &'a str,
    version: &'a str,
    zinx: &'static str,
    build: &'static str,
    process: u32,
    stopping: bool,
    uptime_ms: u64,
    listening: Vec<Listening>,
    connections: Connections,
    limits: Limits,
    runtime: RuntimeNow,
    counters: Stats,
    /// The last hundred.
    banned: B,
    configured_by: String,
    configuration: Vec<ConfigValue>,
}

#[derive(Serialize)]
struct Listening {
    transport: String,
    address: String,
}

#[derive(Serialize)]
struct Connections {
    /// Those that a program sees.
    open: usize,
    /// Those whose peer is away.
    away: usize,
    /// Places taken, of `MaxConn`.
    places: usize,
    users: usize,
    groups: usize,
}

#[derive(Serialize)]
struct Limits {
    max_conn: usize,
    max_stacks: usize,
    max_queued_bytes: usize,
    open_files: usize,
}

#[derive(Serialize)]
struct RuntimeNow {
    workers: usize,
    stack_bytes: usize,
    stacks: usize,
    stalls: usize,
    fair_yields: usize,
}

pub(super) fn variables(core: &Core) -> Response {
    let config = core.config();
    let listening = core.life().locals.clone();
    let listening = listening.into_iter().map(|(transport, address)| Listening {
        transport: transport.to_string(),
        address: address.to_string(),
    });
    let runtime = Runtime::current();
    Response::json(&Variables {
        name: core.name(),
        version: &config.version,
        zinx: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        process: std::process::id(),
        stopping: core.stopping().is_set(),
        uptime_ms: core.clock().tick(),
        listening: listening.collect(),
        connections: Connections {
            open: core.manager().len(),
            away: core.absent.len(),
            places: core.places_taken(),
            users: core.talk().users.len(),
            groups: core.talk().groups.len(),
        },
        limits: Limits {
            max_conn: config.max_conn,
            max_stacks: green::max_coroutines(),
            max_queued_bytes: config.max_queued_bytes,
            open_files: green::raise_open_files(0),
        },
        runtime: RuntimeNow {
            workers: runtime.map_or(0, |runtime| runtime.workers),
            stack_bytes: runtime.map_or(0, |runtime| runtime.stack_bytes),
            stacks: green::live_coroutines(),
            stalls: green::stalls() as usize,
            fair_yields: green::fair_yields() as usize,
        },
        counters: core.stats(),
        banned: bans::last(core),
        configured_by: config.origin(),
        configuration: config.values(),
    })
}
