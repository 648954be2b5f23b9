//! Dialogues in straight-line code: a handler asks its peer and goes on with the answer in the next line.

// The questions that wait for an answer,
pub(super) mod calls;

// asking and waiting,
pub(super) mod call;

// a whole dialogue in one function,
pub(super) mod session;

// and the raw stream, for what is not made of frames.
pub(super) mod takeover;
