//! What the connections of a server share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::clock::Clock;
use super::counters::Counters;
use super::history::History;
use super::life::ServerLife;
use super::talk::Talk;
use crate::error::{Error, Result};
use crate::green::{Backoff, Event, Group, Until, drop_contained, drop_each, list_also};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};
use crate::zconf::{Config, PackKind};
use crate::ziface::{CloseReason, ConnHook, IConnection, IDataPack, IDecoder, IServer, TransportKind};
use crate::znet::conn::conn_manager::ConnManager;
use crate::znet::enter::bans::Bans;
use crate::znet::leave::beat::Heart;
use crate::znet::resume::away::Absent;
use crate::znet::route::route_stats::RouteStats;
use crate::znet::route::table::MsgHandler;
#[cfg(feature = "tls")]
use crate::znet::transport::certificates::Certificates;
#[cfg(feature = "websocket")]
use crate::znet::transport::ws_rules::WsRules;
use crate::znet::tutorial;
use crate::znet::write::bounds::Bounds;
use crate::zpack::Framing;

/// What the connections of a server share. A server is a value: nothing here is global.
pub(crate) struct Core {
    /// What the server goes by now: a reload replaces it. What is looked at for each message is in cells of its own.
    config: Lock<Arc<Config>>,
    /// Held by the reload that is in progress.
    pub(super) reloading: Lock<()>,
    configured_name: String,
    name: OnceLock<String>,
    stop_reason: CloseReason,
    /// Makes the server, or what stands for it, that a connection names.
    as_server: fn(Arc<Self>) -> Arc<dyn IServer>,
    pub(super) pack: OnceLock<Pack>,
    pub(super) decoder: OnceLock<Arc<dyn IDecoder>>,
    pub(super) framing: OnceLock<Framing>,
    bounds: Bounds,
    clock: Clock,
    handler: MsgHandler,
    hooks: Lock<Hooks>,
    talk: Talk,
    heart: OnceLock<Heart>,
    manager: Arc<ConnManager>,
    /// Peers that have been let in and are no connections yet. Changed under the lock of the entrance.
    pub(crate) arriving: AtomicUsize,
    /// Readers and writers of all connections.
    group: Group,
    /// What runs beside them.
    tasks: Group,
    /// Pauses of the acceptor, ended by a connection that goes.
    backoff: Backoff,
    /// Set once the server begins to stop.
    stopping: Event,
    /// Set where the stop must not wait any longer.
    pub(crate) hurried: Event,
    /// Set where connections that close one after the other, in a drain, are to close now.
    pub(crate) unpaced: Event,
    /// Set once it has stopped.
    pub(crate) stopped: Event,
    pub(crate) life: Lock<ServerLife>,
    pub(crate) counters: Counters,
    /// Connections whose peer is away.
    pub(crate) absent: Absent,
    /// Addresses that are refused for a time.
    pub(crate) bans: Bans,
    pub(crate) ban_log: Throttle,
    refused_log: Throttle,
    pub(crate) closed_log: Throttle,
    pub(crate) handler_log: Throttle,
    pub(crate) unknown_log: Throttle,
    pub(crate) login_log: Throttle,
    pub(crate) panic_log: Throttle,
    pub(crate) start_hook_log: Throttle,
    pub(crate) stop_hook_log: Throttle,
    pub(crate) hook_log: Throttle,
    pub(crate) cut_off_log: Throttle,
    pub(crate) handshake_log: Throttle,
    #[cfg(feature = "websocket")]
    pub(crate) ws_rules: Arc<WsRules>,
    #[cfg(feature = "tls")]
    pub(crate) certificates: OnceLock<Certificates>,
    #[cfg(feature = "admin")]
    history: Option<Box<History>>,
}

/// What happens to an idle connection: the answer of the idle hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleAction {
    /// It closes, with [`CloseReason::IdleTimeout`](crate::ziface::CloseReason::IdleTimeout).
    Close,
    /// It stays, and its idle time begins again.
    Keep,
}

type IdleHook = dyn Fn(&Arc<dyn IConnection>) -> IdleAction + Send + Sync;

#[derive(Default, Clone)]
pub(crate) struct Hooks {
    pub(crate) start: Option<Arc<ConnHook>>,
    pub(crate) stop: Option<Arc<ConnHook>>,
    pub(crate) idle: Option<Arc<IdleHook>>,
}

/// The wire format.
pub(super) struct Pack {
    pub(super) pack: Arc<dyn IDataPack>,
    pub(super) built_in: Option<PackKind>,
}

impl Core {
    /// What the connections share that close with `stop_reason` when all stops.
    pub(crate) fn new(
        config: Config,
        stop_reason: CloseReason,
        as_server: fn(Arc<Self>) -> Arc<dyn IServer>,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            as_server,
            name: OnceLock::new(),
            pack: OnceLock::new(),
            decoder: OnceLock::new(),
            framing: OnceLock::new(),
            bounds: Bounds::new(&config),
            clock: Clock::new(),
            handler: MsgHandler::new(&config),
            hooks: Lock::new(Hooks::default()),
            talk: Talk::default(),
            heart: OnceLock::new(),
            manager: Arc::new(ConnManager::new()),
            arriving: AtomicUsize::new(0),
            group: Group::new(),
            tasks: Group::new(),
            backoff: Backoff::new(),
            stopping: Event::new(),
            hurried: Event::new(),
            unpaced: Event::new(),
            stopped: Event::new(),
            life: Lock::default(),
            counters: Counters::default(),
            absent: Absent::default(),
            bans: Bans::default(),
            ban_log: Throttle::new(),
            refused_log: Throttle::new(),
            closed_log: Throttle::new(),
            handler_log: Throttle::new(),
            unknown_log: Throttle::new(),
            login_log: Throttle::new(),
            panic_log: Throttle::new(),
            start_hook_log: Throttle::new(),
            stop_hook_log: Throttle::new(),
            hook_log: Throttle::new(),
            cut_off_log: Throttle::new(),
            handshake_log: Throttle::new(),
            #[cfg(feature = "websocket")]
            ws_rules: Arc::new(WsRules::new(&config)),
            #[cfg(feature = "tls")]
            certificates: OnceLock::new(),
            #[cfg(feature = "admin")]
            history: is_watched(&config, &stop_reason).then(Box::default),
            stop_reason,
            reloading: Lock::default(),
            configured_name: config.name.clone(),
            config: Lock::new(Arc::new(config)),
        });
        let writers: Weak<Self> = Arc::downgrade(&core);
        list_also(writers);
        core
    }

    /// What is remembered for those who look from outside; `None` if nobody can.
    #[cfg(feature = "admin")]
    pub(crate) fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    #[cfg(not(feature = "admin"))]
    pub(crate) const fn history(&self) -> Option<&History> {
        None
    }

    /// What is remembered of the routes.
    pub(crate) fn route_stats(&self) -> Option<&RouteStats> {
        self.history()?.routes.get()
    }

    /// So much has come from a peer, or gone to one.
    pub(crate) fn count_in(&self, bytes: usize) {
        if let Some(history) = self.history() {
            history.bytes_in.add_many(bytes);
        }
    }

    pub(crate) fn count_out(&self, messages: usize, bytes: usize) {
        if let Some(history) = self.history() {
            history.messages_out.add_many(messages);
            history.bytes_out.add_many(bytes);
        }
    }

    /// Whether there is, or will be, an admin plane to show what is noted for it.
    pub(crate) fn is_watched(&self) -> bool {
        self.history().is_some()
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock())
    }

    /// Goes by another configuration from now on.
    pub(super) fn set_config(&self, config: Config) {
        let before = std::mem::replace(&mut *self.config.lock(), Arc::new(config));
        drop(before);
    }

    /// The name that was set, or the one in the configuration.
    pub(crate) fn name(&self) -> &str {
        self.name.get().unwrap_or(&self.configured_name)
    }

    /// Sets the name, once.
    pub(crate) fn set_name(&self, name: String) -> Result<()> {
        self.name.set(name).map_err(|_| Error::AlreadyStarted { what: "set the name" })
    }

    /// The name of this server among the nodes of its cluster.
    pub(crate) fn node_name(&self) -> Arc<str> {
        let config = self.config();
        if config.node_name.is_empty() { self.name().into() } else { config.node_name.as_str().into() }
    }

    /// The server of a connection.
    pub(crate) fn as_server(self: &Arc<Self>) -> Arc<dyn IServer> {
        (self.as_server)(Arc::clone(self))
    }

    /// Why connections close that the stop closes.
    pub(crate) const fn stop_reason(&self) -> &CloseReason {
        &self.stop_reason
    }

    pub(crate) const fn talk(&self) -> &Talk {
        &self.talk
    }

    pub(crate) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// By when what begins to close now has to be closed: in `DrainMs`.
    pub(crate) fn drain_deadline(&self) -> Until {
        match self.config().drain_ms {
            0 => Until::never(),
            millis => Until::after_running(Duration::from_millis(millis)),
        }
    }

    /// By when a peer has to have said something; 0: never. A server may say nothing to its clients.
    pub(crate) fn first_frame_timeout_ms(&self, config: &Config) -> u64 {
        if self.stop_reason == CloseReason::ClientStopped { 0 } else { config.first_frame_timeout_ms }
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) const fn handler(&self) -> &MsgHandler {
        &self.handler
    }

    pub(crate) fn manager(&self) -> &ConnManager {
        &self.manager
    }

    /// How many places of `MaxConn` are taken: a connection whose peer is away takes none, for the peer needs one to come back.
    pub(crate) fn places_taken(&self) -> usize {
        let connections = self.manager.places().saturating_sub(self.absent.len());
        connections + self.arriving.load(Ordering::Acquire)
    }

    /// The connections, to keep.
    pub(crate) fn shared_manager(&self) -> Arc<ConnManager> {
        Arc::clone(&self.manager)
    }

    pub(crate) const fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) const fn tasks(&self) -> &Group {
        &self.tasks
    }

    pub(crate) const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    pub(crate) const fn stopping(&self) -> &Event {
        &self.stopping
    }

    pub(crate) fn heart(&self) -> Option<&Heart> {
        self.heart.get()
    }

    /// Sets the heartbeat; the first stays.
    pub(crate) fn set_heart(&self, heart: Heart) {
        self.heart.get_or_init(|| heart);
    }

    pub(crate) fn hooks(&self) -> Hooks {
        self.hooks.lock().clone()
    }

    pub(crate) fn set_hooks(&self, set: impl FnOnce(&mut Hooks)) {
        let mut hooks = self.hooks.lock();
        let before = hooks.clone();
        set(&mut hooks);
        drop(hooks);
        // Dropped after the lock: what they own may use the server.
        drop(before);
    }

    pub(crate) fn call_start_hook(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        self.hooks().start.map_or(Ok(()), |hook| {
            tutorial::say_hook();
            hook(conn)
        })
    }

    pub(crate) fn call_stop_hook(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        self.hooks().stop.map_or(Ok(()), |hook| {
            tutorial::say_hook();
            hook(conn)
        })
    }

    /// Whether a peer is a proxy that says for whom it speaks: by a PROXY header, or in its request of WebSocket.
    pub(crate) fn may_speak_for_others(&self, kind: TransportKind, peer: IpAddr) -> bool {
        let asks = matches!(kind, TransportKind::WebSocket | TransportKind::SecureWebSocket);
        let config = self.config();
        (config.proxy_protocol || asks) && config.trusted_proxies.contain(peer)
    }

    /// Counts and logs, at a bounded rate, that the machine had no room for a connection or for its writer.
    pub(crate) fn log_refused(&self, why: &dyn std::fmt::Display) {
        self.counters.refused.add();
        throttled!(warn, self.refused_log, "refused: {why}");
    }
}

/// A server is, that has an admin plane; no client is.
#[cfg(feature = "admin")]
fn is_watched(config: &Config, stop_reason: &CloseReason) -> bool {
    *stop_reason == CloseReason::ServerStopped && config.admin_address().is_some()
}

/// What the program has set is dropped with the last handle: piece by piece, contained.
impl Drop for Core {
    fn drop(&mut self) {
        let hooks = std::mem::take(self.hooks.get_mut());
        drop_each([hooks.start, hooks.stop]);
        drop_contained(hooks.idle);
        drop_each(std::mem::take(&mut self.life().tasks));
        drop_contained(self.framing.take());
        drop_contained(self.decoder.take());
        drop_contained(self.pack.take());
    }
}
