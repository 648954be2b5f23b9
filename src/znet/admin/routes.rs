//! The routes: how often each has run, and how long its handlers took.

use serde::Serialize;

use super::page::{Page, answered};
use crate::http::{Request, Response};
use crate::znet::route::route_stats::{Counted, Slow};
use crate::znet::server::core::Core;

#[derive(Serialize)]
struct RouteRow {
    /// `None` for all messages without a route.
    route: Option<u32>,
    messages: u64,
    errors: u64,
    panics: u64,
    mean_seconds: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    slowest_seconds: f64,
}

#[derive(Serialize)]
struct SlowRow {
    connection: u64,
    route: u32,
    seconds: f64,
    ago_ms: u64,
}

/// The answer to `/routez`: those that took most time in all first.
pub(super) fn list(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &[]).map(|page| {
        let mut all = counted(core);
        all.sort_by(|(_, one), (_, other)| other.seconds.total_cmp(&one.seconds));
        Response::json(&page.part(&all, |(route, counted)| row(*route, counted)))
    }))
}

/// The answer to `/slowz`: the handlers of late that took long, the longest first.
pub(super) fn slow(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &[]).map(|page| {
        let now = core.clock().tick();
        let routes = core.route_stats();
        let mut slow = routes.map_or_else(Vec::new, |routes| routes.slow());
        slow.sort_by_key(|slow| std::cmp::Reverse(slow.took));
        let row = |slow: &Slow| SlowRow {
            connection: slow.conn_id,
            route: slow.msg_id,
            seconds: slow.took.as_secs_f64(),
            ago_ms: now.saturating_sub(slow.ended),
        };
        Response::json(&page.part(&slow, row))
    }))
}

/// What each route has counted; `None` for messages without one, if there were any.
pub(super) fn counted(core: &Core) -> Vec<(Option<u32>, Counted)> {
    let Some(routes) = core.route_stats() else { return Vec::new() };
    let mut all: Vec<_> = routes.all().iter().map(|(id, stat)| (Some(*id), stat.counted())).collect();
    let unknown = routes.unknown().counted();
    if unknown.messages > 0 {
        all.push((None, unknown));
    }
    all
}

fn row(route: Option<u32>, counted: &Counted) -> RouteRow {
    let mean = if counted.messages == 0 { 0.0 } else { counted.seconds / counted.messages as f64 };
    RouteRow {
        route,
        messages: counted.messages,
        errors: counted.errors,
        panics: counted.panics,
        mean_seconds: mean,
        p50_seconds: counted.quantile(0.5),
        p99_seconds: counted.quantile(0.99),
        slowest_seconds: counted.slowest_seconds,
    }
}
