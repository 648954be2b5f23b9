//! Groups and users: how large they are, and who belongs to them.

use std::sync::Arc;

use serde::Serialize;

use super::page::{Page, answered};
use crate::http::{Request, Response};
use crate::znet::server::core::Core;

#[derive(Serialize)]
struct GroupRow {
    name: Arc<str>,
    members: usize,
}

#[derive(Serialize)]
struct UserRow {
    user: Arc<str>,
    /// Oldest login first.
    connections: Vec<u64>,
}

/// The answer to `/groupz`: the largest first.
pub(super) fn groups(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &["name"]).map(|page| {
        let mut all = core.talk().groups.sizes();
        let part = request.parameter("name").unwrap_or_default();
        all.retain(|(name, _)| name.contains(part));
        all.sort_by(|(name, size), (other, than)| than.cmp(size).then_with(|| name.cmp(other)));
        let row =
            |(name, members): &(Arc<str>, usize)| GroupRow { name: Arc::clone(name), members: *members };
        Response::json(&page.part(&all, row))
    }))
}

/// The answer to `/groupz/NAME`: the ids of its members.
pub(super) fn group(core: &Core, name: &str, request: &Request) -> Response {
    answered(Page::of(request, &[]).and_then(|page| {
        let members = core.talk().groups.members(name);
        let members = members.ok_or_else(|| Response::error(404, format!("there is no group {name:?}")))?;
        Ok(Response::json(&page.part(&members, |id| *id)))
    }))
}

/// The answer to `/userz`, by name.
pub(super) fn users(core: &Core, request: &Request) -> Response {
    answered(Page::of(request, &["name"]).map(|page| {
        let mut all = core.talk().users.names();
        let part = request.parameter("name").unwrap_or_default();
        all.retain(|user| user.contains(part));
        all.sort();
        let row = |user: &Arc<str>| UserRow { user: Arc::clone(user), connections: connections(core, user) };
        Response::json(&page.part(&all, row))
    }))
}

/// The answer to `/userz/ID`.
pub(super) fn user(core: &Core, uid: &str, request: &Request) -> Response {
    answered(Page::of(request, &[]).and_then(|_| {
        let connections = connections(core, uid);
        if connections.is_empty() {
            return Err(no_user(uid));
        }
        Ok(Response::json(&UserRow { user: uid.into(), connections }))
    }))
}

/// The answer if nobody is logged in so.
pub(super) fn no_user(uid: &str) -> Response {
    Response::error(404, format!("user {uid:?} is not logged in"))
}

fn connections(core: &Core, uid: &str) -> Vec<u64> {
    core.talk().users.connections(uid).iter().map(|conn| conn.get_conn_id()).collect()
}
