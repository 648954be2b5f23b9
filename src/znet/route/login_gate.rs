//! A gate before routers: only connections that are logged in pass.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::route::Route;
use crate::error::Result;
use crate::ziface::{IRequest, IRouter, router_handler};

/// What happens to a message that the login gate does not let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is dropped, and logged at most once a second.
    Drop,
    /// It is answered.
    Answer {
        /// The id of the answer.
        msg_id: u32,
        /// Its payload.
        data: Bytes,
    },
    /// The connection closes in order.
    Close,
}

impl Refusal {
    /// [`Refusal::Answer`].
    pub fn answer(msg_id: u32, data: impl Into<Bytes>) -> Self {
        Self::Answer { msg_id, data: data.into() }
    }
}

/// A range of ids that need a login.
#[derive(Clone)]
pub(crate) struct LoginGate {
    pub(super) msg_ids: RangeInclusive<u32>,
    pub(super) refusal: Refusal,
}

impl LoginGate {
    /// Whether a request passes.
    pub(super) fn lets_pass(&self, request: &dyn IRequest) -> Result<bool> {
        if self.msg_ids.contains(&request.get_msg_id()) { self.refusal.lets_pass(request) } else { Ok(true) }
    }

    /// Puts the gate before a route, if it is for its id.
    pub(crate) fn before(&self, msg_id: u32, route: Route) -> Route {
        if !self.msg_ids.contains(&msg_id) {
            return route;
        }
        let refusal = self.refusal.clone();
        match route {
            Route::Router(router) | Route::Handler(router) => {
                Route::Router(Arc::new(Gated { refusal, router }))
            }
            Route::Slices(steps) => {
                let gate = router_handler(move |request| refusal.lets_pass(request).map(drop));
                Route::Slices(steps.behind(gate))
            }
        }
    }
}

impl Refusal {
    /// Whether a request passes; one that does not is refused.
    fn lets_pass(&self, request: &dyn IRequest) -> Result<bool> {
        let conn = request.get_connection();
        if conn.is_logged_in() {
            return Ok(true);
        }
        request.abort();
        match self {
            Self::Drop => conn.connection().log_not_logged_in(request.get_msg_id()),
            Self::Answer { msg_id, data } => conn.send_msg(*msg_id, data)?,
            Self::Close => conn.stop(),
        }
        Ok(false)
    }
}

/// A classic router behind the gate.
struct Gated {
    refusal: Refusal,
    router: Arc<dyn IRouter>,
}

impl IRouter for Gated {
    fn pre_handle(&self, request: &dyn IRequest) -> Result<()> {
        if self.refusal.lets_pass(request)? { self.router.pre_handle(request) } else { Ok(()) }
    }

    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        self.router.handle(request)
    }

    fn post_handle(&self, request: &dyn IRequest) -> Result<()> {
        self.router.post_handle(request)
    }
}
