//! What has become of a message to a user.

/// What has become of a message to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// It is in the queue of one of the user's connections, at least.
    Delivered,
    /// The queue of the user's connection is full, and its `QueueFull` is not `drop_oldest`: it is not sent.
    Full,
    /// The user is logged in nowhere: it is not sent.
    Offline,
    /// The user's node has not answered in time. The message may still arrive, at most once.
    Unknown,
}

impl Delivery {
    /// Of two connections, or nodes: what is said of both together.
    pub(super) const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Delivered, _) | (_, Self::Delivered) => Self::Delivered,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            _ => Self::Offline,
        }
    }
}
