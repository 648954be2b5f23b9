//! Why a connection was closed, and what could not be sent before.

use std::fmt;

use super::ResumeRefusal;

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
    /// The time came that was set with `set_read_deadline`.
    ReadDeadline,
    /// Nothing received for as long as the heartbeat allows.
    HeartbeatLost,
    /// Nothing of what waited to be sent has left for `WriteTimeoutMs`: the peer does not read.
    SlowReader,
    /// The server held `max` bytes for its peers (`MaxQueuedBytes`), and for this one, which did not read or whose
    /// messages waited, more than for others.
    HeldTooMuch {
        /// Bytes held for this peer, in the steps in which they are granted.
        held: usize,
        /// The bound for all peers together, in bytes.
        max: usize,
    },
    /// The queue was full and the policy is to disconnect.
    QueueFull,
    /// A handler panicked.
    HandlerPanicked {
        /// The id of the message it handled.
        msg_id: u32,
    },
    /// The start hook panicked or failed.
    StartHookFailed,
    /// Other code of the program panicked that was run for the connection: the wire format when a message was sent, the
    /// function that tells sequence numbers, the destructor of a value.
    Panicked {
        /// Whose code, for example `the wire format`.
        what: &'static str,
        /// What the panic says.
        words: String,
    },
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
    /// The peer has gone back to the connection that it had lost, and taken the socket along.
    Resumed {
        /// The id of that connection.
        conn_id: u64,
    },
    /// The peer has come back to another node of the cluster, and the connection has moved there, with its user, its groups and
    /// what was kept for the peer.
    Moved {
        /// The name of that node.
        node: String,
    },
    /// The peer asked for a connection that it had lost, and did not get it: the one on which it asked, and the one it
    /// asked for if that can never be resumed. On a client: the server refused, for another reason than
    /// [`Busy`](ResumeRefusal::Busy), after which the client tries again.
    ResumeRefused {
        /// Why.
        why: ResumeRefusal,
    },
    /// An operator closed it, over the admin plane, or the program did, by `ClusterUser::kick`.
    Kicked,
    /// [`IConnection::stop`](super::IConnection::stop) was called.
    Stopped,
    /// [`IConnection::abort`](super::IConnection::abort) was called.
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
                write!(f, "frame of {len} bytes exceeds the decoder's limit of {max} bytes")
            }
            Self::BadFrame { reason } => write!(f, "bad frame: {reason}"),
            Self::FirstFrameTimeout => f.write_str("no frame within FirstFrameTimeoutMs"),
            Self::FrameTimeout => f.write_str("a frame was not complete within FrameTimeoutMs"),
            Self::IdleTimeout => f.write_str("nothing received within IdleTimeoutMs"),
            Self::ReadDeadline => f.write_str("the read deadline has come"),
            Self::HeartbeatLost => f.write_str("no heartbeat within HeartbeatMax"),
            Self::SlowReader => f.write_str("the peer did not read within WriteTimeoutMs"),
            Self::HeldTooMuch { held, max } => {
                write!(
                    f,
                    "{held} bytes held for this peer, more than for others, as MaxQueuedBytes {max} was reached"
                )
            }
            Self::QueueFull => f.write_str("the send queue was full, and QueueFull is disconnect"),
            Self::HandlerPanicked { msg_id } => write!(f, "the handler of message id {msg_id} panicked"),
            Self::StartHookFailed => f.write_str("the start hook failed"),
            Self::Panicked { what, words } => write!(f, "{what} panicked: {words}"),
            Self::BadPayload { msg_id, reason } => {
                write!(f, "the payload of message id {msg_id} cannot be read: {reason}")
            }
            Self::RateLimited => f.write_str("the peer sent more than its rate limit"),
            Self::LoggedInElsewhere => f.write_str("the user has logged in on another connection"),
            Self::SessionEnded => f.write_str("the session has ended"),
            Self::SessionFailed { error } => write!(f, "the session failed: {error}"),
            Self::Resumed { conn_id } => write!(f, "the peer is back on connection {conn_id}"),
            Self::Moved { node } => write!(f, "the peer is back on node {node}"),
            Self::ResumeRefused { why } => write!(f, "not resumed: {why}"),
            Self::Kicked => f.write_str("closed by an operator"),
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
