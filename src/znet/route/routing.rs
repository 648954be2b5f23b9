//! What servers and clients do with messages, beside their classic routers: set before the start.

use std::sync::Arc;

use crate::error::Result;
use crate::ziface::{
    GroupRouterSlices, IClient, IDecoder, IInterceptor, IMsgHandler, IServer, LengthField, RouterHandler,
};
use crate::znet::server::client::Client;
use crate::znet::server::server::Server;
#[cfg(doc)]
use crate::zpack::NoHead;

impl Server {
    /// Adds the handlers of one message id, behind those that [`use_`](Self::use_) has put in front until now. As many
    /// as one likes; they stand beside the routers of other ids.
    ///
    /// # Errors
    ///
    /// [`RepeatedRouter`](crate::Error::RepeatedRouter) where the id has a router or handlers,
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    /// use zinx::znet::{router_recovery, router_time};
    ///
    /// fn check(request: &dyn IRequest) -> zinx::Result<()> {
    ///     if request.get_data().is_empty() {
    ///         request.abort();
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = zinx::new_server_with_config(Config::default())?;
    /// server.use_(zinx::handlers![router_recovery, router_time])?;
    /// server.add_router_slices(
    ///     1,
    ///     zinx::handlers![check, |request: &dyn IRequest| {
    ///         request.get_connection().send_msg(1, request.get_data())
    ///     }],
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "AddRouterSlices")]
    pub fn add_router_slices(&self, msg_id: u32, handlers: Vec<RouterHandler>) -> Result<()> {
        self.core().handler().add_router_slices(msg_id, handlers)
    }

    /// A group of the ids from `first` to `last`, both included, with handlers in front of theirs.
    #[doc(alias = "Group")]
    pub fn group(&self, first: u32, last: u32, handlers: Vec<RouterHandler>) -> GroupRouterSlices<'_> {
        self.get_msg_handler().group(first, last, handlers)
    }

    /// Puts handlers in front of those that [`add_router_slices`](Self::add_router_slices) and groups add from now on,
    /// in order. Classic routers do without.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    #[doc(alias = "Use")]
    pub fn use_(&self, handlers: Vec<RouterHandler>) -> Result<()> {
        self.core().handler().use_(handlers)
    }

    /// Adds an interceptor behind those there are.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    #[doc(alias = "AddInterceptor")]
    pub fn add_interceptor(&self, interceptor: impl IInterceptor + 'static) -> Result<()> {
        self.core().handler().add_interceptor(Box::new(interceptor))
    }

    /// Has the streams of all peers cut into frames by a decoder, in place of the wire format, which still says how
    /// messages are sent; `send` and `send_to_queue` send bytes as they are, and with `set_packet(`[`NoHead`]`)` all do.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start, and where one is set already.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    /// use zinx::zpack::new_delimiter_decoder;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = zinx::new_server_with_config(Config::default())?;
    /// server.set_decoder(new_delimiter_decoder("\n", 1024, 1)?)?;
    /// server.add_router(1, |request: &dyn IRequest| {
    ///     let line = request.get_data();
    ///     request.get_connection().send([&line[..], b"\n"].concat())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SetDecoder")]
    pub fn set_decoder(&self, decoder: impl IDecoder + 'static) -> Result<()> {
        self.core().set_decoder(Arc::new(decoder))
    }

    /// The length field by which the decoder that was set cuts frames; `None` without a decoder, or one of another kind.
    #[doc(alias = "GetLengthField")]
    pub fn get_length_field(&self) -> Option<LengthField> {
        self.core().decoder()?.get_length_field()
    }
}

impl Client {
    /// As [`Server::add_router_slices`]. Groups and `use_` are those of
    /// [`get_msg_handler`](crate::ziface::IClient::get_msg_handler).
    ///
    /// # Errors
    ///
    /// As [`Server::add_router_slices`].
    #[doc(alias = "AddRouterSlices")]
    pub fn add_router_slices(&self, msg_id: u32, handlers: Vec<RouterHandler>) -> Result<()> {
        self.get_msg_handler().add_router_slices(msg_id, handlers)
    }

    /// As [`Server::add_interceptor`]: the same order as in a server.
    ///
    /// # Errors
    ///
    /// As [`Server::add_interceptor`].
    #[doc(alias = "AddInterceptor")]
    pub fn add_interceptor(&self, interceptor: impl IInterceptor + 'static) -> Result<()> {
        self.get_msg_handler().add_interceptor(Box::new(interceptor))
    }

    /// As [`Server::set_decoder`].
    ///
    /// # Errors
    ///
    /// As [`Server::set_decoder`].
    #[doc(alias = "SetDecoder")]
    pub fn set_decoder(&self, decoder: impl IDecoder + 'static) -> Result<()> {
        self.core().set_decoder(Arc::new(decoder))
    }

    /// As [`Server::get_length_field`].
    #[doc(alias = "GetLengthField")]
    pub fn get_length_field(&self) -> Option<LengthField> {
        self.core().decoder()?.get_length_field()
    }
}
