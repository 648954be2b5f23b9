//! Why a connection is not resumed.

use std::fmt;

/// Why a peer that comes back with a token does not get its connection again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeRefusal {
    /// The token was never issued for this connection.
    WrongToken,
    /// The token has been used, and the one that took its place has reached the peer.
    UsedToken,
    /// There is no such connection any more: the peer comes too late, or it was closed on purpose.
    Gone,
    /// More was sent since than `ResumeFrames` and `ResumeBytes` allow to keep.
    OverBound,
    /// The peer says that it has received more than was sent.
    BadCount,
    /// Something else came first: a connection is resumed by the first frame on a new one.
    NotFirst,
    /// The handler of the connection has not returned in time, or another has come back first. The token stays good.
    Busy,
}

impl fmt::Display for ResumeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongToken => "wrong token",
            Self::UsedToken => "the token has been used",
            Self::Gone => "the connection is gone",
            Self::OverBound => "more was sent than is kept",
            Self::BadCount => "more counted than was sent",
            Self::NotFirst => "not the first frame",
            Self::Busy => "the connection is busy",
        })
    }
}
