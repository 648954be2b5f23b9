//! A connection.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::sealed::Sealed;
use super::{CloseReason, IContext, IMsgHandler, IServer, ITcpConnection, Payload, TransportKind, Unsent};
use crate::error::Result;

/// A connection with a peer. Shared as `Arc<dyn IConnection>`: you may keep a clone for as long as you like, even after the
/// connection has ended. A function of your own takes `&dyn IConnection`, and you pass `conn.as_ref()`.
///
/// | to | use |
/// |---|---|
/// | send a message | [`send_msg`](#method.send_msg), [`try_send_msg`](#method.try_send_msg) that never waits, [`send_buff_msg`](#method.send_buff_msg), [`send_buff_msg_timeout`](#method.send_buff_msg_timeout); with the features `json` and `protobuf` [`send_json`](#method.send_json), [`send_proto`](#method.send_proto) |
/// | send bytes as they are | [`send`](#method.send), [`send_to_queue`](#method.send_to_queue), [`send_to_queue_timeout`](#method.send_to_queue_timeout) |
/// | ask the peer, and go on with its answer | [`call`](#method.call), [`call_with`](#method.call_with) |
/// | read and write raw bytes | [`take_over`](#method.take_over) |
/// | attach a user | [`login`](#method.login), [`logout`](#method.logout), [`get_user`](#method.get_user), [`is_logged_in`](#method.is_logged_in); others through [`sessions`](#method.sessions) |
/// | be in groups | [`join_group`](#method.join_group), [`leave_group`](#method.leave_group), [`is_in_group`](#method.is_in_group), [`get_groups`](#method.get_groups); to send to one [`get_group`](#method.get_group), on all nodes [`cluster`](#method.cluster) |
/// | keep values with it | [`set_property`](Self::set_property), [`get_property`](Self::get_property), [`get_property_as`](#method.get_property_as), [`remove_property`](Self::remove_property) |
/// | end it | [`stop`](Self::stop), [`abort`](Self::abort), [`wait_closed`](Self::wait_closed), [`set_read_deadline`](#method.set_read_deadline), [`set_heart_beat`](#method.set_heart_beat) |
/// | learn that it has ended, and why | [`context`](Self::context), [`add_close_callback`](#method.add_close_callback), [`remove_close_callback`](Self::remove_close_callback), [`get_close_reason`](Self::get_close_reason), [`get_unsent`](Self::get_unsent), [`is_alive`](Self::is_alive) |
/// | identify it | [`get_conn_id`](Self::get_conn_id), [`get_remote_addr`](Self::get_remote_addr), [`get_local_addr`](Self::get_local_addr), [`get_name`](Self::get_name), [`get_worker_id`](Self::get_worker_id); as text [`get_conn_id_str`](Self::get_conn_id_str), [`get_remote_addr_string`](Self::get_remote_addr_string), [`get_local_addr_string`](Self::get_local_addr_string) |
/// | know what carries it | [`get_transport`](#method.get_transport), [`get_tcp_connection`](Self::get_tcp_connection) for socket options; with the feature `tls` [`get_tls_info`](#method.get_tls_info) |
/// | count a fault of its peer, towards a ban | [`report_fault`](#method.report_fault) |
/// | reach its server | [`get_tcp_server`](Self::get_tcp_server), [`get_msg_handler`](Self::get_msg_handler) |
/// | resume it on another socket | [`is_away`](#method.is_away), [`drop_socket`](#method.drop_socket), [`keep_durably`](#method.keep_durably) |
///
/// The server makes its connections and runs each on a coroutine of its own, which reads, and writes what was sent. Between
/// the handlers and the socket there is a bounded queue. A second coroutine, the writer, runs only while the socket is
/// full and a handler is busy or waits. A program starts none of them.
#[doc(alias = "NewConnection")]
#[doc(alias = "StartReader")]
#[doc(alias = "StartWriter")]
#[doc(alias = "msgQueue")]
#[diagnostic::on_unimplemented(
    note = "a `&Arc<dyn IConnection>` is passed to a function that takes `&dyn IConnection` by `conn.as_ref()`"
)]
pub trait IConnection: Sealed + Send + Sync {
    /// The connection's id: 0 for the first of a server, then 1, 2, ..; never reused.
    #[doc(alias = "GetConnID")]
    fn get_conn_id(&self) -> u64;

    /// The connection's id as text.
    #[doc(alias = "GetConnIdStr")]
    fn get_conn_id_str(&self) -> String {
        self.get_conn_id().to_string()
    }

    /// The peer's address. If that is a proxy of `TrustedProxies` which says for which client it speaks, the client's.
    #[doc(alias = "RemoteAddr")]
    #[doc(alias = "GetRemoteAddr")]
    fn get_remote_addr(&self) -> SocketAddr;

    /// Our own address.
    #[doc(alias = "LocalAddr")]
    fn get_local_addr(&self) -> SocketAddr;

    /// The peer's address as text.
    #[doc(alias = "RemoteAddrString")]
    fn get_remote_addr_string(&self) -> String {
        self.get_remote_addr().to_string()
    }

    /// Our own address as text.
    #[doc(alias = "LocalAddrString")]
    fn get_local_addr_string(&self) -> String {
        self.get_local_addr().to_string()
    }

    /// The name of its server, or of its client.
    #[doc(alias = "GetName")]
    fn get_name(&self) -> String {
        self.get_tcp_server().server_name().to_string()
    }

    /// The socket: its addresses and options, never its bytes.
    #[doc(alias = "GetTCPConnection")]
    #[doc(alias = "GetConnection")]
    fn get_tcp_connection(&self) -> &dyn ITcpConnection;

    /// What carries its bytes now; while its peer is away, what carried them when it was accepted.
    fn get_transport(&self) -> TransportKind;

    /// The number of the worker that handles its requests, from 0; `None` if `WorkerPoolSize` is 0: its own
    /// coroutine does.
    #[doc(alias = "GetWorkerID")]
    fn get_worker_id(&self) -> Option<usize>;

    /// The routers of its server, or of its client.
    #[doc(alias = "GetMsgHandler")]
    fn get_msg_handler(&self) -> &dyn IMsgHandler;

    /// The server it belongs to; its connections are [`get_conn_mgr`](IServer::get_conn_mgr). On a client's connection its client, seen as a server: it listens nowhere, `stop` stops
    /// it.
    #[doc(alias = "GetTcpServer")]
    fn get_tcp_server(&self) -> Arc<dyn IServer>;

    /// Whether messages can still be sent: until the stop hook and the close callbacks have run. To learn at once that
    /// the connection is asked to close, ask its [`context`](Self::context): `is_done`.
    #[doc(alias = "IsAlive")]
    fn is_alive(&self) -> bool;

    /// Asks the connection to close in order, and returns at once: what has been read is handled, the stop hook runs,
    /// what is queued is sent within `DrainMs`. Asking again changes nothing.
    ///
    /// Until the stop hook has run, anyone may still send, for a handler may have other coroutines answer for it; what was
    /// taken is sent. Afterwards sending is the error [`ConnectionClosed`](crate::Error::ConnectionClosed). A coroutine
    /// that sends without end, and for which a handler waits, asks `context().is_done()`, which is true from now on.
    #[doc(alias = "Stop")]
    fn stop(&self);

    /// Asks the connection to close without sending what is queued, and returns at once. Handlers that wait to send
    /// get an error. The stop hook still runs.
    fn abort(&self);

    /// Waits until the connection is closed, its coroutine has ended and the manager has forgotten it.
    /// `Ok(false)` if it was not within `timeout`.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`](crate::Error::WouldDeadlock) on the connection's own coroutine, or on its worker.
    fn wait_closed(&self, timeout: Duration) -> Result<bool>;

    /// Why the connection closes or has closed; `None` while it is open.
    fn get_close_reason(&self) -> Option<CloseReason>;

    /// What tells others that the connection ends.
    #[doc(alias = "Context")]
    fn context(&self) -> Arc<dyn IContext>;

    /// Has a callback run when the connection closes; the object-safe form of `add_close_callback`.
    ///
    /// # Errors
    ///
    /// Its.
    fn put_close_callback(&self, handler: &str, key: &str, callback: Box<dyn FnOnce() + Send>) -> Result<()>;

    /// Removes the close callbacks of this handler and key; returns how many there were.
    #[doc(alias = "RemoveCloseCallback")]
    fn remove_close_callback(&self, handler: &str, key: &str) -> usize;

    /// Runs, and takes out, the close callbacks there are. The machinery does when the connection closes; a program has
    /// no need to.
    #[doc(alias = "InvokeCloseCallbacks")]
    fn invoke_close_callbacks(&self);

    /// What was queued but could not be sent. Final once the connection is closed.
    fn get_unsent(&self) -> Unsent;

    /// Queues a message; the object-safe form of `send_msg`, `send_buff_msg_timeout` and `try_send_msg`.
    ///
    /// # Errors
    ///
    /// Theirs.
    fn send_payload(&self, msg_id: u32, data: Payload<'_>, wait: SendWait) -> Result<()>;

    /// Queues bytes as they are; the object-safe form of `send`, `send_to_queue` and `send_to_queue_timeout`.
    ///
    /// # Errors
    ///
    /// Theirs.
    fn send_bytes(&self, data: Payload<'_>, wait: SendWait) -> Result<()>;

    /// Keeps a value with the connection, replacing one of the same name: `conn.set_property("level", Arc::new(7_u32))`.
    #[doc(alias = "SetProperty")]
    fn set_property(&self, name: &str, value: Arc<dyn Any + Send + Sync>);

    /// The value kept under a name. [`get_property_as`](#method.get_property_as) gives it its type.
    #[doc(alias = "GetProperty")]
    fn get_property(&self, name: &str) -> Option<Arc<dyn Any + Send + Sync>>;

    /// Forgets the value kept under a name.
    #[doc(alias = "RemoveProperty")]
    fn remove_property(&self, name: &str);
}

impl dyn IConnection {
    /// Sends a message. It is queued, and on its way as soon as the handler next waits, or has returned and its
    /// coroutine has handled what else had come: whole, after all that was sent before it by anyone, together with what
    /// else is queued.
    ///
    /// If the queue (`MaxMsgChanLen`, `MaxMsgChanBytes`, `MaxQueuedBytes`) is full, `QueueFull` says what happens:
    /// wait for room up to `QueueWaitMs` (the default), fail, drop the oldest, or disconnect. A destructor that runs while
    /// its coroutine unwinds does not wait: a full queue is the error at once.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](crate::Error::ConnectionClosed) once the connection closes,
    /// [`QueueFull`](crate::Error::QueueFull) by policy, [`PacketTooLarge`](crate::Error::PacketTooLarge) for a payload
    /// of 4 GiB.
    #[doc(alias = "SendMsg")]
    pub fn send_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), SendWait::Configured)
    }

    /// As [`send_msg`](#method.send_msg): here every message goes through the queue, so the order of all is one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "SendBuffMsg")]
    pub fn send_buff_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), SendWait::Configured)
    }

    /// As [`send_buff_msg`](#method.send_buff_msg), but if the policy is to wait, waits for room at most for `timeout`, in
    /// place of `QueueWaitMs`.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "WithSendMsgTimeout")]
    #[doc(alias = "SetWriteDeadline")]
    pub fn send_buff_msg_timeout<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        timeout: Duration,
    ) -> Result<()> {
        self.send_payload(msg_id, data.into(), SendWait::AtMost(timeout))
    }

    /// Sends bytes as they are, without a head: for peers with framing of their own. They leave whole, in one order with
    /// all messages, and count as one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "Send")]
    pub fn send<'a>(&self, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_bytes(data.into(), SendWait::Configured)
    }

    /// As [`send`](#method.send): here all goes through the queue, so the order of all is one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "SendToQueue")]
    pub fn send_to_queue<'a>(&self, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_bytes(data.into(), SendWait::Configured)
    }

    /// As [`send_to_queue`](#method.send_to_queue), waiting as
    /// [`send_buff_msg_timeout`](#method.send_buff_msg_timeout) does.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    pub fn send_to_queue_timeout<'a>(&self, data: impl Into<Payload<'a>>, timeout: Duration) -> Result<()> {
        self.send_bytes(data.into(), SendWait::AtMost(timeout))
    }

    /// As [`send_msg`](#method.send_msg), but never waits: under the wait policy a full queue is an error. For loops
    /// over many connections, where one that does not read must not hold up the others.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    pub fn try_send_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), SendWait::Never)
    }

    /// Has `callback` run when the connection closes: on its own coroutine, after the stop hook, in the order of adding.
    /// A panic is contained. `handler` and `key` name it for
    /// [`remove_close_callback`](IConnection::remove_close_callback); several may have the same.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](crate::Error::ConnectionClosed) if the callbacks have run already: this one never will.
    #[doc(alias = "AddCloseCallback")]
    pub fn add_close_callback(
        &self,
        handler: &str,
        key: &str,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        self.put_close_callback(handler, key, Box::new(callback))
    }

    /// The value kept under a name, if it is a `T`.
    pub fn get_property_as<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.get_property(name)?.downcast().ok()
    }
}

impl fmt::Debug for dyn IConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {})", self.get_conn_id(), self.get_remote_addr())
    }
}

/// How long a send waits for room, if the policy is to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendWait {
    /// Not at all.
    Never,
    /// `QueueWaitMs`.
    Configured,
    /// So long.
    AtMost(Duration),
}
