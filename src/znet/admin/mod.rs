//! A server seen from outside, by the person who operates it: over HTTP, on threads of its own.
//!
//! Nothing here runs on a worker, and it takes no lock that is held across a wait: it answers also while all handlers
//! compute.

// The plane, and which address leads to what,
pub(super) mod plane;

// who may ask,
mod guard;

// what a browser shows,
mod live;

// which part of a list is asked for,
mod page;

// and which entries of it,
mod search;

// what is answered: the server as a whole,
mod vars;

// its connections,
mod conns;

// and where their code waits,
mod waits;

// those that have closed,
mod closed;

// its routes,
mod routes;

// all of that in figures,
mod metrics;

// with those of the process,
mod process;

// its groups and users,
mod people;

// addresses that are banned,
mod bans;

// the nodes of its cluster,
mod cluster;

// its coroutines,
mod coroutines;

// the frames of a few of them, as they come and leave,
mod trace;

// and what is done to it.
mod acts;
