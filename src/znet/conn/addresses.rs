//! The two addresses of a connection, in few bytes, and what counts as one address.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

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

/// What counts as one address: a home has a whole /64 of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_home_count_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.1.2.3"), "10.1.2.3");
    }
}
