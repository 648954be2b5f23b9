//! Servers that work as one: their nodes, and the users and groups wherever they are connected.
//!
//! Not for messages to the connections of this server alone: those are in `people`.

// What becomes of a message to a user,
pub(super) mod delivery;

// the members of a group,
pub(super) mod member;

// what is counted,
pub(super) mod stats;

// which sends there are while a connection moves,
pub(super) mod sends;

// what a server needs of other nodes,
pub(super) mod remote;

// the programs' own requests from node to node, by their ids,
pub(super) mod tasks;

// the filters of broadcasts, by theirs,
pub(super) mod filters;

// and how tasks are run.
pub(super) mod run_on;

// What a program holds: the cluster,
pub(super) mod cluster;

// what it gives along with a connection,
mod carry;

// a user,
pub(super) mod user;

// a group,
pub(super) mod group;

// everybody, or those of whom a filter says so,
mod broadcasting;

// and all of that with payloads that have a type.
mod typed;

#[cfg(feature = "redis")]
#[macro_use]
// With Redis: what is done there in one step,
mod step;

#[cfg(feature = "redis")]
// which is so for connections that survive their node,
mod durable_scripts;

#[cfg(feature = "redis")]
// and for all else,
mod scripts;

#[cfg(feature = "redis")]
// what nodes write to each other,
mod entry;

#[cfg(feature = "redis")]
// how far this node has read of it,
mod place;

#[cfg(feature = "redis")]
// the requests that wait for an answer,
mod requests;

#[cfg(feature = "redis")]
// this server as a node,
pub(super) mod joined;

#[cfg(feature = "redis")]
// its lease and its logins,
mod keeper;

#[cfg(feature = "redis")]
// what others want of it,
mod inbox;

#[cfg(feature = "redis")]
// what it asks of them,
mod far;

#[cfg(feature = "redis")]
// a connection that moves from one node to another, because its peer does,
mod transfer;

#[cfg(feature = "redis")]
// and one that survives its node.
mod durable;
