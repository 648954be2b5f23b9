//! Everything that can go wrong, with its numbers.

pub(crate) mod config;
mod from;

use std::time::Duration;
use std::{fmt, io};

use self::config::ConfigErrors;
use crate::rounded::Rounded;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with its numbers.
///
/// What is ordinary is not an error: a peer that leaves between two frames is a clean end, a stopped server is
/// `Ok(())`, a miss in the connection manager is `None`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has problems; all of them are listed.
    Config(ConfigErrors),
    /// An operation of the system failed; `what` says which, with its address or file.
    Io {
        /// What was being done, for example `bind 127.0.0.1:7777`.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A frame announces more payload than `MaxPacketSize` allows.
    PacketTooLarge {
        /// The length the header announces, in bytes.
        len: u64,
        /// `MaxPacketSize`, in bytes.
        max: u32,
    },
    /// A frame cannot be understood.
    BadFrame {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A frame is longer than its decoder accepts.
    FrameTooLarge {
        /// Its whole length, in bytes; if no end has come, what has come and one.
        len: u64,
        /// The longest accepted, in bytes.
        max: u64,
    },
    /// A frame's length field says less than the frame must have.
    FrameTooShort {
        /// The whole length it says, in bytes.
        len: i64,
        /// What it must have at least, in bytes.
        least: usize,
    },
    /// A frame's checksum is not that of its bytes.
    BadCrc {
        /// The checksum in the frame.
        found: u16,
        /// The checksum of its bytes.
        expected: u16,
    },
    /// A decoder cannot be made of these parameters.
    BadDecoder {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The wire format says that its heads have a length that no head has.
    BadHead {
        /// The length it says, in bytes.
        len: usize,
        /// The longest, in bytes. The shortest is 1; without a head a decoder has to cut what is received.
        max: usize,
    },
    /// Code of the program panicked that the framework has called. It is contained: for a frame that is read, or a message
    /// that is sent, the connection closes and says why ([`get_close_reason`](crate::ziface::IConnection::get_close_reason)).
    Panicked {
        /// Whose code, for example `the wire format`.
        what: &'static str,
        /// What the panic says.
        words: String,
    },
    /// The connection is closed or closing: nothing can be sent on it any more.
    ConnectionClosed,
    /// The queue of frames to a peer is full and its policy does not wait, or the wait was too long.
    QueueFull {
        /// Bytes queued on the connection when the frame was refused.
        bytes: usize,
        /// Frames queued on the connection when the frame was refused.
        messages: usize,
        /// How long the sender waited for room.
        waited: Duration,
    },
    /// The queue of requests to a worker, or to a connection's own coroutine, is full, and stayed so.
    TaskQueueFull {
        /// Its length, `MaxWorkerTaskLen`.
        len: usize,
    },
    /// The connection is in as many groups as it may be.
    TooManyGroups {
        /// `MaxGroupsPerConn`.
        max: usize,
    },
    /// A router for this message id exists already.
    RepeatedRouter {
        /// The message id.
        msg_id: u32,
    },
    /// A message id is not in the range of its group of routers.
    OutOfGroup {
        /// The message id.
        msg_id: u32,
        /// The first id of the group.
        first: u32,
        /// The last id of the group.
        last: u32,
    },
    /// No connection has this id.
    ConnectionNotFound {
        /// The connection id.
        conn_id: u64,
    },
    /// The connection has no property of this name.
    PropertyNotFound {
        /// The name asked for.
        name: String,
    },
    /// The server has been started, so this can no longer be changed.
    AlreadyStarted {
        /// What was to be changed.
        what: &'static str,
    },
    /// The server has been stopped: it cannot be started again.
    Stopped,
    /// The call would wait for the coroutine that makes it.
    WouldDeadlock {
        /// The call.
        what: &'static str,
    },
    /// What was waited for has not come in time.
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// Messages that came while another was waited for fill the room to keep them (`MaxKeptMessages`, `MaxKeptBytes`).
    KeptFull {
        /// Messages kept.
        messages: usize,
        /// Their payloads, in bytes.
        bytes: usize,
    },
    /// The payload of a message is not what its handler reads.
    BadPayload {
        /// The message id.
        msg_id: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The user is logged in on another connection.
    LoggedIn {
        /// The user.
        uid: String,
        /// The other connection.
        conn_id: u64,
    },
    /// The user is logged in nowhere.
    UserOffline {
        /// The user.
        uid: String,
    },
    /// The other nodes of the cluster cannot be reached.
    ClusterUnavailable {
        /// Why.
        reason: String,
    },
    /// The cluster has no node of this name.
    NodeNotFound {
        /// The name asked for.
        node: String,
    },
    /// A node has no task with this id.
    TaskNotFound {
        /// The id asked for.
        task_id: u32,
    },
    /// The node has no filter with this id.
    FilterNotFound {
        /// The id asked for.
        filter_id: u32,
    },
    /// A filter with this id exists already.
    RepeatedFilter {
        /// The id.
        filter_id: u32,
    },
    /// A task with this id exists already.
    RepeatedTask {
        /// The id.
        task_id: u32,
    },
    /// Only the connection's own coroutine can do this: a handler or hook of the same connection.
    NotOnConnection {
        /// The call.
        what: &'static str,
    },
    /// A second signal or the drain deadline forced the stop.
    Forced {
        /// How many connections were still open.
        open: usize,
    },
    /// A second server asks for another coroutine runtime than the one this process has.
    RuntimeMismatch {
        /// The setting: `Workers`, `StackBytes` or `MaxStacks`.
        what: &'static str,
        /// What the runtime has.
        have: usize,
        /// What was asked for.
        asked: usize,
    },
    /// An error from a handler of the user, passed through `?`.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the system with what was being done.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// Wraps any error or text, for handlers that return their own. An [`Error`] within comes out as it was.
    ///
    /// The errors a handler meets most often need no wrapping, `?` converts them: [`io::Error`], those of reading text
    /// and numbers, of JSON and protobuf under their features, of [`green`](crate::green), a `&str`, a `String`, a
    /// `Box<dyn std::error::Error>`.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn double(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let number: u32 = std::str::from_utf8(request.get_data())?.trim().parse()?;
    ///     let doubled = number.checked_mul(2).ok_or("too large")?;
    ///     request.get_connection().send_msg(2, doubled.to_string())
    /// }
    ///
    /// fn ask_database() -> Result<u32, Box<dyn std::error::Error>> {
    ///     Err("not today".into())
    /// }
    ///
    /// fn answer(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let answer = ask_database()?;
    ///     request.get_connection().send_msg(3, answer.to_be_bytes())
    /// }
    /// ```
    pub fn other(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        source.into().downcast::<Self>().map_or_else(Self::Other, |own| *own)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => errors.fmt(f),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::PacketTooLarge { len, max } => {
                write!(f, "packet of {len} bytes exceeds MaxPacketSize {max}")
            }
            Self::BadFrame { reason } => write!(f, "bad frame: {reason}"),
            Self::FrameTooLarge { len, max } => {
                write!(f, "frame of {len} bytes exceeds the decoder's limit of {max} bytes")
            }
            Self::FrameTooShort { len, least } => {
                write!(f, "frame of {len} bytes is too short: its decoder needs at least {least} bytes")
            }
            Self::BadCrc { found, expected } => {
                write!(f, "checksum {found:#06x} in the frame, but its bytes have {expected:#06x}")
            }
            Self::BadDecoder { reason } => write!(f, "bad decoder: {reason}"),
            Self::BadHead { len: 0, .. } => {
                f.write_str("a wire format without a head, and no decoder to tell where a frame ends")
            }
            Self::BadHead { len, max } => {
                write!(f, "a wire format with heads of {len} bytes, more than {max}")
            }
            Self::Panicked { what, words } => write!(f, "{what} panicked: {words}"),
            Self::ConnectionClosed => f.write_str("the connection is closed"),
            Self::QueueFull { bytes, messages, waited } => {
                write!(f, "send queue full: {messages} messages, {bytes} bytes queued")?;
                if !waited.is_zero() {
                    write!(f, " after waiting {}", Rounded(*waited))?;
                }
                f.write_str(" (MaxMsgChanLen, MaxMsgChanBytes, MaxQueuedBytes)")
            }
            Self::TooManyGroups { max } => {
                write!(f, "the connection is in {max} groups already (MaxGroupsPerConn)")
            }
            Self::TaskQueueFull { len } => {
                write!(f, "task queue full: {len} requests wait (MaxWorkerTaskLen)")
            }
            Self::RepeatedRouter { msg_id } => write!(f, "message id {msg_id} already has a router"),
            Self::OutOfGroup { msg_id, first, last } => {
                write!(f, "message id {msg_id} is not in the group from {first} to {last}")
            }
            Self::ConnectionNotFound { conn_id } => write!(f, "no connection has the id {conn_id}"),
            Self::PropertyNotFound { name } => write!(f, "the connection has no property {name:?}"),
            Self::AlreadyStarted { what } => write!(f, "cannot {what}: already started"),
            Self::Stopped => f.write_str("stopped for good: to start again, make a new one"),
            Self::WouldDeadlock { what } => {
                write!(f, "{what} would wait for its own coroutine: call it from another one")
            }
            Self::TimedOut { what, waited } => write!(f, "{what}: nothing came within {}", Rounded(*waited)),
            Self::KeptFull { messages, bytes } => {
                write!(
                    f,
                    "no room to keep more messages for later: {messages} messages, {bytes} bytes are kept"
                )?;
                f.write_str(" (MaxKeptMessages, MaxKeptBytes)")
            }
            Self::BadPayload { msg_id, reason } => {
                write!(f, "the payload of message id {msg_id} cannot be read: {reason}")
            }
            Self::LoggedIn { uid, conn_id } => {
                write!(f, "user {uid:?} is already logged in on connection {conn_id}")
            }
            Self::UserOffline { uid } => write!(f, "user {uid:?} is not logged in"),
            Self::ClusterUnavailable { reason } => write!(f, "the cluster cannot be reached: {reason}"),
            Self::NodeNotFound { node } => write!(f, "the cluster has no node {node:?}"),
            Self::TaskNotFound { task_id } => write!(f, "the node has no task {task_id}"),
            Self::FilterNotFound { filter_id } => write!(f, "the node has no filter {filter_id}"),
            Self::RepeatedFilter { filter_id } => write!(f, "there is already a filter {filter_id}"),
            Self::RepeatedTask { task_id } => write!(f, "there is already a task {task_id}"),
            Self::NotOnConnection { what } => {
                write!(f, "{what} works in a handler or hook of its own connection only")
            }
            Self::Forced { open } => {
                let were = if *open == 1 { "connection was" } else { "connections were" };
                write!(f, "the stop was forced: {open} {were} still open")
            }
            Self::RuntimeMismatch { what, have, asked } => write!(
                f,
                "{what} is {asked}, but the first server of this process has set it to {have} for all"
            ),
            Self::Other(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(errors) => Some(errors),
            Self::Io { source, .. } => Some(source),
            Self::Other(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::Io { what: "I/O".to_string(), source }
    }
}
