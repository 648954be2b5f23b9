//! What carries the bytes of a connection.

// The socket that the coroutine of a connection reads from,
pub(super) mod line;

// and the TCP options that a program may set.
pub(super) mod tcp_connection;
