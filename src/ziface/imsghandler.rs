//! The table of routers.

use super::sealed::Sealed;
use super::{IRequest, IRouter};
use crate::error::Result;

/// The routers of a server, by message id. Frozen when the server starts.
pub trait IMsgHandler: Sealed + Send + Sync {
    /// Adds the router of one message id.
    ///
    /// # Errors
    ///
    /// [`RepeatedRouter`](crate::Error::RepeatedRouter) where the id has one, [`AlreadyStarted`](crate::Error::AlreadyStarted)
    /// after the start.
    #[doc(alias = "AddRouter")]
    fn add_router(&self, msg_id: u32, router: Box<dyn IRouter>) -> Result<()>;

    /// Runs the router of a request, or the not-found route, in the coroutine that calls. Panics of the router go on
    /// in the caller.
    ///
    /// # Errors
    ///
    /// Those of the router.
    #[doc(alias = "DoMsgHandler")]
    fn do_msg_handler(&self, request: &dyn IRequest) -> Result<()>;
}
