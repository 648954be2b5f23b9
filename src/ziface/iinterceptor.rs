//! Interceptors: what looks at every message before its router does.

use super::sealed::Closed;
use super::{IMessage, IRequest};
use crate::error::Result;

/// Looks at every message after it was decoded and before it is dispatched. Interceptors run in the order in which they
/// were added, on the connection's own coroutine, even if workers handle the requests; they may wait. A closure
/// `|chain: &dyn IChain| chain.proceed(chain.request())` is one too.
///
/// One that does not [`proceed`](IChain::proceed) drops the message. An error is logged and drops it too, a panic ends
/// the connection. Answers to a `call` are not intercepted: they go to the caller.
///
/// # Examples
///
/// ```
/// use zinx::ziface::{IChain, IInterceptor};
///
/// struct Refuse(u32);
///
/// impl IInterceptor for Refuse {
///     fn intercept(&self, chain: &dyn IChain) -> zinx::Result<()> {
///         if chain.get_imessage().get_msg_id() == self.0 {
///             return Ok(()); // dropped
///         }
///         chain.proceed(chain.request())
///     }
/// }
/// ```
pub trait IInterceptor: Send + Sync {
    /// Looks at one message.
    ///
    /// # Errors
    ///
    /// Any: it is logged, and the message goes no further.
    #[doc(alias = "Intercept")]
    fn intercept(&self, chain: &dyn IChain) -> Result<()>;
}

impl<F> IInterceptor for F
where
    F: Fn(&dyn IChain) -> Result<()> + Send + Sync,
{
    fn intercept(&self, chain: &dyn IChain) -> Result<()> {
        self(chain)
    }
}

/// One message on its way through the interceptors.
pub trait IChain: Closed {
    /// The request, as the interceptor before has passed it on.
    #[doc(alias = "Request")]
    fn request(&self) -> &dyn IRequest;

    /// Its message.
    #[doc(alias = "GetIMessage")]
    fn get_imessage(&self) -> &dyn IMessage {
        self.request().get_message()
    }

    /// Passes a request on to the interceptors behind this one and, behind the last, to its router. Returns when they
    /// have run; if `WorkerPoolSize` is not 0, when it has been queued to its worker.
    ///
    /// # Errors
    ///
    /// Those of the interceptors behind this one; errors of the router are logged where it runs.
    #[doc(alias = "Proceed")]
    fn proceed(&self, request: &dyn IRequest) -> Result<()>;

    /// As [`proceed`](Self::proceed), with another message in the request; what that message carries
    /// (`Message::with_value`) is what `get_decoded` of the request then gives.
    ///
    /// # Errors
    ///
    /// As [`proceed`](Self::proceed).
    #[doc(alias = "ProceedWithIMessage")]
    fn proceed_with_imessage(&self, message: &dyn IMessage, request: &dyn IRequest) -> Result<()>;
}
