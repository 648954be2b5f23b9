//! The frames of a few connections, followed for a time.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::page::{answered, number};
use crate::green::Until;
use crate::http::{Request, Response};
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::tap::{Tap, Trace};
use crate::znet::server::core::Core;

/// Which connections are followed.
enum Whom {
    Id(u64),
    User(String),
    /// The beginning of the address of the peer.
    Address(String),
}

/// The answer to `POST /trace`: lines as frames come and leave, until the time is over.
pub(super) fn trace(core: &Arc<Core>, request: &Request) -> Response {
    answered(begin(core, request))
}

fn begin(core: &Arc<Core>, request: &Request) -> Result<Response, Response> {
    let known = ["id", "user", "address", "seconds"];
    if let Some(unknown) = request.parameter_names().find(|name| !known.contains(name)) {
        return Err(Response::error(400, format!("/trace takes no parameter {unknown:?}")));
    }
    let named = |name| request.parameter(name).filter(|text| !text.is_empty()).map(str::to_string);
    let whom = match (number(request, "id")?, named("user"), named("address")) {
        (Some(id), None, None) => Whom::Id(id),
        (None, Some(user), None) => Whom::User(user),
        (None, None, Some(address)) => Whom::Address(address),
        _ => return Err(Response::error(400, "expected one of id, user and address")),
    };
    let seconds = number(request, "seconds")?.unwrap_or(DEFAULT_SECONDS);
    if seconds > MAX_SECONDS {
        let expected = format!("seconds: found {seconds}, expected at most {MAX_SECONDS}");
        return Err(Response::error(400, expected));
    }
    log::warn!("admin plane: trace for {seconds} s");
    let core = Arc::clone(core);
    Ok(Response::stream(move |out| {
        let mut followed = Followed { trace: Trace::new(), conns: Vec::new(), core, whom };
        followed.until(Until::after(Duration::from_secs(seconds)), out)
    }))
}

/// The connections that are followed. Dropped, they are not any more.
struct Followed {
    trace: Arc<Trace>,
    conns: Vec<Arc<dyn IConnection>>,
    core: Arc<Core>,
    whom: Whom,
}

impl Followed {
    fn until(&mut self, end: Until, out: &mut dyn Write) -> io::Result<()> {
        let mut next = Until::after(Duration::ZERO);
        while !end.is_over() && !self.core.stopped.is_set() {
            // Not for each line: to find those that have come, it looks at all connections.
            if next.is_over() {
                self.look();
                next = Until::after(STEP);
            }
            let lines = self.trace.take(STEP);
            out.write_all(lines.concat().as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    /// Follows those that have come, and tells of those that close.
    fn look(&mut self) {
        let (core, trace, conns) = (Arc::clone(&self.core), &self.trace, &mut self.conns);
        conns.retain(|shared| {
            let conn = shared.connection();
            let reason = conn.get_close_reason();
            if let Some(reason) = &reason {
                trace.say(conn.id(), &format_args!("closes: {reason}"));
                untap(conn);
            }
            reason.is_none()
        });
        let mut follow = |shared: &Arc<dyn IConnection>| {
            let conn = shared.connection();
            if conns.len() < MAX_CONNS && !conn.has_reason() && tap(conn, trace) {
                trace.say(conn.id(), &format_args!("is followed, from {}", conn.get_remote_addr()));
                conns.push(Arc::clone(shared));
            }
        };
        match &self.whom {
            Whom::Id(id) => core.manager().find_any(*id).iter().for_each(follow),
            Whom::User(user) => core.talk().users.connections(user).iter().for_each(follow),
            Whom::Address(beginning) => {
                let mut found = Vec::new();
                core.manager().each(|shared| {
                    if shared.get_remote_addr().to_string().starts_with(beginning.as_str()) {
                        found.push(Arc::clone(shared));
                    }
                    found.len() < MAX_CONNS
                });
                found.iter().for_each(&mut follow);
            }
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.conns.iter().for_each(|conn| untap(conn.connection()));
    }
}

/// `false` if it is followed already, perhaps by another.
fn tap(conn: &Connection, trace: &Arc<Trace>) -> bool {
    let Some(traffic) = conn.notes().traffic() else { return false };
    // Under the lock, so that nothing leaves meanwhile.
    let state = conn.outbox().lock();
    let is_at_frame = state.messages() == 0;
    traffic.tap(|| Tap::new(conn.id(), Arc::clone(trace), is_at_frame))
}

fn untap(conn: &Connection) {
    if let Some(traffic) = conn.notes().traffic() {
        traffic.untap();
    }
}

const DEFAULT_SECONDS: u64 = 10;
const MAX_SECONDS: u64 = 300;

/// Most connections of one trace.
const MAX_CONNS: usize = 16;

/// How often it is looked for connections that have come.
const STEP: Duration = Duration::from_millis(100);
