//! The server: what a program builds, starts and stops.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admin_plane::{admin_addresses, open_admin};
use super::core::{Core, IdleAction};
use super::joining::join_cluster;
use super::needs::check_limits;
use super::notify;
use super::transports::{Wanted, listen, wanted};
use crate::error::{Error, Result};
use crate::green::{self, Thread};
use crate::zconf::Config;
use crate::ziface::sealed::Sealed;
use crate::ziface::{
    CloseReason, ConnHook, IConnManager, IConnection, IDataPack, IMsgHandler, IServer, TransportKind,
};

/// A server configured by `zinx.yaml` and the environment: see [`Config::load`].
///
/// # Errors
///
/// [`Error::Config`] with every problem of the configuration.
#[doc(alias = "NewServer")]
#[doc(alias = "NewDefaultRouterSlicesServer")]
pub fn new_server() -> Result<Server> {
    new_server_with_config(Config::load()?)
}

/// A server with a configuration of its own.
///
/// # Errors
///
/// [`Error::Config`] if a value is out of range.
///
/// # Examples
///
/// ```
/// use zinx::prelude::*;
///
/// # fn main() -> zinx::Result<()> {
/// let mut config = Config::default(); // or Config::load(), to change what the file says
/// config.tcp_port = 0;
/// config.max_conn = 100;
/// let server = new_server_with_config(config)?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "NewServerWithConfig")]
#[doc(alias = "NewUserConfServer")]
#[doc(alias = "NewUserConfDefaultRouterSlicesServer")]
pub fn new_server_with_config(config: Config) -> Result<Server> {
    config.validate()?;
    Ok(Server { core: Core::new(config, CloseReason::ServerStopped, Server::dyn_of) })
}

/// A server. Clones share it.
///
/// | to | use |
/// |---|---|
/// | handle messages | [`add_router`](Self::add_router), [`set_not_found`](Self::set_not_found); lists of handlers by [`add_router_slices`](Self::add_router_slices), [`group`](Self::group), [`use_`](Self::use_) |
/// | hold a whole dialogue in one function | [`on_session`](Self::on_session) |
/// | run code when a connection begins, ends, is idle | [`set_on_conn_start`](Self::set_on_conn_start), [`set_on_conn_stop`](Self::set_on_conn_stop), [`set_on_idle`](Self::set_on_idle) |
/// | require a login | [`require_login`](Self::require_login); the users by [`sessions`](Self::sessions) |
/// | send to many | [`get_group`](Self::get_group), [`get_groups`](Self::get_groups); all connections by [`get_conn_mgr`](IServer::get_conn_mgr); users and groups on other nodes by [`cluster`](Self::cluster) |
/// | choose the bytes on the wire | [`set_packet`](Self::set_packet), [`set_decoder`](Self::set_decoder); what was chosen: [`get_packet`](IServer::get_packet), [`get_length_field`](Self::get_length_field) |
/// | see messages before their routers | [`add_interceptor`](Self::add_interceptor) |
/// | set limits | [`set_rate_limits`](Self::set_rate_limits), [`set_bad_payload`](Self::set_bad_payload); all others are [keys of the configuration](Config) |
/// | find dead peers | [`start_heart_beat`](Self::start_heart_beat), [`start_heart_beat_with_option`](Self::start_heart_beat_with_option), [`get_heart_beat`](Self::get_heart_beat) |
/// | match answers by a sequence number | [`set_call_sequence`](Self::set_call_sequence) |
/// | speak TLS and WebSocket, with their features | [`reload_certificates`](#method.reload_certificates), [`set_websocket_auth`](#method.set_websocket_auth) |
/// | run | [`start`](IServer::start), [`serve`](IServer::serve) |
/// | learn where it listens, and its name | [`local_addr`](IServer::local_addr), [`local_addrs`](IServer::local_addrs), with the feature `admin` [`admin_addr`](#method.admin_addr); [`server_name`](IServer::server_name) |
/// | run something beside the connections | [`spawn`](Self::spawn), [`context`](Self::context) |
/// | change its configuration while it runs | [`reload`](Self::reload) |
/// | stop | [`stop`](IServer::stop), [`drain`](Self::drain), [`wait_stopped`](Self::wait_stopped) |
/// | read its counters | [`stats`](Self::stats) |
/// | look at what was set, or call it | [`get_msg_handler`](IServer::get_msg_handler), [`get_on_conn_start`](IServer::get_on_conn_start), [`get_on_conn_stop`](IServer::get_on_conn_stop), [`call_on_conn_start`](IServer::call_on_conn_start), [`call_on_conn_stop`](IServer::call_on_conn_stop) |
///
/// # Examples
///
/// ```no_run
/// use zinx::new_server;
/// use zinx::ziface::{IRequest, IServer};
///
/// # fn main() -> zinx::Result<()> {
/// let server = new_server()?;
/// server.add_router(1, |request: &dyn IRequest| {
///     request.get_connection().send_msg(1, "pong\n")
/// })?;
/// server.serve()
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    core: Arc<Core>,
}

impl Server {
    /// The server that a connection belongs to.
    pub(super) fn dyn_of(core: Arc<Core>) -> Arc<dyn IServer> {
        Arc::new(Self { core })
    }

    /// Sets what decides about a connection on which nothing was received for `IdleTimeoutMs`. Without it the
    /// connection closes.
    pub fn set_on_idle(&self, hook: impl Fn(&Arc<dyn IConnection>) -> IdleAction + Send + Sync + 'static) {
        self.core().set_hooks(|hooks| hooks.idle = Some(Arc::new(hook)));
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The first signal stops in order, a second one cuts off; SIGHUP reads the configuration again. Heard by a thread, whatever
    /// coroutines do.
    fn heed(&self, signals: &green::Terminate) -> Result<()> {
        let (queue, this) = (signals.queue(), self.clone());
        let listen = move || {
            let mut stops = false;
            for signal in queue.iter() {
                if signal == green::HANGUP {
                    // The log says what has become of it.
                    let _ = this.reload();
                } else if !std::mem::replace(&mut stops, true) {
                    log::info!("signal {signal}: stopping; a second one cuts off what is still open");
                    this.stop();
                } else {
                    log::info!("signal {signal}: cutting off what is still open");
                    this.core().hurry();
                }
            }
        };
        let started = Thread::start("zinx-stop-on", listen);
        started.map(drop).map_err(|source| Error::io("start the thread that hears signals", source))
    }
}

/// A call of `serve`. Dropped, by a kill, a time limit or a panic, it asks the server to stop: which is nothing new where it
/// has stopped.
struct Serving<'a>(&'a Server);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Sealed for Server {}

impl IServer for Server {
    fn start(&self) -> Result<()> {
        let core = self.core();
        let (wanted, admin) = if core.has_begun() {
            (Wanted::new(), Vec::new())
        } else {
            (wanted(&core.config())?, admin_addresses(&core.config())?)
        };
        // Dropped after the lock of the life if the start fails: it waits for Redis.
        let mut membership = if core.has_begun() { None } else { join_cluster(core)? };
        core.begin(|life, config| {
            config.tell_warnings();
            check_limits(config);
            core.talk().rates.configure(config);
            open_admin(core, life, &admin)?;
            listen(core, life, wanted).inspect_err(|_| drop(life.admin.take()))?;
            life.cluster = membership.take();
            Ok(())
        })
    }

    fn stop(&self) {
        self.core().stop();
    }

    fn serve(&self) -> Result<()> {
        let core = self.core();
        // Caught before anybody can know that the server runs; heard once it does, for the first coroutine of all fixes
        // the runtime, and that is the start's to choose.
        let signals = core.config().handle_signals.then(green::on_terminate_or_hangup).transpose();
        let signals = signals.map_err(|source| Error::io("catch SIGINT and SIGTERM", source))?;
        core.serve_from(self.start())?;
        let serving = Serving(self);
        signals.iter().try_for_each(|signals| self.heed(signals))?;
        notify::ready(core)
            .map_err(|source| Error::io("start the thread that tells the service manager", source))?;
        self.core.stopped.wait();
        drop(serving);
        drop(signals);
        match self.core().counters.forced.load(Ordering::Acquire) {
            0 => Ok(()),
            open => Err(Error::Forced { open }),
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.core().life().locals.first().map(|(_, address)| *address)
    }

    fn local_addrs(&self) -> Vec<(TransportKind, SocketAddr)> {
        self.core().life().locals.clone()
    }

    fn server_name(&self) -> &str {
        self.core().name()
    }

    fn get_conn_mgr(&self) -> Arc<dyn IConnManager> {
        self.core().shared_manager()
    }

    fn get_on_conn_start(&self) -> Option<Arc<ConnHook>> {
        self.core().hooks().start
    }

    fn get_on_conn_stop(&self) -> Option<Arc<ConnHook>> {
        self.core().hooks().stop
    }

    fn get_msg_handler(&self) -> &dyn IMsgHandler {
        self.core().handler()
    }

    fn get_packet(&self) -> Arc<dyn IDataPack> {
        Arc::clone(self.core().shared_pack())
    }

    fn call_on_conn_start(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        self.core().call_start_hook(conn)
    }

    fn call_on_conn_stop(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        self.core().call_stop_hook(conn)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// Turns the result of `serve` into the exit code of `main`: flushes the log, prints an error on stderr, in one line if it is one,
/// and maps configuration errors to 2, others to 1.
pub fn exit(result: Result<()>) -> ExitCode {
    log::logger().flush();
    let Err(error) = result else { return ExitCode::SUCCESS };
    // If stderr is closed, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(if matches!(error, Error::Config(_)) { 2 } else { 1 })
}
