//! What happens to a payload that cannot be read.

/// What happens to a message whose payload is not what its handler reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadPayload {
    /// It is logged, at most once a second. The default.
    #[default]
    Log,
    /// It is answered, with a text that names the message id and the reason.
    Answer {
        /// The id of the answer.
        msg_id: u32,
    },
    /// The connection closes in order, with [`BadPayload`](crate::ziface::CloseReason::BadPayload).
    Close,
}
