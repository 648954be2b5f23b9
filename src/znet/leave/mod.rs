//! How a connection leaves: why, in which order, and who is told.

// One thread finds the idle, the stalled and the slow,
pub(super) mod sweeper;

// The heartbeat that is set,
pub(super) mod beat;

// and sends the heartbeats.
pub(super) mod heartbeat;

// Who has to go if all peers together hold too much memory.
pub(super) mod eviction;

// The last frame tells the peer why.
pub(super) mod last_word;

// The close, in one order.
pub(super) mod closing;

// Who is told of it:
pub(super) mod close_listeners;

// its context and its close callbacks,
pub(super) mod context;

// the hooks of the program, too.
pub(super) mod hooks;
