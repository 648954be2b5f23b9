//! The table of routers.

use super::sealed::Sealed;
use super::{IInterceptor, IRequest, IRouter, RouterHandler};
use crate::error::Result;

/// The routers of a server, by message id. Frozen when the server starts.
#[doc(alias = "NewMsgHandler")]
pub trait IMsgHandler: Sealed + Send + Sync {
    /// Adds the router of one message id.
    ///
    /// # Errors
    ///
    /// [`RepeatedRouter`](crate::Error::RepeatedRouter) if the id has one, [`AlreadyStarted`](crate::Error::AlreadyStarted)
    /// after the start.
    #[doc(alias = "AddRouter")]
    fn add_router(&self, msg_id: u32, router: Box<dyn IRouter>) -> Result<()>;

    /// Adds the handlers of one message id, behind those that [`use_`](Self::use_) has put in front until now.
    ///
    /// # Errors
    ///
    /// As [`add_router`](Self::add_router): an id has a router or handlers.
    #[doc(alias = "AddRouterSlices")]
    fn add_router_slices(&self, msg_id: u32, handlers: Vec<RouterHandler>) -> Result<()>;

    /// Puts handlers in front of those that [`add_router_slices`](Self::add_router_slices) adds from now on, in order.
    /// Classic routers do without.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    #[doc(alias = "Use")]
    fn use_(&self, handlers: Vec<RouterHandler>) -> Result<()>;

    /// Adds an interceptor behind those there are.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    #[doc(alias = "AddInterceptor")]
    fn add_interceptor(&self, interceptor: Box<dyn IInterceptor>) -> Result<()>;

    /// Runs the router of a request, or the not-found route, in the coroutine that calls, as [`IRequest::call`] does.
    /// Panics of the router go on in the caller.
    ///
    /// # Errors
    ///
    /// Those of the router.
    #[doc(alias = "DoMsgHandler")]
    fn do_msg_handler(&self, request: &dyn IRequest) -> Result<()>;

    /// Starts the workers, if `WorkerPoolSize` is not 0. The server's start does; a program has no need to.
    /// Calling it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::Error::Io) if the machine has no room for as many coroutines.
    #[doc(alias = "StartWorkerPool")]
    fn start_worker_pool(&self) -> Result<()>;

    /// Queues a request to the worker of its connection, behind all that were queued before it; if
    /// `WorkerPoolSize` is 0, to the connection's own coroutine, which handles it between two messages. What is queued
    /// is handled before the connection's stop hook runs.
    ///
    /// While the queue (`MaxWorkerTaskLen`) is full, waits up to `QueueWaitMs`; from a handler on the same worker not at all.
    ///
    /// # Errors
    ///
    /// [`TaskQueueFull`](crate::Error::TaskQueueFull) if it stays full, [`ConnectionClosed`](crate::Error::ConnectionClosed)
    /// once the connection's last requests are being handled.
    #[doc(alias = "SendMsgToTaskQueue")]
    fn send_msg_to_task_queue(&self, request: Box<dyn IRequest>) -> Result<()>;
}
