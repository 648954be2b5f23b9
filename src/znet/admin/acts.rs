//! What is done to a server from outside. Each leaves a line in the log.

use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;
use serde::Serialize;

use super::page::{Page, answered, number};
use super::people::no_user;
use crate::http::{Request, Response};
use crate::ziface::{CloseReason, IConnection};
use crate::zlog;
use crate::znet::server::core::Core;

#[derive(Serialize)]
struct Kicked {
    kicked: Vec<u64>,
}

/// Closes a connection in order: what it has queued is still sent.
pub(super) fn kick(core: &Core, id: &str) -> Response {
    let found = id.parse().ok().and_then(|id| core.manager().find_any(id));
    match found {
        Some(conn) => kick_all(&[conn], &format!("connection {id}")),
        None => Response::error(404, format!("there is no connection {id}")),
    }
}

/// Closes all connections of a user.
pub(super) fn kick_user(core: &Core, uid: &str) -> Response {
    let conns = core.talk().users.connections(uid);
    if conns.is_empty() { no_user(uid) } else { kick_all(&conns, &format!("user {uid:?}")) }
}

fn kick_all(conns: &[Arc<dyn IConnection>], whom: &str) -> Response {
    log::warn!("admin plane: kick {whom}");
    conns.iter().for_each(|conn| conn.connection().stop_because(CloseReason::Kicked));
    Response::json(&Kicked { kicked: conns.iter().map(|conn| conn.get_conn_id()).collect() })
}

#[derive(Serialize)]
struct Draining {
    connections: usize,
    seconds: u64,
}

/// Stops the server in order. Its connections close at once, or spread over so many seconds.
pub(super) fn drain(core: &Arc<Core>, request: &Request) -> Response {
    answered(Page::of(request, &["seconds"]).and_then(|_| {
        let seconds = number::<u64>(request, "seconds")?.unwrap_or(0);
        if seconds > LONGEST_DRAIN {
            let expected = format!("seconds: found {seconds}, expected at most {LONGEST_DRAIN}");
            return Err(Response::error(400, expected));
        }
        log::warn!("admin plane: drain over {seconds} s");
        let connections = core.manager().places();
        core.drain(Duration::from_secs(seconds));
        Ok(Response::json(&Draining { connections, seconds }))
    }))
}

/// Reads the configuration again.
pub(super) fn reload(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &[]).map(|_| {
        log::warn!("admin plane: reload");
        match core.reload() {
            Ok(reload) => Response::json(&reload),
            Err(error) => Response::error(422, format!("nothing has changed: {error}")),
        }
    }))
}

#[derive(Serialize)]
struct Level {
    level: String,
}

/// The lowest level at which anything is logged.
pub(super) fn log_level() -> Response {
    Response::json(&Level { level: log::max_level().to_string().to_lowercase() })
}

/// Logs everything from this level on.
pub(super) fn set_log_level(request: &Request) -> Response {
    answered(Page::of(request, &["level"]).and_then(|_| {
        let word = request.parameter("level").unwrap_or_default();
        let level: LevelFilter = word.parse().map_err(|_| {
            let expected = "expected off, error, warn, info, debug or trace";
            Response::error(400, format!("level: found {word:?}, {expected}"))
        })?;
        log::warn!("admin plane: log level {level}");
        zlog::set_level(level);
        Ok(log_level())
    }))
}

/// In seconds: a day.
const LONGEST_DRAIN: u64 = 24 * 3600;
