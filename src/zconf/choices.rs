//! The keys whose value is one of a few words. Words are accepted in any case.

/// How messages are framed on the wire: `DataPack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PackKind {
    /// `ltv_little_endian`: length, id, value, as in the tutorial and the Python port. The default.
    #[default]
    LtvLittleEndian,
    /// `tlv_big_endian`: id, length, value, the default of Go Zinx today.
    TlvBigEndian,
}

/// What a send does when the queue to its peer is full: `QueueFull`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueFull {
    /// `wait`: waits for room, at most `QueueWaitMs`, then fails. The default.
    #[default]
    Wait,
    /// `fail`: fails at once; the connection stays.
    Fail,
    /// `drop_oldest`: drops the oldest queued frames until the new one fits.
    DropOldest,
    /// `disconnect`: closes the connection to the slow peer.
    Disconnect,
}

/// What happens to a peer that connects when `MaxConn` is reached: `MaxConnPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaxConnPolicy {
    /// `close`: closed at once, nothing is written to it. The default.
    #[default]
    Close,
    /// `wait`: waits in the system's backlog until a connection ends.
    Wait,
}

/// What happens to a connection that sends more than its rate: `OverRate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverRate {
    /// `wait`: it is not read from until the rate is kept again: the peer feels a slow network, and nothing is lost. The
    /// default.
    #[default]
    Wait,
    /// `close`: it closes in order, with [`RateLimited`](crate::ziface::CloseReason::RateLimited).
    Close,
}

/// How connections are given to workers when `WorkerPoolSize` is not 0: `WorkerMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerMode {
    /// `Hash` or the empty word: worker = connection id modulo `WorkerPoolSize`. The default.
    #[default]
    Hash,
    /// `Bind`: a worker a connection. `WorkerPoolSize` of them are made at the start, others when a connection needs
    /// them; all are kept for the connections to come.
    Bind,
    /// `DynamicBind`: a worker per connection: one of the `WorkerPoolSize` kept ones if one is free, else a temporary
    /// one.
    DynamicBind,
}

/// A value that is written as a word.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// The words and their values; the first word of a value is the one shown.
    const WORDS: &'static [(&'static str, Self)];
}

impl Word for PackKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ltv_little_endian", Self::LtvLittleEndian), ("tlv_big_endian", Self::TlvBigEndian)];
}

impl Word for QueueFull {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("wait", Self::Wait),
        ("fail", Self::Fail),
        ("drop_oldest", Self::DropOldest),
        ("disconnect", Self::Disconnect),
    ];
}

impl Word for MaxConnPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("close", Self::Close), ("wait", Self::Wait)];
}

impl Word for OverRate {
    const WORDS: &'static [(&'static str, Self)] = &[("wait", Self::Wait), ("close", Self::Close)];
}

impl Word for WorkerMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("Hash", Self::Hash), ("Bind", Self::Bind), ("DynamicBind", Self::DynamicBind), ("", Self::Hash)];
}
