//! The connections that have closed last.

use std::sync::Arc;

use serde::Serialize;

use super::page::{Page, Part};
use super::search::Search;
use crate::http::Request;
use crate::znet::server::core::Core;
use crate::znet::server::history::{ClosedConn, shortened};

/// A connection that has closed, as it is shown.
#[derive(Serialize)]
pub(super) struct ClosedRow {
    id: u64,
    state: &'static str,
    transport: String,
    remote: String,
    user: Option<Arc<str>>,
    age_ms: u64,
    /// Since it closed.
    ago_ms: u64,
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
    unsent_messages: usize,
    unsent_bytes: usize,
    reason: String,
}

/// Those that match, the latest first.
pub(super) fn closed(core: &Core, request: &Request, page: Page) -> Part<ClosedRow> {
    let now = core.clock().tick();
    let mut all = core.history().map_or_else(Vec::new, |history| history.closed());
    if let Some(user) = request.parameter("user") {
        let kept = shortened(user);
        let kept = kept.as_deref().unwrap_or(user);
        all.retain(|conn| conn.user.as_deref() == Some(kept));
    }
    if let Some(beginning) = request.parameter("address") {
        all.retain(|conn| conn.remote.starts_with(beginning));
    }
    let search = Search::of(request);
    if !search.is_any() {
        all.retain(|conn| is_found(conn, &search));
    }
    page.part(&all, |conn| row(conn, now))
}

fn is_found(conn: &ClosedConn, search: &Search) -> bool {
    search.is_id(conn.id)
        || search.is_in(&conn.remote)
        || conn.user.as_ref().is_some_and(|user| search.is_in(user))
        || search.is_in(&conn.transport)
        || search.is_in(&conn.reason)
}

/// The closed connection with this id, while it is remembered.
pub(super) fn find(core: &Core, id: u64) -> Option<ClosedRow> {
    let closed = core.history()?.closed();
    closed.iter().find(|conn| conn.id == id).map(|conn| row(conn, core.clock().tick()))
}

fn row(conn: &Arc<ClosedConn>, now: u64) -> ClosedRow {
    ClosedRow {
        id: conn.id,
        state: "closed",
        transport: conn.transport.clone(),
        remote: conn.remote.clone(),
        user: conn.user.clone(),
        age_ms: conn.closed.saturating_sub(conn.opened),
        ago_ms: now.saturating_sub(conn.closed),
        messages: conn.messages,
        bytes_in: conn.bytes_in,
        bytes_out: conn.bytes_out,
        unsent_messages: conn.unsent.messages,
        unsent_bytes: conn.unsent.bytes,
        reason: conn.reason.clone(),
    }
}
