//! A router: what is done with the messages of one id.

use super::IRequest;
use crate::error::Result;

/// A step of a classic router, to jump to: [`IRequest::goto`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleStep {
    /// [`IRouter::pre_handle`].
    #[doc(alias = "PRE_HANDLE")]
    PreHandle,
    /// [`IRouter::handle`].
    #[doc(alias = "HANDLE")]
    Handle,
    /// [`IRouter::post_handle`].
    #[doc(alias = "POST_HANDLE")]
    PostHandle,
    /// The end.
    #[doc(alias = "HANDLE_OVER")]
    HandleOver,
}

/// What is done with the messages of one id: a hook before, the business, a hook after.
///
/// All three run in the connection's own coroutine (or its worker's), one message after the other, and may wait: so
/// plain sequential code holds up no other connection. A closure `|request: &dyn IRequest| { .. Ok(()) }` is a router too.
///
/// An error from one step is logged with the connection and the message id, and skips the steps after it; the
/// connection goes on. A panic ends the connection. [`abort`](IRequest::abort) and [`goto`](IRequest::goto) skip steps
/// without an error.
///
/// # Examples
///
/// ```
/// use zinx::ziface::{IRequest, IRouter};
///
/// struct PingRouter;
///
/// impl IRouter for PingRouter {
///     fn handle(&self, request: &dyn IRequest) -> zinx::Result<()> {
///         request.get_connection().send_msg(1, "ping\n")
///     }
/// }
/// ```
pub trait IRouter: Send + Sync {
    /// Runs before [`handle`](Self::handle): checks, a login gate.
    ///
    /// # Errors
    ///
    /// Any: the message goes no further.
    #[doc(alias = "PreHandle")]
    fn pre_handle(&self, request: &dyn IRequest) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// The business itself.
    ///
    /// # Errors
    ///
    /// Any: it is logged, and [`post_handle`](Self::post_handle) is skipped.
    #[doc(alias = "Handle")]
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// Runs after [`handle`](Self::handle).
    ///
    /// # Errors
    ///
    /// Any: it is logged.
    #[doc(alias = "PostHandle")]
    fn post_handle(&self, request: &dyn IRequest) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// Whether the two steps around [`handle`](Self::handle) do nothing, so that they need not be called.
    #[doc(hidden)]
    fn only_handles(&self) -> bool {
        false
    }
}

impl<F> IRouter for F
where
    F: Fn(&dyn IRequest) -> Result<()> + Send + Sync,
{
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        self(request)
    }

    fn only_handles(&self) -> bool {
        true
    }
}
