//! A port for a program that must be told one.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 on which nothing listens, and which no other program gets while this lives.
///
/// A listener on port 0 that is closed again does not give one: a child process that is being started at that moment has
/// inherited the listener, and holds it until it has become another program. A client that connects meanwhile gets a
/// connection, and then a reset. This socket is bound but never listens, so a client that connects is refused; a listener with
/// SO_REUSEADDR, as those of servers have it, can take the port beside it.
pub(crate) struct ReservedPort {
    _bound: Socket,
    pub(crate) address: SocketAddr,
}

impl ReservedPort {
    pub(crate) fn new() -> Self {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.set_reuse_address(true).unwrap();
        bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = bound.local_addr().unwrap().as_socket().unwrap();
        Self { _bound: bound, address }
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }
}
