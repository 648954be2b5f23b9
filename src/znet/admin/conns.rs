//! The connections: found, sorted, and shown.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;

use super::closed::{self, closed};
use super::page::{Page, answered};
use super::search::Search;
use super::waits::{Coroutines, Wait};
use crate::green::RoundTrips;
use crate::http::{Request, Response};
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;

/// A connection, as it is shown.
#[derive(Serialize)]
struct Row {
    id: u64,
    state: &'static str,
    transport: String,
    remote: String,
    local: String,
    user: Option<Arc<str>>,
    groups: Vec<Arc<str>>,
    /// Where its code waits, as a sentence.
    does: String,
    /// The same in parts.
    waits: Wait,
    age_ms: u64,
    idle_ms: u64,
    /// What waits to be sent.
    pending_messages: usize,
    pending_bytes: usize,
    /// Messages given to handlers.
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// A packet to the peer and its acknowledgement, in microseconds, if that is known.
    rtt_us: Option<u64>,
    worker: Option<usize>,
    /// Why it closes.
    reason: Option<String>,
}

/// The answer to `/connz`.
pub(super) fn list(core: &Core, request: &Request) -> Response {
    answered(find(core, request))
}

fn find(core: &Core, request: &Request) -> Result<Response, Response> {
    let page = Page::of(request, &["sort", "order", "state", "search", "user", "address", "group"])?;
    if request.parameter("state") == Some("closed") {
        return Ok(Response::json(&closed(core, request, page)));
    }
    let sort = Sort::of(request.parameter("sort").unwrap_or("id"))?;
    let is_ascending = sort.is_ascending(request.parameter("order"))?;
    let wanted = Wanted::of(request)?;
    let look = Look::at(core);
    let mut found = Vec::new();
    core.manager().each(|shared| {
        let conn = shared.connection();
        if wanted.is(conn, &look.coroutines) {
            found.push((look.key(sort, conn), Arc::clone(shared)));
        }
        true
    });
    // Those of which it is not known come last, whatever the order.
    if is_ascending {
        found.sort_by_key(|(key, conn)| (key.is_none(), *key, conn.get_conn_id()));
    } else {
        found.sort_by_key(|(key, conn)| (key.is_none(), Reverse(*key), conn.get_conn_id()));
    }
    Ok(Response::json(&page.part(&found, |(_, conn)| look.row(conn.connection()))))
}

/// The answer to `/connz/ID`.
pub(super) fn one(core: &Core, id: &str) -> Response {
    let number = id.parse().ok();
    let Some(conn) = number.and_then(|number| core.manager().find_any(number)) else {
        return match number.and_then(|number| closed::find(core, number)) {
            Some(closed) => Response::json(&closed),
            None => Response::error(404, format!("there is no connection {id}")),
        };
    };
    Response::json(&Look::at(core).row(conn.connection()))
}

/// What a look at connections needs beside them.
struct Look {
    coroutines: Coroutines,
    trips: RoundTrips,
    now: u64,
}

impl Look {
    fn at(core: &Core) -> Self {
        Self { coroutines: Coroutines::of(core), trips: RoundTrips::new(), now: core.clock().tick() }
    }

    fn row(&self, conn: &Connection) -> Row {
        let (pending_messages, pending_bytes) = pending(conn);
        let waits = self.coroutines.wait(conn);
        let on_demand = conn.on_demand();
        let traffic = conn.notes().traffic();
        Row {
            id: conn.id(),
            state: State::of(conn).word(),
            transport: conn.get_transport().to_string(),
            remote: conn.get_remote_addr().to_string(),
            local: conn.get_local_addr().to_string(),
            user: on_demand.and_then(|on_demand| on_demand.membership.uid()),
            groups: on_demand.map_or_else(Vec::new, |on_demand| on_demand.membership.groups()),
            does: waits.to_string(),
            waits,
            age_ms: traffic.map_or(0, |traffic| self.now.saturating_sub(traffic.opened())),
            idle_ms: idle(conn, self.now),
            pending_messages,
            pending_bytes,
            messages: traffic.map_or(0, |traffic| traffic.messages()),
            bytes_in: traffic.map_or(0, |traffic| traffic.bytes_in()),
            bytes_out: traffic.map_or(0, |traffic| traffic.bytes_out()),
            rtt_us: self.round_trip(conn),
            worker: conn.get_worker_id(),
            reason: conn.get_close_reason().map(|reason| reason.to_string()),
        }
    }

    fn round_trip(&self, conn: &Connection) -> Option<u64> {
        let trip = conn.line().get()?.round_trip(&self.trips)?;
        u64::try_from(trip.as_micros()).ok()
    }

    /// What a connection is sorted by; `None` if that is not known of it.
    fn key(&self, sort: Sort, conn: &Connection) -> Option<u64> {
        let traffic = conn.notes().traffic()?;
        Some(match sort {
            Sort::Id => conn.id(),
            Sort::Age => self.now.saturating_sub(traffic.opened()),
            Sort::Idle => idle(conn, self.now),
            // A connection that rests waits too, but none of its code does.
            Sort::Waiting => {
                let wait = Some(self.coroutines.wait(conn)).filter(|wait| wait.code.is_some());
                wait.map_or(0, |wait| wait.ms + 1)
            }
            Sort::Pending => pending(conn).1 as u64,
            Sort::Messages => traffic.messages(),
            Sort::BytesIn => traffic.bytes_in(),
            Sort::BytesOut => traffic.bytes_out(),
            Sort::Rtt => return self.round_trip(conn),
        })
    }
}

fn pending(conn: &Connection) -> (usize, usize) {
    let outbox = conn.outbox().lock();
    (outbox.messages(), outbox.bytes())
}

fn idle(conn: &Connection, now: u64) -> u64 {
    now.saturating_sub(conn.times().active.load(std::sync::atomic::Ordering::Relaxed))
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It waits for its peer to come back.
    Away,
    Closing,
}

impl State {
    fn of(conn: &Connection) -> Self {
        if conn.has_reason() {
            Self::Closing
        } else if conn.is_away() {
            Self::Away
        } else {
            Self::Open
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Away => "away",
            Self::Closing => "closing",
        }
    }
}

/// Which connections are asked for.
struct Wanted<'a> {
    state: Option<State>,
    user: Option<&'a str>,
    group: Option<&'a str>,
    /// The beginning of the address of the peer.
    address: Option<&'a str>,
    search: Search,
}

impl<'a> Wanted<'a> {
    fn of(request: &'a Request) -> Result<Self, Response> {
        let state = match request.parameter("state") {
            None | Some("all") => None,
            Some(word) => {
                let states = [State::Open, State::Away, State::Closing];
                let state = states.into_iter().find(|state| state.word() == word);
                Some(state.ok_or_else(|| expected("state", word, "open, away, closing, closed or all"))?)
            }
        };
        let [user, group, address] = ["user", "group", "address"].map(|name| request.parameter(name));
        Ok(Self { state, user, group, address, search: Search::of(request) })
    }

    fn is(&self, conn: &Connection, coroutines: &Coroutines) -> bool {
        let membership = conn.on_demand().map(|on_demand| &on_demand.membership);
        let in_group = |name: &str| membership.is_some_and(|membership| membership.is_in_group(name));
        let is_user = |uid: &str| {
            membership.is_some_and(|membership| membership.uid().is_some_and(|user| *user == *uid))
        };
        let has_address = |beginning: &str| conn.get_remote_addr().to_string().starts_with(beginning);
        self.state.is_none_or(|state| State::of(conn) == state)
            && self.user.is_none_or(is_user)
            && self.group.is_none_or(in_group)
            && self.address.is_none_or(has_address)
            && (self.search.is_any() || self.is_found(conn, coroutines))
    }

    fn is_found(&self, conn: &Connection, coroutines: &Coroutines) -> bool {
        let is_in = |text: &str| self.search.is_in(text);
        let is_named = || {
            let membership = &conn.on_demand()?.membership;
            let is_user = membership.uid().is_some_and(|user| is_in(&user));
            Some(is_user || membership.groups().iter().any(|group| is_in(group)))
        };
        self.search.is_id(conn.id())
            || is_in(&conn.get_remote_addr().to_string())
            || is_named() == Some(true)
            || is_in(&conn.get_transport().to_string())
            || is_in(&coroutines.wait(conn).to_string())
    }
}

/// By what they are sorted: the largest first, except for ids, unless something else is asked for.
#[derive(Clone, Copy)]
enum Sort {
    Id,
    Age,
    Idle,
    Waiting,
    Pending,
    Messages,
    BytesIn,
    BytesOut,
    Rtt,
}

impl Sort {
    fn of(word: &str) -> Result<Self, Response> {
        Ok(match word {
            "id" => Self::Id,
            "age" => Self::Age,
            "idle" => Self::Idle,
            "waiting" => Self::Waiting,
            "pending" => Self::Pending,
            "messages" => Self::Messages,
            "bytes_in" => Self::BytesIn,
            "bytes_out" => Self::BytesOut,
            "rtt" => Self::Rtt,
            _ => {
                let words = "id, age, idle, waiting, pending, messages, bytes_in, bytes_out or rtt";
                return Err(expected("sort", word, words));
            }
        })
    }

    fn is_ascending(self, order: Option<&str>) -> Result<bool, Response> {
        match order {
            None => Ok(matches!(self, Self::Id)),
            Some("asc") => Ok(true),
            Some("desc") => Ok(false),
            Some(word) => Err(expected("order", word, "asc or desc")),
        }
    }
}

fn expected(name: &str, found: &str, words: &str) -> Response {
    Response::error(400, format!("{name}: found {found:?}, expected {words}"))
}
