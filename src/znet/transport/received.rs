//! What one read of a transport has brought.

/// What one read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes.
    pub(crate) n: usize,
    pub(crate) left: Left,
}

impl Received {
    pub(crate) const NOTHING: Self = Self { n: 0, left: Left::Nothing };

    /// Whether anything has come from the peer, if only what is the transport's own, such as a ping of WebSocket.
    #[inline]
    pub(crate) const fn is_sign_of_life(self) -> bool {
        self.n > 0 || matches!(self.left, Left::More | Left::Begun)
    }
}

/// Whether there may be more to read. Only the transport knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// There may be more, also if this read has brought nothing.
    More,
    /// All that was there has been read: a wait tells when there is more.
    Drained,
    /// There was nothing.
    Nothing,
    /// Of what has come, nothing can be taken yet: it is the [beginning](super::Transport::begun) of a message. There may be more.
    Begun,
    /// The peer has ended its stream.
    End,
}

/// The beginning of a message that only the transport has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Begun {
    /// Bytes that have come.
    pub(crate) received: usize,
    /// Bytes of memory that they take.
    pub(crate) held: usize,
}

/// What a read has brought beside the content of messages: control frames of WebSocket, and frames without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) frames: usize,
    /// Heads included.
    pub(crate) bytes: usize,
}
