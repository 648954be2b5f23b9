//! How a peer enters: from the listener, or from a dialled address, to a connection with a place among the others.

// Listens on a port,
pub(super) mod listener;

// accepts peers,
pub(super) mod acceptor;

// counts the sockets of each address,
pub(super) mod crowd;

// or connects to a server, and again when the connection is lost,
pub(super) mod dialer;

// and gives the connection its place for as long as it lives.
pub(super) mod place;
