//! A server.

use std::net::SocketAddr;
use std::sync::Arc;

use super::sealed::Sealed;
use super::{IConnManager, IConnection, IDataPack, IMsgHandler, TransportKind};
use crate::error::Result;

/// A hook on the start or the stop of a connection. Runs in the connection's own coroutine and may wait. An error is
/// logged (and from the start hook closes the connection); a panic is contained.
pub type ConnHook = dyn Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync;

/// A server. What takes a router or a hook sits, generic, on `Server`.
pub trait IServer: Sealed + Send + Sync {
    /// Binds, listens and returns; connections are accepted in the background. [`serve`](Self::serve) afterwards waits
    /// for the end and handles signals, so that a program can look up its address in between.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::Error::Io) with the address if it cannot be bound, [`AlreadyStarted`](crate::Error::AlreadyStarted)
    /// the second time, [`Stopped`](crate::Error::Stopped) after a stop.
    #[doc(alias = "Start")]
    #[doc(alias = "InitTCP")]
    fn start(&self) -> Result<()>;

    /// Asks the server to stop in order, and returns at once: stop accepting, drain and close every connection within
    /// `DrainMs`, let [`serve`](Self::serve) return. Asking again changes nothing.
    ///
    /// What is still open after `DrainMs` is cut off, and named in the log with what it is doing. Handlers and hooks that
    /// wait, for whatever, are cut short: their wait unwinds, as that of a killed coroutine does, and the stop hook runs, for
    /// which there is half a second. Those that compute are left behind, and their stop hooks do not run. So the server has
    /// stopped within `DrainMs` and a second, whatever handlers do.
    #[doc(alias = "Stop")]
    fn stop(&self);

    /// Starts the server, unless it is started already, and returns when it has stopped: by [`stop`](Self::stop) or,
    /// unless `HandleSignals` is false, by SIGTERM, SIGINT or SIGQUIT. Signals are handled from here on: one that arrives between
    /// [`start`](Self::start) and `serve` ends the process. A second signal does not wait for `DrainMs`. If a server that was started has stopped in the meantime,
    /// `serve` returns at once. Several threads may serve it at a time; all return when it has stopped.
    ///
    /// Meanwhile SIGHUP has the configuration read again ([`Server::reload`](crate::Server::reload)), and SIGUSR1 and SIGUSR2 are
    /// ignored. When `serve` has returned, signals do again what they did before.
    ///
    /// If the wait is cut short, because its coroutine is killed or a time limit is over, the server is asked to stop.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), except for `AlreadyStarted`; [`Forced`](crate::Error::Forced) if a second signal or
    /// the drain deadline cut connections off; [`Stopped`](crate::Error::Stopped) if the server has been served to its
    /// end before.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use zinx::prelude::*;
    ///
    /// fn main() -> zinx::Result<()> {
    ///     let mut config = Config::load()?;
    ///     config.tcp_port = 0; // any free port
    ///     let server = new_server_with_config(config)?;
    ///     server.start()?;
    ///     println!("listening on {}", server.local_addr().expect("started"));
    ///     server.serve()
    /// }
    /// ```
    #[doc(alias = "Serve")]
    fn serve(&self) -> Result<()>;

    /// The address it is bound to, with the port the system chose; the first of [`local_addrs`](Self::local_addrs) if it listens on
    /// several ports. `None` before the start.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// All addresses it is bound to, and what is spoken on each: TCP or TLS first, then WebSocket, then KCP. Empty before the start.
    fn local_addrs(&self) -> Vec<(TransportKind, SocketAddr)>;

    /// `Name` of the configuration.
    #[doc(alias = "ServerName")]
    fn server_name(&self) -> &str;

    /// The connections: a handle to keep as long as one likes, and to take into another coroutine.
    #[doc(alias = "GetConnMgr")]
    fn get_conn_mgr(&self) -> Arc<dyn IConnManager>;

    /// The routers.
    #[doc(alias = "GetMsgHandler")]
    fn get_msg_handler(&self) -> &dyn IMsgHandler;

    /// The wire format.
    #[doc(alias = "GetPacket")]
    fn get_packet(&self) -> Arc<dyn IDataPack>;

    /// The hook on the start of a connection, if one is set.
    #[doc(alias = "GetOnConnStart")]
    fn get_on_conn_start(&self) -> Option<Arc<ConnHook>>;

    /// The hook on the stop of a connection, if one is set.
    #[doc(alias = "GetOnConnStop")]
    fn get_on_conn_stop(&self) -> Option<Arc<ConnHook>>;

    /// Runs the start hook for a connection. The machinery does; a program has no need to.
    ///
    /// # Errors
    ///
    /// Those of the hook.
    #[doc(alias = "CallOnConnStart")]
    fn call_on_conn_start(&self, conn: &Arc<dyn IConnection>) -> Result<()>;

    /// Runs the stop hook for a connection. The machinery does; a program has no need to.
    ///
    /// # Errors
    ///
    /// Those of the hook.
    #[doc(alias = "CallOnConnStop")]
    fn call_on_conn_stop(&self, conn: &Arc<dyn IConnection>) -> Result<()>;
}
