//! How a connection leaves: why, in which order, and what is told.

// One thread finds the idle, the stalled and the slow,
pub(super) mod sweeper;

// by the heartbeat too, which a program sets for all connections or for one.
pub(super) mod beat;

// It is sent, and a silent peer is found, here.
pub(super) mod heartbeat;

// If all peers together hold too much memory, some have to go.
pub(super) mod eviction;

// The last frame tells the peer why.
pub(super) mod last_word;

// The close, in one order.
pub(super) mod closing;

// What was the fault of the peer counts against its address.
mod faults;

// Those who are told of it:
pub(super) mod close_listeners;

// code that waits on the context, and the close callbacks,
pub(super) mod context;

// and the hooks of the program.
pub(super) mod hooks;
