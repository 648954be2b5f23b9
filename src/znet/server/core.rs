//! What the connections of a server share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::life::ServerLife;
use super::talk::Talk;
use super::tutorial;
use crate::error::{Error, Result};
use crate::green::{Backoff, Event, Group, Until, drop_contained, drop_each, stood_still};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};
use crate::zconf::{Config, PackKind};
use crate::ziface::{CloseReason, ConnHook, IConnection, IDataPack, IDecoder, IServer};
use crate::znet::conn::conn_manager::ConnManager;
use crate::znet::leave::beat::Heart;
use crate::znet::read::codec::{ContainedDecoder, ContainedPack, LONGEST_HEAD};
use crate::znet::resume::away::Absent;
use crate::znet::route::table::MsgHandler;
use crate::znet::write::bounds::Bounds;
use crate::zpack::{Framing, LtvLittleEndian, TlvBigEndian};

/// What the connections of a server share. A server is a value: nothing here is global.
pub(crate) struct Core {
    config: Config,
    name: OnceLock<String>,
    stop_reason: CloseReason,
    /// Makes the server, or what stands for it, that a connection names.
    as_server: fn(Arc<Self>) -> Arc<dyn IServer>,
    pack: OnceLock<Arc<dyn IDataPack>>,
    decoder: OnceLock<Arc<dyn IDecoder>>,
    framing: OnceLock<Framing>,
    bounds: Bounds,
    clock: Clock,
    handler: MsgHandler,
    hooks: Lock<Hooks>,
    talk: Talk,
    heart: OnceLock<Heart>,
    manager: Arc<ConnManager>,
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
    /// Set once it has stopped.
    pub(crate) stopped: Event,
    pub(crate) life: Lock<ServerLife>,
    pub(crate) counters: Counters,
    /// Connections whose peer is away.
    pub(crate) absent: Absent,
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
}

/// What becomes of an idle connection, said by the idle hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleAction {
    /// It closes, with [`CloseReason::IdleTimeout`](crate::ziface::CloseReason::IdleTimeout).
    Close,
    /// It stays, and its idle time begins anew.
    Keep,
}

type IdleHook = dyn Fn(&Arc<dyn IConnection>) -> IdleAction + Send + Sync;

#[derive(Default, Clone)]
pub(crate) struct Hooks {
    pub(crate) start: Option<Arc<ConnHook>>,
    pub(crate) stop: Option<Arc<ConnHook>>,
    pub(crate) idle: Option<Arc<IdleHook>>,
}

impl Core {
    /// What the connections share that close with `stop_reason` when all stops.
    pub(crate) fn new(
        config: Config,
        stop_reason: CloseReason,
        as_server: fn(Arc<Self>) -> Arc<dyn IServer>,
    ) -> Arc<Self> {
        Arc::new(Self {
            stop_reason,
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
            group: Group::new(),
            tasks: Group::new(),
            backoff: Backoff::new(),
            stopping: Event::new(),
            hurried: Event::new(),
            stopped: Event::new(),
            life: Lock::default(),
            counters: Counters::default(),
            absent: Absent::default(),
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
            config,
        })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// The name that was set, or the one in the configuration.
    pub(crate) fn name(&self) -> &str {
        self.name.get().unwrap_or(&self.config.name)
    }

    /// Sets the name, once.
    pub(crate) fn set_name(&self, name: String) -> Result<()> {
        self.name.set(name).map_err(|_| Error::AlreadyStarted { what: "set the name" })
    }

    /// The server of a connection.
    pub(crate) fn as_server(self: &Arc<Self>) -> Arc<dyn IServer> {
        (self.as_server)(Arc::clone(self))
    }

    /// Why connections close that the stop closes.
    pub(crate) const fn stop_reason(&self) -> &CloseReason {
        &self.stop_reason
    }

    /// The wire format: the one set, or the one the configuration names. Fixed by the first use.
    pub(crate) fn pack(&self) -> &dyn IDataPack {
        &**self.shared_pack()
    }

    pub(crate) fn shared_pack(&self) -> &Arc<dyn IDataPack> {
        self.pack.get_or_init(|| match self.config.data_pack {
            PackKind::LtvLittleEndian => Arc::new(LtvLittleEndian),
            PackKind::TlvBigEndian => Arc::new(TlvBigEndian),
        })
    }

    /// Sets the wire format, unless it is fixed already.
    pub(crate) fn set_pack(&self, pack: impl IDataPack + 'static) -> Result<()> {
        let pack = Arc::new(ContainedPack::new(pack)?);
        self.pack.set(pack).map_err(|_| Error::AlreadyStarted { what: "set the packet format" })
    }

    /// How streams are cut: by the decoder set, or by the wire format. Fixed by the first use.
    pub(crate) fn framing(&self) -> &Framing {
        self.framing.get_or_init(|| match self.decoder.get() {
            Some(decoder) => Framing::Decoder(Arc::clone(decoder)),
            None => Framing::Pack { pack: Arc::clone(self.shared_pack()), max: self.config.max_packet_size },
        })
    }

    /// # Errors
    ///
    /// [`Error::BadHead`] if nothing can tell where a frame ends.
    pub(crate) fn check_framing(&self) -> Result<()> {
        let no_head = self.decoder.get().is_none() && self.pack().get_head_len() == 0;
        if no_head { Err(Error::BadHead { len: 0, max: LONGEST_HEAD }) } else { Ok(()) }
    }

    /// Has streams cut by a decoder.
    pub(crate) fn set_decoder(&self, decoder: Arc<dyn IDecoder>) -> Result<()> {
        let decoder = Arc::new(ContainedDecoder(decoder));
        let late = self.framing.get().is_some() || self.decoder.set(decoder).is_err();
        if late { Err(Error::AlreadyStarted { what: "set the decoder" }) } else { Ok(()) }
    }

    pub(crate) fn decoder(&self) -> Option<&dyn IDecoder> {
        self.decoder.get().map(|decoder| &**decoder)
    }

    pub(crate) const fn talk(&self) -> &Talk {
        &self.talk
    }

    pub(crate) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// By when what begins to close now has to be closed: in `DrainMs`.
    pub(crate) fn drain_deadline(&self) -> Until {
        match self.config.drain_ms {
            0 => Until::never(),
            millis => Until::after_running(Duration::from_millis(millis)),
        }
    }

    /// By when a peer has to have said something; 0: never. A server may say nothing to its clients.
    pub(crate) fn first_frame_timeout_ms(&self) -> u64 {
        if self.stop_reason == CloseReason::ClientStopped { 0 } else { self.config.first_frame_timeout_ms }
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

    /// The same, to keep.
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

    /// Counts and logs, at a bounded rate, that the machine had no room for a connection or for its writer.
    pub(crate) fn log_refused(&self, why: &dyn std::fmt::Display) {
        self.counters.refused.add();
        throttled!(warn, self.refused_log, "refused: {why}");
    }
}

/// Whoever holds the last handle drops what the program has set: piece by piece, contained.
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

/// Milliseconds since the server was made in which the process ran. Read once in a while by the sweeper, so that a pass
/// need not.
pub(crate) struct Clock {
    epoch: Instant,
    /// How long the process had stood still by then.
    stood_still: Duration,
    now: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self { epoch: Instant::now(), stood_still: stood_still(), now: AtomicU64::new(1) }
    }

    /// The last reading, never 0.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// What the clock reads from `at` on, never 0.
    pub(crate) fn reads_at(&self, at: Instant) -> u64 {
        let since = self.ran(at.saturating_duration_since(self.epoch));
        u64::try_from(since.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
    }

    /// Reads the monotonic clock.
    pub(crate) fn tick(&self) -> u64 {
        let ran = self.ran(self.epoch.elapsed());
        let now = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX).max(1);
        self.now.store(now, Ordering::Relaxed);
        now
    }

    /// A time since the epoch, without the time in which the process has stood still.
    fn ran(&self, since: Duration) -> Duration {
        since.saturating_sub(stood_still().saturating_sub(self.stood_still))
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, n: usize) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Counter,
    pub(crate) over_max_conn: Counter,
    pub(crate) over_max_conn_per_address: Counter,
    pub(crate) refused: Counter,
    pub(crate) requests: Counter,
    pub(crate) unknown_ids: Counter,
    pub(crate) late_answers: Counter,
    pub(crate) resumed: Counter,
    pub(crate) resume_refused: Counter,
    pub(crate) start_hooks: Counter,
    pub(crate) stop_hooks: Counter,
    pub(crate) handler_panics: Counter,
    pub(crate) hook_panics: Counter,
    pub(crate) unsent_messages: Counter,
    pub(crate) unsent_bytes: Counter,
    pub(crate) evicted: Counter,
    /// Connections cut off at the stop.
    pub(crate) forced: AtomicUsize,
}
