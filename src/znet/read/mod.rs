//! From the bytes of the peer to messages.

// A connection's way through life: start hook, read, handle, close.
pub(super) mod rider;

// What the peer has sent becomes messages, each of which is handled.
pub(super) mod reader;

// What it leaves between two rides,
pub(super) mod unread;

// and what it notes for those who look from outside.
pub(super) mod observer;

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

// and the rest of a peer that sends faster;
pub(super) mod keep_rate;

// how much of what it sent may wait here,
pub(super) mod held;

// and the wait for room;
pub(super) mod hold;

// by when it has to send,
pub(super) mod read_deadline;

// and setting and keeping that time.
pub(super) mod keep_deadline;
