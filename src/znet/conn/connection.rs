//! A connection: its state, and what a program may ask of it.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::addresses::Addresses;
use super::asked::Asked;
use super::notes::Notes;
use super::on_demand::{OnDemand, Property};
use super::position::{Code, Entered};
use super::times::Times;
use crate::error::{Error, Result};
use crate::green::{Event, StackMark, drop_contained};
use crate::lock::Lock;
use crate::ziface::sealed::Sealed;
use crate::ziface::{
    CloseReason, IConnection, IContext, IMsgHandler, IRequest, IServer, ITcpConnection, Payload, SendWait,
    TransportKind, Unsent,
};
use crate::znet::leave::close_listeners::CloseListeners;
use crate::znet::people::membership::Membership;
use crate::znet::read::backlog::ReadAhead;
use crate::znet::read::rate::Meter;
use crate::znet::resume::state::Resume;
use crate::znet::route::aside::step_aside;
use crate::znet::route::tasks::Tasks;
use crate::znet::route::workers::Worker;
use crate::znet::server::core::Core;
use crate::znet::talk::calls::Calls;
use crate::znet::transport::Transport;
use crate::znet::transport::line::Line;
use crate::znet::write::outbox::Outbox;

/// One connection of a server. Its reader coroutine (`reader.rs`) runs it from the start hook to the close.
pub(crate) struct Connection {
    id: u64,
    core: Arc<Core>,
    this: Weak<Self>,
    addresses: Addresses,
    /// What carried its bytes first.
    kind: TransportKind,
    /// What carries its bytes.
    line: Line,
    outbox: Outbox,
    tasks: Tasks,
    on_demand: OnceLock<Box<OnDemand>>,
    asked: Asked,
    reader: StackMark,
    times: Times,
    notes: Notes,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        core: Arc<Core>,
        transport: Transport,
        addresses: Addresses,
        worker: Option<Arc<Worker>>,
    ) -> Arc<Self> {
        let on_demand = OnceLock::new();
        // Read, not remembered: no peer is called silent because the sweeper was late.
        let now = core.clock().tick();
        if core.config().resume_ms > 0 {
            let window = Duration::from_millis(core.config().resume_ms);
            on_demand.get_or_init(|| OnDemand::resumable(window, now).into());
        }
        Arc::new_cyclic(|this| Self {
            id,
            this: Weak::clone(this),
            addresses,
            kind: transport.kind(),
            line: Line::new(transport),
            outbox: Outbox::default(),
            tasks: Tasks::new(worker),
            on_demand,
            asked: Asked::default(),
            reader: StackMark::default(),
            times: Times::since(now),
            notes: Notes::new(core.is_watched(), now),
            core,
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

    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The peer's address when the connection was accepted.
    pub(crate) fn accepted_from(&self) -> SocketAddr {
        self.addresses.remote()
    }

    pub(crate) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// What few connections have, if this one does.
    pub(crate) fn on_demand(&self) -> Option<&OnDemand> {
        self.on_demand.get().map(|on_demand| &**on_demand)
    }

    /// The same, made if it is not.
    pub(crate) fn make_on_demand(&self) -> &OnDemand {
        self.on_demand.get_or_init(Box::default)
    }

    pub(crate) fn ahead(&self) -> &ReadAhead {
        &self.make_on_demand().ahead
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.make_on_demand().calls
    }

    pub(crate) fn meter(&self) -> &Lock<Meter> {
        &self.make_on_demand().meter
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.make_on_demand().membership
    }

    /// What is known of its being resumed; `None` if it cannot be.
    pub(crate) fn resume(&self) -> Option<&Resume> {
        self.on_demand()?.resume.as_deref()
    }

    /// Whether frames need a closer look than their router: one may be an answer, or be counted, or a handler has read
    /// on.
    pub(crate) fn looks_closely(&self) -> bool {
        let closely = |on_demand: &OnDemand| {
            on_demand.ahead.has_input() | on_demand.calls.is_open() | on_demand.resume.is_some()
        };
        self.on_demand().is_some_and(closely)
    }

    pub(crate) const fn times(&self) -> &Times {
        &self.times
    }

    /// What is noted of it for those who look from outside.
    pub(crate) const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Counts bytes that have come from the peer, and messages that were handled.
    pub(crate) fn count_in(&self, bytes: usize, messages: usize) {
        if let Some(traffic) = self.notes.traffic() {
            traffic.count_in(bytes, messages);
            self.core.count_in(bytes);
        }
    }

    /// Counts messages that have left, and bytes.
    pub(crate) fn count_out(&self, messages: usize, bytes: usize) {
        if let Some(traffic) = self.notes.traffic() {
            traffic.count_out(bytes);
            self.core.count_out(messages, bytes);
        }
    }

    /// Begins with code of the program, until what is returned is dropped.
    pub(crate) fn enter_code(&self, code: Code) -> Option<Entered<'_>> {
        let position = self.notes.position()?;
        Some(position.enter(code, !self.reader_mark().is_current()))
    }

    pub(crate) const fn reader_mark(&self) -> &StackMark {
        &self.reader
    }

    pub(crate) fn close_listeners(&self) -> &CloseListeners {
        &self.make_on_demand().close_listeners
    }

    pub(crate) fn closed(&self) -> &Event {
        &self.make_on_demand().closed
    }

    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Asks the reader for something, and lets it look.
    pub(crate) fn ask(&self, what: u8) {
        if self.asked.set(what) {
            self.line.interrupt();
            self.wake_away();
        }
    }

    /// Whether the reader should take no more from the socket.
    pub(crate) fn is_stopping(&self) -> bool {
        self.asked.is(Asked::STOP | Asked::ABORT)
    }

    /// Whether nothing more will be sent or handled.
    pub(crate) fn is_aborted(&self) -> bool {
        self.asked.is(Asked::ABORT)
    }

    /// Asks for a close in order. The first reason stays.
    pub(crate) fn stop_because(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.calls().close();
        self.ask(Asked::STOP);
    }

    /// Asks for a close without sending what is queued, and resets the stream: the system too lets go of what it holds for a
    /// peer that does not read. The first reason stays.
    pub(crate) fn abort_because(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.calls().close();
        self.asked.set(Asked::ABORT);
        self.outbox.lock().discard(self.core.bounds());
        if let Some(transport) = self.line.get() {
            transport.reset();
        }
        self.wake_away();
    }

    /// Says that it will be aborted, and why. The caller aborts it later; no other does.
    pub(crate) fn doom(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.asked.set(Asked::ABORT);
    }

    /// Whether it has begun to close.
    pub(crate) fn has_reason(&self) -> bool {
        self.on_demand().is_some_and(|on_demand| on_demand.reason.get().is_some())
    }

    pub(crate) fn note_reason(&self, reason: CloseReason) {
        // The first stays.
        self.make_on_demand().reason.get_or_init(|| reason);
        self.close_listeners().begin();
    }
}

/// What is left may be of the program: messages that a decoder has made, for one.
impl Drop for Connection {
    fn drop(&mut self) {
        self.let_all_go();
        drop_contained(self.on_demand.take());
    }
}

/// For the log: the id and the peer.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.id, self.get_remote_addr())
    }
}

impl Sealed for Connection {}

impl IConnection for Connection {
    fn get_conn_id(&self) -> u64 {
        self.id
    }

    fn get_remote_addr(&self) -> SocketAddr {
        self.resumed_addresses().map_or_else(|| self.addresses.remote(), |(_, remote)| remote)
    }

    fn get_local_addr(&self) -> SocketAddr {
        self.resumed_addresses().map_or_else(|| self.addresses.local(), |(local, _)| local)
    }

    fn get_tcp_connection(&self) -> &dyn ITcpConnection {
        self
    }

    fn get_transport(&self) -> TransportKind {
        self.line.get().map_or(self.kind, |transport| transport.kind())
    }

    fn get_worker_id(&self) -> Option<usize> {
        self.tasks.worker().map(|worker| worker.id())
    }

    fn get_msg_handler(&self) -> &dyn IMsgHandler {
        self.core.handler()
    }

    fn get_tcp_server(&self) -> Arc<dyn IServer> {
        self.core.as_server()
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
        if self.closed().is_set() {
            return Ok(true);
        }
        if self.is_current() {
            return Err(Error::WouldDeadlock { what: "wait_closed" });
        }
        // Without another coroutine for the others, they wait too.
        drop(step_aside());
        Ok(self.closed().wait_timeout(timeout))
    }

    fn get_close_reason(&self) -> Option<CloseReason> {
        self.on_demand()?.reason.get().cloned()
    }

    fn context(&self) -> Arc<dyn IContext> {
        self.arc()
    }

    fn put_close_callback(&self, handler: &str, key: &str, callback: Box<dyn FnOnce() + Send>) -> Result<()> {
        self.close_listeners().add(handler, key, callback)
    }

    fn remove_close_callback(&self, handler: &str, key: &str) -> usize {
        self.close_listeners().remove(handler, key)
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
        self.send_raw(data, wait)
    }

    fn set_property(&self, name: &str, value: Property) {
        self.make_on_demand().set_property(name, value);
    }

    fn get_property(&self, name: &str) -> Option<Property> {
        self.on_demand()?.get_property(name)
    }

    fn remove_property(&self, name: &str) {
        if let Some(on_demand) = self.on_demand() {
            on_demand.remove_property(name);
        }
    }
}

/// The connection behind the contract, which is sealed: there is no other.
impl dyn IConnection {
    pub(crate) fn connection(&self) -> &Connection {
        let conn: &dyn Any = self;
        conn.downcast_ref().expect("the trait is sealed: no other type implements it")
    }
}
