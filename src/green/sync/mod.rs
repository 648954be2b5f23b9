//! What coroutines and threads wait for, and share: gevent's names, each usable from both.
//!
//! Each is a lock around its state and a list of those who wait ([`park`](super::runtime::park)). [`select`] waits for
//! several of them at once.

pub(super) mod sleep;

// One thing happens.
pub(super) mod async_result;
pub(super) mod barrier;
pub(super) mod event;

// One at a time, or a few.
pub(super) mod condition;
pub(super) mod dummy_semaphore;
pub(super) mod rlock;
pub(super) mod semaphore;

// Values go from one to another.
pub(super) mod channel;
pub(super) mod queue;

// Whichever comes first.
pub(super) mod select;
pub(super) mod wait;
