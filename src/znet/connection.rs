//! A connection: its state, and what a program may ask of it.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::ahead::Ahead;
use super::belongs::Belongs;
use super::calls::Calls;
use super::core::Core;
use super::endings::Endings;
use super::ends::Ends;
use super::outbox::Outbox;
use super::rate::Meter;
use super::server::Server;
use super::tasks::Tasks;
use super::worker_pool::Worker;
use crate::error::{Error, Result};
use crate::green::{Event, Socket, StackMark};
use crate::ziface::sealed::Sealed;
use crate::ziface::{
    CloseReason, IConnection, IContext, IMsgHandler, IRequest, IServer, ITcpConnection, Payload, SendWait,
    Unsent,
};

type Property = Arc<dyn Any + Send + Sync>;

/// One connection of a server. Its reader coroutine (`reader.rs`) runs it from the start hook to the close.
pub(crate) struct Connection {
    id: u64,
    core: Arc<Core>,
    this: Weak<Self>,
    ends: Ends,
    outbox: Outbox,
    tasks: Tasks,
    /// What its handlers have read and not handled.
    ahead: Ahead,
    /// What its peer has been asked.
    calls: Calls,
    /// Where it belongs: its user, its groups.
    belongs: Belongs,
    /// What it has used of its rate.
    meter: OnceLock<Box<Mutex<Meter>>>,
    /// What was asked of the reader: bits of [`STOP`], [`ABORT`], [`IDLE`], [`NOT_ALIVE`], [`TASKS`]. Set before the
    /// socket is interrupted.
    asked: AtomicU8,
    reason: OnceLock<Box<CloseReason>>,
    /// Few, so searched one by one.
    properties: Mutex<Vec<(String, Property)>>,
    endings: Endings,
    reader: StackMark,
    times: Times,
    closed: Event,
}

/// When things happened, in milliseconds of the server's clock; 0 for never. Written by the reader, read by the
/// sweeper.
#[derive(Default)]
pub(crate) struct Times {
    /// The connection was accepted.
    pub(crate) opened: u64,
    /// Something was last received.
    pub(crate) active: AtomicU64,
    /// The frame that has begun to arrive began.
    pub(crate) frame: AtomicU64,
    /// The first whole frame had arrived.
    pub(crate) first_frame: AtomicU64,
    /// A heartbeat was last sent. Written by the sweeper.
    pub(crate) beat: AtomicU64,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        core: Arc<Core>,
        socket: Arc<Socket>,
        local: SocketAddr,
        remote: SocketAddr,
        worker: Option<Arc<Worker>>,
    ) -> Arc<Self> {
        let opened = core.clock().now();
        Arc::new_cyclic(|this| Self {
            id,
            core,
            this: Weak::clone(this),
            ends: Ends::new(local, remote),
            outbox: Outbox::new(socket),
            tasks: Tasks::new(worker),
            ahead: Ahead::default(),
            calls: Calls::default(),
            belongs: Belongs::default(),
            meter: OnceLock::new(),
            asked: AtomicU8::new(0),
            reason: OnceLock::new(),
            properties: Mutex::default(),
            reader: StackMark::default(),
            times: Times { opened, active: AtomicU64::new(opened), ..Times::default() },
            endings: Endings::default(),
            closed: Event::new(),
        })
    }

    /// The connection of a request.
    pub(crate) fn of(request: &dyn IRequest) -> &Self {
        request.get_connection().connection()
    }

    /// The shared form of this connection.
    pub(crate) fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("made by `new`, and a method runs on it")
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(crate) const fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    pub(crate) const fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(crate) fn meter(&self) -> &Mutex<Meter> {
        self.meter.get_or_init(Box::default)
    }

    pub(crate) const fn belongs(&self) -> &Belongs {
        &self.belongs
    }

    /// Whether frames need a closer look than their router: one may be an answer, or a handler has read on.
    pub(crate) fn looks_closely(&self) -> bool {
        self.ahead.has_input() | self.calls.is_open()
    }

    pub(crate) const fn times(&self) -> &Times {
        &self.times
    }

    pub(crate) const fn reader_mark(&self) -> &StackMark {
        &self.reader
    }

    pub(super) const fn endings(&self) -> &Endings {
        &self.endings
    }

    pub(crate) const fn closed(&self) -> &Event {
        &self.closed
    }

    /// Whether the reader should take no more from the socket.
    pub(crate) fn is_stopping(&self) -> bool {
        self.asked.load(Ordering::Acquire) & (STOP | ABORT) != 0
    }

    /// Whether nothing more is to be sent or handled.
    pub(crate) fn is_aborted(&self) -> bool {
        self.asked.load(Ordering::Acquire) & ABORT != 0
    }

    /// Asks for a close in order. The first reason stays.
    pub(crate) fn stop_because(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.calls.close();
        self.ask(STOP);
    }

    /// Asks for a close without sending what is queued. The first reason stays.
    pub(crate) fn abort_because(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.calls.close();
        self.asked.fetch_or(ABORT, Ordering::AcqRel);
        let socket = {
            let mut state = self.outbox.lock();
            state.discard(self.core.bounds());
            state.socket()
        };
        if let Some(socket) = socket {
            socket.shutdown_both();
        }
    }

    /// A send has failed: the peer is gone.
    pub(crate) fn fail_sending(&self) {
        self.abort_because(CloseReason::Failed { error: "the peer has reset the connection".to_string() });
    }

    /// Asks the reader to run the idle hook.
    pub(crate) fn ask_idle(&self) {
        self.ask(IDLE);
    }

    /// Takes a request to run the idle hook.
    pub(crate) fn take_idle(&self) -> bool {
        self.take(IDLE)
    }

    /// Asks the reader what is to become of a peer that is not alive.
    pub(crate) fn ask_not_alive(&self) {
        self.ask(NOT_ALIVE);
    }

    /// Takes that question.
    pub(crate) fn take_not_alive(&self) -> bool {
        self.take(NOT_ALIVE)
    }

    /// Asks the reader to handle what others have queued.
    pub(crate) fn ask_tasks(&self) {
        self.ask(TASKS);
    }

    /// Takes a request to handle what others have queued.
    pub(crate) fn take_tasks(&self) -> bool {
        self.take(TASKS)
    }

    fn take(&self, what: u8) -> bool {
        self.asked.load(Ordering::Acquire) & what != 0
            && self.asked.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    /// Whether it has begun to close.
    pub(super) fn has_reason(&self) -> bool {
        self.reason.get().is_some()
    }

    pub(crate) fn note_reason(&self, reason: CloseReason) {
        // The first stays.
        self.reason.get_or_init(|| Box::new(reason));
        self.endings.begin();
    }

    fn ask(&self, what: u8) {
        if self.asked.fetch_or(what, Ordering::AcqRel) & what == 0 {
            let socket = self.outbox.lock().socket();
            if let Some(socket) = socket {
                socket.interrupt();
            }
        }
    }
}

/// For the log: the id and the peer.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.id, self.ends.remote())
    }
}

impl Sealed for Connection {}

impl IConnection for Connection {
    fn get_conn_id(&self) -> u64 {
        self.id
    }

    fn get_remote_addr(&self) -> SocketAddr {
        self.ends.remote()
    }

    fn get_local_addr(&self) -> SocketAddr {
        self.ends.local()
    }

    fn get_tcp_connection(&self) -> &dyn ITcpConnection {
        self
    }

    fn get_worker_id(&self) -> Option<usize> {
        self.tasks.worker().map(|worker| worker.id())
    }

    fn get_msg_handler(&self) -> &dyn IMsgHandler {
        self.core.handler()
    }

    fn get_tcp_server(&self) -> Arc<dyn IServer> {
        Arc::new(Server::of(Arc::clone(&self.core)))
    }

    fn is_alive(&self) -> bool {
        !self.outbox.lock().is_closed()
    }

    fn stop(&self) {
        self.stop_because(CloseReason::Stopped);
    }

    fn abort(&self) {
        self.abort_because(CloseReason::Aborted);
    }

    fn wait_closed(&self, timeout: Duration) -> Result<bool> {
        // An ended coroutine's stack serves another, so the mark says nothing any more.
        if self.closed.is_set() {
            return Ok(true);
        }
        if self.is_current() {
            return Err(Error::WouldDeadlock { what: "wait_closed" });
        }
        Ok(self.closed.wait_timeout(timeout))
    }

    fn get_close_reason(&self) -> Option<CloseReason> {
        self.reason.get().map(|reason| (**reason).clone())
    }

    fn context(&self) -> Arc<dyn IContext> {
        self.arc()
    }

    fn put_close_callback(&self, handler: &str, key: &str, callback: Box<dyn FnOnce() + Send>) -> Result<()> {
        self.endings.add(handler, key, callback)
    }

    fn remove_close_callback(&self, handler: &str, key: &str) -> usize {
        self.endings.remove(handler, key)
    }

    fn invoke_close_callbacks(&self) {
        self.run_close_callbacks();
    }

    fn get_unsent(&self) -> Unsent {
        self.outbox.lock().unsent()
    }

    fn send_payload(&self, msg_id: u32, data: Payload<'_>, wait: SendWait) -> Result<()> {
        self.send(msg_id, data, wait)
    }

    fn send_bytes(&self, data: Payload<'_>, wait: SendWait) -> Result<()> {
        self.send_raw(&data, wait)
    }

    fn set_property(&self, name: &str, value: Property) {
        let mut properties = lock(&self.properties);
        let replaced = match properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                properties.push((name.to_string(), value));
                None
            }
        };
        drop(properties);
        // Dropped after the lock: its destructor may use the connection.
        drop(replaced);
    }

    fn get_property(&self, name: &str) -> Option<Property> {
        lock(&self.properties).iter().find(|(known, _)| known == name).map(|(_, value)| Arc::clone(value))
    }

    fn remove_property(&self, name: &str) {
        let mut properties = lock(&self.properties);
        let at = properties.iter().position(|(known, _)| known == name);
        let removed = at.map(|at| properties.swap_remove(at));
        drop(properties);
        drop(removed);
    }
}

/// The connection behind the contract, which is sealed: there is no other.
impl dyn IConnection {
    pub(crate) fn connection(&self) -> &Connection {
        let conn: &dyn Any = self;
        conn.downcast_ref().expect("the trait is sealed: no other type implements it")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const STOP: u8 = 1;
const ABORT: u8 = 2;
const IDLE: u8 = 4;
const NOT_ALIVE: u8 = 8;
const TASKS: u8 = 16;
