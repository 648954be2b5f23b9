//! Handlers to put in front of others.

use std::time::Instant;

use crate::error::Result;
use crate::green::contain;
use crate::log_line::throttled;
use crate::rounded::Rounded;
use crate::ziface::IRequest;
use crate::znet::conn::connection::Connection;

/// Contains a panic of the handlers behind it: it is logged and counted, the rest is skipped, the connection goes on.
///
/// # Errors
///
/// Those of the handlers behind it.
#[doc(alias = "RouterRecovery")]
pub fn router_recovery(request: &dyn IRequest) -> Result<()> {
    contain(|| request.router_slices_next()).unwrap_or_else(|words| {
        request.abort();
        let core = Connection::of(request).core();
        core.counters.handler_panics.add();
        let (id, msg_id) = (request.get_connection().get_conn_id(), request.get_msg_id());
        if let Some(routes) = core.route_stats() {
            routes.of(msg_id).count_panic();
        }
        let log = &core.panic_log;
        throttled!(error, log, "connection {id}: the handler of message id {msg_id} panicked: {words}");
        Ok(())
    })
}

/// Logs, at level info, how long the handlers behind it took, their waits included.
///
/// # Errors
///
/// Those of the handlers behind it.
#[doc(alias = "RouterTime")]
pub fn router_time(request: &dyn IRequest) -> Result<()> {
    let start = Instant::now();
    let outcome = request.router_slices_next();
    let (id, msg_id) = (request.get_connection().get_conn_id(), request.get_msg_id());
    log::info!("connection {id}: message id {msg_id} took {}", Rounded(start.elapsed()));
    outcome
}
