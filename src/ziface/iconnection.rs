//! A connection.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::sealed::Sealed;
use super::{IContext, IMsgHandler, IServer, ITcpConnection, Payload};
use crate::error::Result;

/// A connection with a peer. Shared as `Arc<dyn IConnection>`; a clone may be kept for as long as one likes, also past
/// the end of the connection.
pub trait IConnection: Sealed + Send + Sync {
    /// The connection's id: 0 for the first of a server, then 1, 2, ..; never reused.
    #[doc(alias = "GetConnID")]
    fn get_conn_id(&self) -> u64;

    /// The connection's id as text.
    #[doc(alias = "GetConnIdStr")]
    fn get_conn_id_str(&self) -> String {
        self.get_conn_id().to_string()
    }

    /// The peer's address.
    #[doc(alias = "RemoteAddr")]
    #[doc(alias = "GetRemoteAddr")]
    fn get_remote_addr(&self) -> SocketAddr;

    /// Our own address.
    #[doc(alias = "LocalAddr")]
    fn get_local_addr(&self) -> SocketAddr;

    /// The socket: its addresses and options, never its bytes.
    #[doc(alias = "GetTCPConnection")]
    #[doc(alias = "GetConnection")]
    fn get_tcp_connection(&self) -> &dyn ITcpConnection;

    /// The number of the worker that handles its requests, from 0; `None` where `WorkerPoolSize` is 0: its own
    /// coroutine does.
    #[doc(alias = "GetWorkerID")]
    fn get_worker_id(&self) -> Option<usize>;

    /// The routers of its server, or of its client.
    #[doc(alias = "GetMsgHandler")]
    fn get_msg_handler(&self) -> &dyn IMsgHandler;

    /// The server it belongs to. On a client's connection its client, seen as a server: it listens nowhere, `stop` stops
    /// it.
    #[doc(alias = "GetTcpServer")]
    fn get_tcp_server(&self) -> Arc<dyn IServer>;

    /// Whether messages can still be sent: the connection has not begun to close, or is in its stop hook.
    #[doc(alias = "IsAlive")]
    fn is_alive(&self) -> bool;

    /// Asks the connection to close in order, and returns at once: what has been read is handled, the stop hook runs,
    /// what is queued is sent within `DrainMs`. Asking again changes nothing.
    #[doc(alias = "Stop")]
    fn stop(&self);

    /// Asks the connection to close without sending what is queued, and returns at once. Handlers that wait to send
    /// get an error. The stop hook still runs.
    fn abort(&self);

    /// Waits until the connection is closed, both its coroutines have ended and the manager has forgotten it.
    /// `Ok(false)` where it was not within `timeout`.
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

    /// Queues a message; the object-safe form of `send_msg` and `try_send_msg`.
    ///
    /// # Errors
    ///
    /// Theirs.
    fn send_payload(&self, msg_id: u32, data: Payload<'_>, may_wait: bool) -> Result<()>;

    /// Queues bytes as they are; the object-safe form of `send` and `send_to_queue`.
    ///
    /// # Errors
    ///
    /// Theirs.
    fn send_bytes(&self, data: Payload<'_>, may_wait: bool) -> Result<()>;

    /// Keeps a value with the connection, replacing one of the same name.
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
    /// Sends a message. It is queued, and on its way as soon as the handler next waits or returns: whole, after all
    /// that was sent before it by anyone, together with what else is queued.
    ///
    /// Where the queue (`MaxMsgChanLen`, `MaxMsgChanBytes`, `MaxQueuedBytes`) is full, `QueueFull` says what happens:
    /// wait for room up to `QueueWaitMs` (the default), fail, drop the oldest, or disconnect.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](crate::Error::ConnectionClosed) once the connection closes,
    /// [`QueueFull`](crate::Error::QueueFull) by policy, [`PacketTooLarge`](crate::Error::PacketTooLarge) for a payload
    /// of 4 GiB.
    #[doc(alias = "SendMsg")]
    pub fn send_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), true)
    }

    /// As [`send_msg`](#method.send_msg): here every message goes through the queue, so the order of all is one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "SendBuffMsg")]
    pub fn send_buff_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), true)
    }

    /// Sends bytes as they are, without a head: for peers with framing of their own. They leave whole, in one order with
    /// all messages, and count as one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "Send")]
    pub fn send<'a>(&self, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_bytes(data.into(), true)
    }

    /// As [`send`](#method.send): here all goes through the queue, so the order of all is one.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    #[doc(alias = "SendToQueue")]
    pub fn send_to_queue<'a>(&self, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_bytes(data.into(), true)
    }

    /// As [`send_msg`](#method.send_msg), but never waits: under the wait policy a full queue is an error. For loops
    /// over many connections, where one that does not read must not hold up the others.
    ///
    /// # Errors
    ///
    /// As [`send_msg`](#method.send_msg).
    pub fn try_send_msg<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        self.send_payload(msg_id, data.into(), false)
    }

    /// Has `callback` run when the connection closes: on its own coroutine, after the stop hook, in the order of adding.
    /// A panic is contained. `handler` and `key` name it for
    /// [`remove_close_callback`](IConnection::remove_close_callback); several may have the same.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](crate::Error::ConnectionClosed) where the callbacks have run already: this one never will.
    #[doc(alias = "AddCloseCallback")]
    pub fn add_close_callback(
        &self,
        handler: &str,
        key: &str,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        self.put_close_callback(handler, key, Box::new(callback))
    }

    /// The value kept under a name, where it is a `T`.
    pub fn get_property_as<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.get_property(name)?.downcast().ok()
    }
}

impl fmt::Debug for dyn IConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {})", self.get_conn_id(), self.get_remote_addr())
    }
}

/// Why a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer ended the stream between two frames.
    PeerClosed,
    /// The peer ended the stream inside a frame, `received` bytes into it.
    PeerClosedInFrame {
        /// Bytes of the frame that had arrived.
        received: usize,
    },
    /// The connection failed: reset, unreachable.
    Failed {
        /// The system's words.
        error: String,
    },
    /// A frame announced more than `MaxPacketSize`.
    PacketTooLarge {
        /// The announced length, in bytes.
        len: u64,
        /// The limit, in bytes.
        max: u32,
    },
    /// A frame was longer than the decoder accepts.
    FrameTooLarge {
        /// Its whole length, in bytes, as far as it is known.
        len: u64,
        /// The limit, in bytes.
        max: u64,
    },
    /// A frame could not be understood.
    BadFrame {
        /// What was wrong with it.
        reason: String,
    },
    /// No frame within `FirstFrameTimeoutMs`.
    FirstFrameTimeout,
    /// A frame begun was not complete within `FrameTimeoutMs`.
    FrameTimeout,
    /// Nothing received within `IdleTimeoutMs`.
    IdleTimeout,
    /// Nothing received for as long as the heartbeat allows.
    HeartbeatLost,
    /// The peer did not take what was sent within `WriteTimeoutMs`.
    SlowReader,
    /// The queue was full and the policy is to disconnect.
    QueueFull,
    /// A handler panicked.
    HandlerPanicked {
        /// The id of the message it handled.
        msg_id: u32,
    },
    /// The start hook panicked or failed.
    StartHookFailed,
    /// A payload was not what its handler reads, and the policy is to close.
    BadPayload {
        /// The message id.
        msg_id: u32,
        /// What was wrong with it.
        reason: String,
    },
    /// The peer sent more than the rate limits allow, and the policy is to close.
    RateLimited,
    /// The user has logged in on another connection.
    LoggedInElsewhere,
    /// The dialogue set with `on_session` has returned.
    SessionEnded,
    /// It has failed or panicked.
    SessionFailed {
        /// Its words.
        error: String,
    },
    /// [`IConnection::stop`] was called.
    Stopped,
    /// [`IConnection::abort`] was called.
    Aborted,
    /// The server stopped.
    ServerStopped,
    /// The client stopped, or made a new connection instead.
    ClientStopped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed"),
            Self::PeerClosedInFrame { received } => {
                write!(f, "the peer closed {received} bytes into a frame")
            }
            Self::Failed { error } => write!(f, "the connection failed: {error}"),
            Self::PacketTooLarge { len, max } => {
                write!(f, "packet of {len} bytes exceeds MaxPacketSize {max}")
            }
            Self::FrameTooLarge { len, max } => {
                write!(f, "frame of {len} bytes exceeds the longest of {max}")
            }
            Self::BadFrame { reason } => write!(f, "bad frame: {reason}"),
            Self::FirstFrameTimeout => f.write_str("no frame within FirstFrameTimeoutMs"),
            Self::FrameTimeout => f.write_str("a frame was not complete within FrameTimeoutMs"),
            Self::IdleTimeout => f.write_str("nothing received within IdleTimeoutMs"),
            Self::HeartbeatLost => f.write_str("no heartbeat"),
            Self::SlowReader => f.write_str("the peer did not read within WriteTimeoutMs"),
            Self::QueueFull => f.write_str("the send queue was full"),
            Self::HandlerPanicked { msg_id } => write!(f, "the handler of message id {msg_id} panicked"),
            Self::StartHookFailed => f.write_str("the start hook failed"),
            Self::BadPayload { msg_id, reason } => write!(f, "payload of message id {msg_id}: {reason}"),
            Self::RateLimited => f.write_str("the peer sent more than its rate"),
            Self::LoggedInElsewhere => f.write_str("the user has logged in on another connection"),
            Self::SessionEnded => f.write_str("the session has ended"),
            Self::SessionFailed { error } => write!(f, "the session failed: {error}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Aborted => f.write_str("aborted"),
            Self::ServerStopped => f.write_str("the server stopped"),
            Self::ClientStopped => f.write_str("the client stopped"),
        }
    }
}

/// What was queued on a connection and could not be sent before it closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Messages of which at least the last byte was not given to the system.
    pub messages: usize,
    /// Bytes not given to the system, heads included.
    pub bytes: usize,
}
