//! From a message to the user's handler: the table of routers, and what contains a panic.

use super::request::Request;
use super::route::Route;
use super::table::Found;
use crate::error::{Error, Result};
use crate::green::contain;
use crate::log_line::throttled;
use crate::ziface::{CloseReason, IRequest};
use crate::znet::conn::connection::Connection;

/// Runs the router of a request. A panic ends the connection, an error is logged, an id without a router counted.
#[inline]
pub(crate) fn dispatch(conn: &Connection, request: &Request) {
    let run = || {
        let found = conn.core().handler().find(request);
        if let Found::Unknown(route) = found {
            if conn.on_demand().is_some_and(|on_demand| on_demand.calls.has_asked(request.get_msg_id())) {
                conn.core().counters.late_answers.add();
                return Ok(());
            }
            conn.count_unknown(request.get_msg_id(), route.is_some());
            if !conn.core().handler().gates_let_pass(request)? {
                return Ok(());
            }
        }
        found.run(request)
    };
    run_contained(conn, request, run);
}

/// As [`dispatch`], for a request whose route is known.
#[inline]
pub(crate) fn dispatch_to(conn: &Connection, request: &Request, route: &Route) {
    run_contained(conn, request, || route.run(request));
}

#[inline]
fn run_contained(conn: &Connection, request: &Request, run: impl FnOnce() -> Result<()>) {
    let run = || {
        if let Err(error) = run() {
            conn.answer_or_log_error(request.get_msg_id(), &error);
        }
    };
    if let Err(words) = contain(run) {
        conn.end_after_panic(request.get_msg_id(), &words);
    }
}

impl Connection {
    #[cold]
    fn count_unknown(&self, msg_id: u32, is_handled: bool) {
        self.core().counters.unknown_ids.add();
        if is_handled {
            return;
        }
        throttled!(
            warn,
            self.core().unknown_log,
            "connection {}: no router for message id {msg_id}",
            self.id()
        );
    }

    #[cold]
    pub(crate) fn log_not_logged_in(&self, msg_id: u32) {
        throttled!(
            warn,
            self.core().login_log,
            "connection {}: message id {msg_id} needs a login, and nobody has logged in",
            self.id()
        );
    }

    #[cold]
    pub(crate) fn answer_or_log_error(&self, msg_id: u32, error: &Error) {
        if self.answer_bad_payload(error) {
            return;
        }
        if let Some(routes) = self.core().route_stats() {
            routes.of(msg_id).count_error();
        }
        let (id, log) = (self.id(), &self.core().handler_log);
        match error {
            // It names the message itself.
            Error::BadPayload { msg_id: of, .. } if *of == msg_id => {
                throttled!(warn, log, "connection {id}: {error}");
            }
            _ => throttled!(warn, log, "connection {id}: the handler of message id {msg_id} failed: {error}"),
        }
    }

    #[cold]
    pub(crate) fn end_after_panic(&self, msg_id: u32, words: &str) {
        self.core().counters.handler_panics.add();
        if let Some(routes) = self.core().route_stats() {
            routes.of(msg_id).count_panic();
        }
        throttled!(
            error,
            self.core().panic_log,
            "connection {}: the handler of message id {msg_id} panicked: {words}",
            self.id()
        );
        self.stop_because(CloseReason::HandlerPanicked { msg_id });
    }

    /// Other code of the program has panicked that was run for this connection.
    #[cold]
    pub(crate) fn end_after_code(&self, what: &'static str, words: String) {
        self.core().counters.hook_panics.add();
        throttled!(error, self.core().panic_log, "connection {}: {what} panicked: {words}", self.id());
        self.stop_because(CloseReason::Panicked { what, words });
    }
}
