//! From the bytes of the peer to messages.

// The coroutine that runs a connection: start hook, read, handle, close.
pub(super) mod reader;

// One read brings bytes,
pub(super) mod input;

// after which both loops wait for more.
pub(super) mod wait;

// A handler that waits for a message reads on by itself:
pub(super) mod read_ahead;

// this is what it has read, and what it keeps for later.
pub(super) mod backlog;

// Frames are cut by the wire format or the decoder of the program.
pub(super) mod codec;

// How fast a peer may send,
pub(super) mod rate;

// (one that sends too fast is not read from for a while)
pub(super) mod keep_rate;

// how much of what it sent may wait here,
pub(super) mod held;

// (if there is no room for it, nothing is read)
pub(super) mod hold;

// and by when it has to send.
pub(super) mod read_deadline;

// and what becomes of a peer that has not.
pub(super) mod keep_deadline;
