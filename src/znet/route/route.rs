//! A route: what is run for a message, step by step.

use std::sync::Arc;

use super::request::Request;
use crate::error::Result;
use crate::green::drop_each;
use crate::ziface::{HandleStep, IRequest, IRouter, RouterHandler};

/// What is run for a message.
pub(crate) enum Route {
    /// A classic router: three steps.
    Router(Arc<dyn IRouter>),
    /// As many steps as there are handlers.
    Slices(Steps),
}

/// The handlers of a route, in order.
pub(crate) struct Steps(Vec<RouterHandler>);

impl Steps {
    /// With one more in front.
    pub(crate) fn behind(mut self, first: RouterHandler) -> Self {
        self.0.insert(0, first);
        self
    }
}

impl From<Vec<RouterHandler>> for Steps {
    fn from(handlers: Vec<RouterHandler>) -> Self {
        Self(handlers)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        drop_each(self.0.drain(..));
    }
}

impl Route {
    /// Runs the steps that are left, from the one at which the request stands. An error skips those after it.
    pub(crate) fn run(&self, request: &Request) -> Result<()> {
        let run = match self {
            Self::Router(router) => run_router(&**router, request),
            Self::Slices(steps) => run_slices(&steps.0, request),
        };
        if run.is_err() {
            // A handler that goes on after an error of `router_slices_next` does not bring back what it skipped.
            request.abort();
        }
        run
    }
}

fn run_router(router: &dyn IRouter, request: &Request) -> Result<()> {
    loop {
        let step = request.take_goto().unwrap_or_else(|| request.take_step());
        match step {
            PRE_HANDLE => router.pre_handle(request)?,
            HANDLE => router.handle(request)?,
            POST_HANDLE => router.post_handle(request)?,
            _ => return Ok(()),
        }
    }
}

fn run_slices(handlers: &[RouterHandler], request: &Request) -> Result<()> {
    while let Some(handler) = handlers.get(request.take_step() as usize) {
        handler(request)?;
    }
    Ok(())
}

const PRE_HANDLE: u32 = HandleStep::PreHandle as u32;
const HANDLE: u32 = HandleStep::Handle as u32;
const POST_HANDLE: u32 = HandleStep::PostHandle as u32;
