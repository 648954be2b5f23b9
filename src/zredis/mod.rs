//! A link to a Redis over coroutine sockets: the commands and the parser are those of the `redis` crate, the sockets ours.
//!
//! Commands of any number of coroutines leave in one write, and their answers come in order. A caller waits for a limited time;
//! if the link is down it waits not at all. Nothing here knows of servers.

// Where the Redis is, and what a new connection says first,
mod address;
pub(crate) use address::Address;

// which one is the master if it has sentinels,
mod sentinels;

// what is read and written, encrypted or not,
mod stream;

// a command that waits for its answer,
mod slot;
pub(crate) use slot::Failed;

// and the link.
mod link;
pub(crate) use link::{Link, Opening};

#[cfg(test)]
// It is tried without a Redis.
mod trials;
