//! Routers as slices: any number of handlers for one id, run like the layers of an onion.

use std::sync::Arc;

use super::{IMsgHandler, IRequest};
use crate::error::{Error, Result};

/// One handler of a slice. [`handlers!`](crate::handlers) makes a list of them.
///
/// It may call [`router_slices_next`](IRequest::router_slices_next) and go on when all behind it have run; if it
/// does not, they run after it has returned. [`abort`](IRequest::abort) keeps them from running. An error from one is
/// logged and skips those behind it.
pub type RouterHandler = Arc<dyn Fn(&dyn IRequest) -> Result<()> + Send + Sync>;

/// A handler of a function or a closure.
pub fn router_handler(
    handler: impl Fn(&dyn IRequest) -> Result<()> + Send + Sync + 'static,
) -> RouterHandler {
    Arc::new(handler)
}

/// A list of handlers: `handlers![check, |request: &dyn IRequest| { .. Ok(()) }]`.
#[macro_export]
macro_rules! handlers {
    ($($handler:expr),* $(,)?) => { ::std::vec![$($crate::ziface::router_handler($handler)),*] };
}

/// Handlers in front of those of every id in a range.
#[doc(alias = "IGroupRouterSlices")]
pub struct GroupRouterSlices<'a> {
    handler: &'a dyn IMsgHandler,
    first: u32,
    last: u32,
    handlers: Vec<RouterHandler>,
}

impl dyn IMsgHandler + '_ {
    /// A group of the ids from `first` to `last`, both included, with handlers in front of theirs.
    #[doc(alias = "Group")]
    pub fn group(&self, first: u32, last: u32, handlers: Vec<RouterHandler>) -> GroupRouterSlices<'_> {
        GroupRouterSlices { handler: self, first, last, handlers }
    }
}

impl GroupRouterSlices<'_> {
    /// Appends handlers in front of those that are added from now on.
    #[doc(alias = "Use")]
    pub fn use_(&mut self, handlers: Vec<RouterHandler>) -> &mut Self {
        self.handlers.extend(handlers);
        self
    }

    /// Adds the handlers of one message id, behind those of the group.
    ///
    /// # Errors
    ///
    /// [`OutOfGroup`](Error::OutOfGroup) if the id is not in the range, and those of
    /// [`add_router_slices`](IMsgHandler::add_router_slices).
    #[doc(alias = "AddHandler")]
    pub fn add_handler(&self, msg_id: u32, handlers: Vec<RouterHandler>) -> Result<()> {
        if !(self.first..=self.last).contains(&msg_id) {
            return Err(Error::OutOfGroup { msg_id, first: self.first, last: self.last });
        }
        let handlers = self.handlers.iter().cloned().chain(handlers).collect();
        self.handler.add_router_slices(msg_id, handlers)
    }
}

impl std::fmt::Debug for GroupRouterSlices<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupRouterSlices({}..={}, {} handlers)", self.first, self.last, self.handlers.len())
    }
}
