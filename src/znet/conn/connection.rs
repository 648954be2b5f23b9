//! A connection: its state, and what a program may ask of it.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use super::addresses::Ends;
use super::asked::{ABORT, STOP};
use super::on_demand::{Property, Rare};
use super::times::Times;
use crate::error::{Error, Result};
use crate::green::{Event, Socket, StackMark, drop_contained};
use crate::ziface::sealed::Sealed;
use crate::ziface::{
    CloseReason, IConnection, IContext, IMsgHandler, IRequest, IServer, ITcpConnection, Payload, SendWait,
    Unsent,
};
use crate::znet::leave::close_listeners::Endings;
use crate::znet::people::membership::Belongs;
use crate::znet::read::rate::Meter;
use crate::znet::read::read_ahead::Ahead;
use crate::znet::resume::resume::Resume;
use crate::znet::route::aside::step_aside;
use crate::znet::route::tasks::Tasks;
use crate::znet::route::workers::Worker;
use crate::znet::server::core::Core;
use crate::znet::server::server::Server;
use crate::znet::talk::calls::Calls;
use crate::znet::write::outbox::Outbox;

/// One connection of a server. Its reader coroutine (`reader.rs`) runs it from the start hook to the close.
pub(crate) struct Connection {
    id: u64,
    core: Arc<Core>,
    this: Weak<Self>,
    ends: Ends,
    outbox: Outbox,
    tasks: Tasks,
    rare: OnceLock<Box<Rare>>,
    /// What was asked of the reader, and that a stop has cut it off: bits of `asked.rs`. Set before the socket is
    /// interrupted.
    pub(crate) asked: AtomicU8,
    reader: StackMark,
    times: Times,
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
        let rare = OnceLock::new();
        if core.config().resume_ms > 0 {
            let window = Duration::from_millis(core.config().resume_ms);
            rare.get_or_init(|| Rare::resumable(window, core.clock().tick()).into());
        }
        Arc::new_cyclic(|this| Self {
            id,
            this: Weak::clone(this),
            ends: Ends::new(local, remote),
            outbox: Outbox::new(socket),
            tasks: Tasks::new(worker),
            rare,
            asked: AtomicU8::new(0),
            reader: StackMark::default(),
            // Read, not remembered: nobody is called silent because the sweeper was late.
            times: Times::since(core.clock().tick()),
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

    /// The same, without keeping it.
    pub(crate) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.this)
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

    /// The peer's address when the connection was accepted.
    pub(crate) fn accepted_from(&self) -> SocketAddr {
        self.ends.remote()
    }

    pub(crate) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// What few connections have, where it is made.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.rare.get().map(|rare| &**rare)
    }

    /// The same, made where it is not.
    pub(crate) fn make_rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    pub(crate) fn ahead(&self) -> &Ahead {
        &self.make_rare().ahead
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.make_rare().calls
    }

    pub(crate) fn meter(&self) -> &Mutex<Meter> {
        &self.make_rare().meter
    }

    pub(crate) fn belongs(&self) -> &Belongs {
        &self.make_rare().belongs
    }

    /// What is known of its being resumed; `None` where it cannot be.
    pub(crate) fn resume(&self) -> Option<&Resume> {
        self.rare()?.resume.as_deref()
    }

    /// Whether frames need a closer look than their router: one may be an answer, or be counted, or a handler has read
    /// on.
    pub(crate) fn looks_closely(&self) -> bool {
        let closely = |rare: &Rare| rare.ahead.has_input() | rare.calls.is_open() | rare.resume.is_some();
        self.rare().is_some_and(closely)
    }

    pub(crate) const fn times(&self) -> &Times {
        &self.times
    }

    pub(crate) const fn reader_mark(&self) -> &StackMark {
        &self.reader
    }

    pub(crate) fn endings(&self) -> &Endings {
        &self.make_rare().endings
    }

    pub(crate) fn closed(&self) -> &Event {
        &self.make_rare().closed
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
        self.calls().close();
        self.ask(STOP);
    }

    /// Asks for a close without sending what is queued, and resets the stream: the system too lets go of what it holds for a
    /// peer that does not read. The first reason stays.
    pub(crate) fn abort_because(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.calls().close();
        self.asked.fetch_or(ABORT, Ordering::AcqRel);
        let socket = {
            let mut state = self.outbox.lock();
            state.discard(self.core.bounds());
            state.socket()
        };
        if let Some(socket) = socket {
            socket.reset();
        }
        self.wake_away();
    }

    /// Says that it will be aborted, and why, before whoever says so can do it: nobody else is to.
    pub(crate) fn doom(&self, reason: CloseReason) {
        self.note_reason(reason);
        self.asked.fetch_or(ABORT, Ordering::AcqRel);
    }

    /// A send has failed: the peer is gone.
    pub(crate) fn fail_sending(&self) {
        self.abort_because(CloseReason::Failed { error: "the peer has reset the connection".to_string() });
    }

    /// Whether it has begun to close.
    pub(crate) fn has_reason(&self) -> bool {
        self.rare().is_some_and(|rare| rare.reason.get().is_some())
    }

    pub(crate) fn note_reason(&self, reason: CloseReason) {
        // The first stays.
        self.make_rare().reason.get_or_init(|| reason);
        self.endings().begin();
    }
}

/// What is left may be of the program: messages that a decoder has made, for one.
impl Drop for Connection {
    fn drop(&mut self) {
        self.let_all_go();
        drop_contained(self.rare.take());
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
        self.resumed_ends().map_or_else(|| self.ends.remote(), |(_, remote)| remote)
    }

    fn get_local_addr(&self) -> SocketAddr {
        self.resumed_ends().map_or_else(|| self.ends.local(), |(local, _)| local)
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
        self.rare()?.reason.get().cloned()
    }

    fn context(&self) -> Arc<dyn IContext> {
        self.arc()
    }

    fn put_close_callback(&self, handler: &str, key: &str, callback: Box<dyn FnOnce() + Send>) -> Result<()> {
        self.endings().add(handler, key, callback)
    }

    fn remove_close_callback(&self, handler: &str, key: &str) -> usize {
        self.endings().remove(handler, key)
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
        self.make_rare().set_property(name, value);
    }

    fn get_property(&self, name: &str) -> Option<Property> {
        self.rare()?.get_property(name)
    }

    fn remove_property(&self, name: &str) {
        if let Some(rare) = self.rare() {
            rare.remove_property(name);
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
