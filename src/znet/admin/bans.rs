//! The addresses that are banned, and the end of a ban.

use std::time::Instant;

use serde::Serialize;

use super::page::{Page, answered};
use crate::http::{Request, Response};
use crate::znet::server::core::Core;

#[derive(Serialize)]
struct Lifted<'a> {
    lifted: &'a str,
}

/// The answer to `/banz`: the last ban first.
pub(super) fn list(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &[]).map(|page| {
        let all = core.bans.all(Instant::now());
        Response::json(&page.part(&all, Clone::clone))
    }))
}

/// The last bans, for those who look at the server as a whole.
pub(super) fn last(core: &Core) -> impl Serialize {
    let mut all = core.bans.all(Instant::now());
    all.truncate(SHOWN);
    all
}

/// Ends the ban of an address.
pub(super) fn lift(core: &Core, address: &str) -> Response {
    // As it is shown: a network has its length behind it.
    let ip = address.trim_end_matches("/64").parse().ok();
    if !ip.is_some_and(|ip| core.bans.lift(ip, Instant::now())) {
        return Response::error(404, format!("{address} is not banned"));
    }
    log::warn!("admin plane: the ban of {address} is lifted");
    Response::json(&Lifted { lifted: address })
}

/// What stands behind a network of IPv6: the length of what is the same in all its addresses.
pub(super) const NETWORK: &str = "64";

/// How many `/varz` shows.
const SHOWN: usize = 100;
