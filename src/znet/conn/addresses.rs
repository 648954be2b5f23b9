//! The two addresses of a connection, in few bytes.

use std::net::{SocketAddr, SocketAddrV4};

#[derive(Clone)]
/// Our end and the peer's. A `SocketAddr` has room for IPv6, which most connections do not need twice.
pub(crate) enum Addresses {
    V4(SocketAddrV4, SocketAddrV4),
    Other(Box<(SocketAddr, SocketAddr)>),
}

impl Addresses {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        match (local, remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Self::V4(local, remote),
            both => Self::Other(Box::new(both)),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::V4(local, _) => (*local).into(),
            Self::Other(both) => both.0,
        }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        match self {
            Self::V4(_, remote) => (*remote).into(),
            Self::Other(both) => both.1,
        }
    }
}
