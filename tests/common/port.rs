//! A port for a program that must be told one.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port on which nothing listens, and which no other program gets while this lives.
///
/// A listener on port 0 that is closed again does not give one: a child process that is being started at that moment has
/// inherited the listener, and holds it until it has become another program. A client that connects meanwhile gets a
/// connection, and then a reset. This socket is bound but never listens, so a client that connects is refused; a listener with
/// SO_REUSEADDR, as those of servers have it, can take the port beside it.
///
/// It is bound for every address, as the server may be: one that is bound for 127.0.0.1 alone may share its port with a
/// connection of another address, which then keeps a server from listening at 0.0.0.0.
pub(crate) struct ReservedPort {
    _bound: Socket,
    pub(crate) address: SocketAddr,
}

impl ReservedPort {
    pub(crate) fn new() -> Self {
        let bound = Self::bound(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into());
        // Not every machine has IPv6.
        let bound = bound.or_else(|_| Self::bound(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, 0).into())).unwrap();
        let port = bound.local_addr().unwrap().as_socket().unwrap().port();
        Self { _bound: bound, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    fn bound(domain: Domain, every: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if domain == Domain::IPV6 {
            // For both kinds of addresses.
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&every.into())?;
        Ok(socket)
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }
}
