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
    /// One of which only the second step does anything: a closure.
    Handler(Arc<dyn IRouter>),
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
    /// The route of a classic router or a closure.
    pub(crate) fn of(router: Arc<dyn IRouter>) -> Self {
        if router.only_handles() { Self::Handler(router) } else { Self::Router(router) }
    }

    /// Runs the steps that are left, from the one at which the request stands. An error skips those after it.
    #[inline]
    pub(crate) fn run(&self, request: &Request) -> Result<()> {
        match self {
            Self::Handler(router) if request.begin_with_handle() => {
                let run = router.handle(request);
                // A closure that neither fails nor jumps has been all.
                if run.is_ok() && !request.goes_elsewhere() { Ok(()) } else { self.run_on(run, request) }
            }
            _ => self.run_on(Ok(()), request),
        }
    }

    /// Runs the steps that are left after one that has ended so.
    #[inline(never)]
    fn run_on(&self, before: Result<()>, request: &Request) -> Result<()> {
        let run = before.and_then(|()| match self {
            Self::Router(router) | Self::Handler(router) => run_router(&**router, request),
            Self::Slices(steps) => run_slices(&steps.0, request),
        });
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
