//! The network, and other descriptors: reading, writing, accepting and connecting without holding a worker.
//!
//! [`socket`] is the one that waits; the others stand on it.

// Waiting for a descriptor.
pub(super) mod descriptor;
pub(super) mod poll;
pub(super) mod readiness;
pub(super) mod socket;
mod socket_io;

// TCP: a listener, a stream, a client; a server, also of Unix sockets.
pub(super) mod connect;
pub(super) mod dial;
pub(super) mod gate;

// or one that listens already,
pub(super) mod inherited;

// behind a port that can be closed,
pub(super) mod listener;
pub(super) mod port;
pub(super) mod resolve;
pub(super) mod stream;
pub(super) mod stream_server;
pub(super) mod streams;

// How far away its peer is.
#[cfg(feature = "admin")]
pub(super) mod round_trips;

// UDP and Unix sockets.
pub(super) mod datagram;
pub(super) mod datagram_server;
mod socket_file;
pub(super) mod unix;
