//! The client: one connection, made by us. It is a server's connection in all but its beginning.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::server::Server;
use super::talk::Redial;
use crate::error::{Error, Result};
use crate::green::Queue;
use crate::zconf::Config;
use crate::ziface::sealed::Sealed;
use crate::ziface::{CloseReason, ConnHook, IClient, IConnection, IDataPack, IMsgHandler};
use crate::znet::enter::dialer::{self, Dialer, Reconnect};
use crate::znet::enter::target::Target;

/// A client of the server at `host` and `port`, configured by `zinx.yaml` and the environment: see [`Config::load`].
/// `host` is a name or an address; all its addresses are tried.
///
/// # Errors
///
/// [`Error::Config`] with every problem of the configuration.
#[doc(alias = "NewClient")]
pub fn new_client(host: impl Into<String>, port: u16) -> Result<Client> {
    new_client_with_config(host, port, Config::load()?)
}

/// A client with a configuration of its own. Keys that concern listening have no effect.
///
/// # Errors
///
/// [`Error::Config`] if a value is out of range.
pub fn new_client_with_config(host: impl Into<String>, port: u16, config: Config) -> Result<Client> {
    config.validate()?;
    Ok(client_of(Dialer::new(host.into(), port, Target::default()), config))
}

pub(super) fn client_of(dialer: Dialer, config: Config) -> Client {
    let core = Core::new(config, CloseReason::ClientStopped, Server::dyn_of);
    let dialer = Arc::new(dialer);
    if core.config().resume_ms > 0 {
        core.talk().redial.get_or_init(|| Arc::clone(&dialer) as Arc<dyn Redial>);
    }
    Client { core, dialer }
}

/// A client. Clones share it; dropped, it goes on until it is stopped.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use zinx::new_client;
/// use zinx::ziface::{IClient, IConnection, IRequest};
///
/// # fn main() -> zinx::Result<()> {
/// let client = new_client("localhost", 7777)?;
/// client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "ping"));
/// client.add_router(1, |request: &dyn IRequest| {
///     println!("{:?}", request.get_bytes());
///     Ok(())
/// })?;
/// client.start()?; // an error if nothing listens
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    dialer: Arc<Dialer>,
}

impl Client {
    /// Sets the client's name, in place of `Name` of the configuration: its connections have it.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] once one is set.
    #[doc(alias = "SetName")]
    #[doc(alias = "WithNameClient")]
    pub fn set_name(&self, name: impl Into<String>) -> Result<()> {
        self.core.set_name(name.into())
    }

    /// Sets how long an attempt to connect may take, from the name's resolution on. Default 5 s. Takes effect with the
    /// next attempt.
    pub fn set_dial_timeout(&self, timeout: Duration) {
        self.dialer.set_timeout(timeout);
    }

    /// Lets the client connect again if it cannot connect, or loses the connection. Default `None`: it stops then.
    ///
    /// A connection that the program itself stops or aborts is not made again.
    pub fn set_reconnect(&self, reconnect: impl Into<Option<Reconnect>>) {
        self.dialer.set_reconnect(reconnect.into());
    }

    /// The errors of attempts to connect, oldest first. It holds 64, drops the oldest for a new one, and stays open.
    #[doc(alias = "GetErrChan")]
    pub fn get_err_chan(&self) -> &Queue<Error> {
        self.dialer.errors()
    }

    /// Waits until there is a connection, at most for `timeout`, and returns it.
    pub fn wait_connected(&self, timeout: Duration) -> Option<Arc<dyn IConnection>> {
        self.dialer.wait_connected(timeout)
    }
}

impl Client {
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

/// A call of `start`. Dropped, by a kill, a time limit or a panic, it stops the client, because the caller does not know that it runs.
struct Starting<'a>(&'a Client);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Sealed for Client {}

impl IClient for Client {
    fn start(&self) -> Result<()> {
        let (core, dialer) = (&self.core, &self.dialer);
        core.begin(|life, config| {
            config.tell_warnings();
            dialer.reset();
            let (its_core, its_dialer) = (Arc::clone(core), Arc::clone(dialer));
            let begun = core.group().spawn(dialer::builder(), move || its_dialer.run(&its_core));
            begun.map_err(|source| Error::io("start the dialer", source))?;
            let called_off = Arc::clone(dialer);
            life.interrupt = Some(Box::new(move || called_off.call_off()));
            #[cfg(feature = "kcp")]
            if let Some(kcp) = dialer.kcp() {
                life.settle = Some(Box::new(move |deadline, hurried| kcp.finish(deadline, hurried)));
            }
            Ok(())
        })?;
        let starting = Starting(self);
        let outcome = dialer.first_outcome();
        std::mem::forget(starting);
        outcome
    }

    fn stop(&self) {
        self.core.stop();
    }

    fn restart(&self) -> Result<()> {
        if self.core.is_running() && self.dialer.redial() {
            return Ok(());
        }
        if self.core.has_begun() {
            if self.dialer.is_current() {
                return Err(Error::WouldDeadlock { what: "restart" });
            }
            self.core.stopped.wait();
            self.core.reset();
        }
        self.start()
    }

    fn conn(&self) -> Option<Arc<dyn IConnection>> {
        self.dialer.conn()
    }

    fn get_name(&self) -> &str {
        self.core.name()
    }

    fn get_on_conn_start(&self) -> Option<Arc<ConnHook>> {
        self.core.hooks().start
    }

    fn get_on_conn_stop(&self) -> Option<Arc<ConnHook>> {
        self.core.hooks().stop
    }

    fn get_msg_handler(&self) -> &dyn IMsgHandler {
        self.core.handler()
    }

    fn get_packet(&self) -> Arc<dyn IDataPack> {
        Arc::clone(self.core.shared_pack())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("conn", &self.conn()).finish_non_exhaustive()
    }
}
