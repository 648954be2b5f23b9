//! A connection: its state, and what a program may ask of it.

// The connection itself,
pub(super) mod connection;

#[cfg(feature = "tls")]
// what TLS has told of its peer,
mod encrypted;

// its two addresses,
pub(super) mod addresses;

// and what is remembered of addresses,
pub(super) mod recent;

// when things happened on it,
pub(super) mod times;

// what others ask of the coroutine that reads it,
pub(super) mod asked;

// what it has only if it is needed,
pub(super) mod on_demand;

// what went over it,
pub(super) mod traffic;

// and a look at its frames, if anybody follows them;
pub(super) mod tap;

// where the code of the program is on it,
pub(super) mod position;

// both only if somebody may look,
pub(super) mod notes;

// and the table of all connections.
pub(super) mod conn_manager;
