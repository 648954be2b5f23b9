//! What a program sets on a server and on a client alike. A macro, so that both have these methods as their own: a trait
//! would have to be imported.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::server::Server;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::ziface::{
    HeartBeat, HeartBeatOption, IConnection, IDataPack, IDecoder, IInterceptor, IMsgHandler, IRouter,
    LengthField, RouterHandler,
};
use crate::znet::leave::beat::Heart;
#[cfg(doc)]
use crate::zpack::NoHead;

macro_rules! endpoint {
    ($type:ty, $(#[$set_packet:meta])*) => {
        impl $type {
            /// Adds the router of one message id: a type that implements [`IRouter`], a function, or a closure that names
            /// the type of its parameter: `|request: &dyn IRequest| ..`.
            ///
            /// # Errors
            ///
            /// [`Error::RepeatedRouter`] if the id has one, [`Error::AlreadyStarted`] after the first start.
            #[doc(alias = "AddRouter")]
            pub fn add_router(&self, msg_id: u32, router: impl IRouter + 'static) -> Result<()> {
                self.core().handler().add_router(msg_id, Box::new(router))
            }

            /// Adds the handlers of one message id, behind those that [`use_`](Server::use_) has put in front until now. As
            /// many as one likes; they stand beside the routers of other ids. A client has groups and `use_` on its
            /// [`get_msg_handler`](crate::ziface::IClient::get_msg_handler).
            ///
            /// # Errors
            ///
            /// [`Error::RepeatedRouter`] if the id has a router or handlers, [`Error::AlreadyStarted`] after the first
            /// start.
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

            /// Sets the router of messages whose id has none. They are counted with it too; without it they are also
            /// logged, at most once a second.
            ///
            /// # Errors
            ///
            /// [`Error::AlreadyStarted`] after the first start.
            pub fn set_not_found(&self, router: impl IRouter + 'static) -> Result<()> {
                self.core().handler().set_not_found(Box::new(router))
            }

            /// Adds an interceptor behind those there are.
            ///
            /// # Errors
            ///
            /// [`Error::AlreadyStarted`] after the first start.
            #[doc(alias = "AddInterceptor")]
            pub fn add_interceptor(&self, interceptor: impl IInterceptor + 'static) -> Result<()> {
                self.core().handler().add_interceptor(Box::new(interceptor))
            }

            /// Sets what runs when a connection begins, before its first message. A client runs it each time it has
            /// connected.
            #[doc(alias = "SetOnConnStart")]
            #[doc(alias = "OnConnStart")]
            pub fn set_on_conn_start(
                &self,
                hook: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static,
            ) {
                self.core().set_hooks(|hooks| hooks.start = Some(Arc::new(hook)));
            }

            /// Sets what runs when a connection ends, after its last message. What it sends leaves before the close, if the peer
            /// is still there and reads.
            #[doc(alias = "SetOnConnStop")]
            #[doc(alias = "OnConnStop")]
            pub fn set_on_conn_stop(
                &self,
                hook: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static,
            ) {
                self.core().set_hooks(|hooks| hooks.stop = Some(Arc::new(hook)));
            }

            /// Sets the wire format, in place of the one the configuration names.
            ///
            /// # Errors
            ///
            /// [`Error::AlreadyStarted`] once a format is in use or set.
            #[doc(alias = "SetPacket")]
            $(#[$set_packet])*
            pub fn set_packet(&self, pack: impl IDataPack + 'static) -> Result<()> {
                self.core().set_pack(pack)
            }

            /// Sets the decoder that cuts the streams of all peers into frames, in place of the wire format, which still
            /// says how messages are sent; `send` and `send_to_queue` send bytes as they are, and with
            /// `set_packet(`[`NoHead`]`)` all do.
            ///
            /// # Errors
            ///
            /// [`Error::AlreadyStarted`] after the first start, and if one is set already.
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

            /// The length field by which the decoder that was set cuts frames; `None` without a decoder, or one of another
            /// kind.
            #[doc(alias = "GetLengthField")]
            pub fn get_length_field(&self) -> Option<LengthField> {
                self.core().decoder()?.get_length_field()
            }

            /// Sends a heartbeat to each peer, and finds peers that stay silent: see [`HeartBeatOption::new`] for what it
            /// is.
            ///
            /// # Errors
            ///
            /// As [`start_heart_beat_with_option`](Self::start_heart_beat_with_option).
            #[doc(alias = "StartHeartBeat")]
            pub fn start_heart_beat(&self, interval: Duration) -> Result<()> {
                self.start_heart_beat_with_option(interval, HeartBeatOption::new())
            }

            /// As [`start_heart_beat`](Self::start_heart_beat), with what the option says. `interval` is at least a
            /// millisecond.
            ///
            /// # Errors
            ///
            /// [`Error::RepeatedRouter`] if the message id has a router, [`Error::AlreadyStarted`] after the first start,
            /// and if a heartbeat is set up already.
            #[doc(alias = "StartHeartBeatWithOption")]
            pub fn start_heart_beat_with_option(
                &self,
                interval: Duration,
                option: HeartBeatOption,
            ) -> Result<()> {
                self.core().start_heart_beat(interval, option)
            }

            /// The heartbeat, if one is set up.
            #[doc(alias = "GetHeartBeat")]
            pub fn get_heart_beat(&self) -> Option<HeartBeat> {
                self.core().heart().map(Heart::beat)
            }

            /// Waits until it has stopped, at most for `timeout`. `false` if it has not. A client also stops by itself, when
            /// it does not connect again.
            pub fn wait_stopped(&self, timeout: Duration) -> bool {
                self.core().stopped.wait_timeout(timeout)
            }
        }
    };
}

endpoint!(Server, #[doc(alias = "WithPacket")]);
endpoint!(Client, #[doc(alias = "WithPacketClient")]);
