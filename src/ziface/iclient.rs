//! A client.

use std::sync::Arc;

use super::sealed::Sealed;
use super::{ConnHook, IConnection, IDataPack, IMsgHandler};
use crate::error::Result;

/// A client: one connection to one server, made again if that is asked for. What takes a router or a hook sits,
/// generic, on `Client`.
pub trait IClient: Sealed + Send + Sync {
    /// Connects, and returns once the first attempt is over; from then on messages are handled in the background.
    /// If the client reconnects, a first attempt that fails is no error: it goes on trying.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::Error::Io) with host and port if it cannot connect within the dial timeout,
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) the second time, [`Stopped`](crate::Error::Stopped) after a stop:
    /// [`restart`](Self::restart) then.
    #[doc(alias = "Start")]
    fn start(&self) -> Result<()>;

    /// Asks the client to stop in order, and returns at once: the connection is closed as by [`IConnection::stop`], a
    /// connect under way is called off. Asking again changes nothing.
    #[doc(alias = "Stop")]
    fn stop(&self);

    /// Closes the connection in order and makes a new one, without a pause; returns at once. If the client has
    /// stopped, it starts again, as [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start) if it starts again; [`WouldDeadlock`](crate::Error::WouldDeadlock) on the
    /// connection's own coroutine while the client stops.
    #[doc(alias = "Restart")]
    fn restart(&self) -> Result<()>;

    /// The connection, from when it is made until it has closed; `None` before, between and after.
    #[doc(alias = "Conn")]
    fn conn(&self) -> Option<Arc<dyn IConnection>>;

    /// The name that was set, else `Name` of the configuration.
    #[doc(alias = "GetName")]
    fn get_name(&self) -> &str;

    /// The hook on the start of a connection, if one is set.
    #[doc(alias = "GetOnConnStart")]
    fn get_on_conn_start(&self) -> Option<Arc<ConnHook>>;

    /// The hook on the stop of a connection, if one is set.
    #[doc(alias = "GetOnConnStop")]
    fn get_on_conn_stop(&self) -> Option<Arc<ConnHook>>;

    /// The routers.
    #[doc(alias = "GetMsgHandler")]
    fn get_msg_handler(&self) -> &dyn IMsgHandler;

    /// The wire format.
    #[doc(alias = "GetPacket")]
    fn get_packet(&self) -> Arc<dyn IDataPack>;
}
