//! The life of a coroutine: how it is spawned, what is known of it, how it ends, and many of them at once.
//!
//! [`greenlet`] spawns it and holds its result, [`coroutine`] is what all others see of it, and [`record`] what
//! the crate keeps about it. A kill and a time limit are one mechanism, [`interrupt`].

// One coroutine.
pub(super) mod builder;
pub(super) mod coroutine;
pub(super) mod dump;
pub(super) mod greenlet;
pub(super) mod links;
pub(super) mod local;
pub(super) mod purpose;
pub(super) mod record;
pub(super) mod spawn_here;

// How it ends.
pub(super) mod contain;
pub(super) mod cut;
pub(super) mod failed;
pub(super) mod interrupt;
pub(super) mod timeout;
pub(super) mod with_timeout;

// Many of them.
pub(super) mod group;
pub(super) mod imap;
pub(super) mod joinall;
pub(super) mod members;
pub(super) mod pool;
pub(super) mod pool_members;
pub(super) mod scope;
pub(super) mod thread_pool;

// One that yields values.
pub mod generator;
