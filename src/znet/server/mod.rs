//! A server or a client as a whole: what a program builds, starts and stops, and what its connections share.

// The server,
pub(super) mod server;

// the client: one connection that we make,
pub(super) mod client;

// the clients that speak something else than TCP,
pub(super) mod clients;

// what a program sets on either,
pub(super) mod endpoint;

// and on a server alone.
pub(super) mod setters;

// What the connections share:
pub(super) mod core;

// how messages look,
pub(super) mod format;

// the parts of it that a program asked for,
pub(super) mod talk;

// the time,
pub(super) mod clock;

// and what is counted,
pub(super) mod counters;

// which a program may read;
pub(super) mod stats;

#[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "nobody can look"))]
// what is remembered for those who look from outside;
pub(super) mod history;

// and the writers among the green threads.
pub(super) mod listing;

// Before the start: what the configuration needs of the machine,
pub(super) mod needs;

// and which transports are built in.
pub(super) mod transports;

// With the start begins the place in a cluster, if there is one,
pub(super) mod joining;

// the admin plane, if there is one,
pub(super) mod admin_plane;

// for those who operate the server, as a program may too.
pub(super) mod operate;

// The configuration, read again while the server runs.
pub(super) mod reload;

// Who may come in, although others of its address misbehave,
pub(super) mod banning;

// what the service manager is told,
pub(super) mod notify;

// Start and stop, in one order,
pub(super) mod server_life;

// what runs in between,
pub(super) mod life;

// tasks beside the connections,
pub(super) mod background;

// what its coroutines do,
pub(super) mod doing;

// what is cut off at the stop,
pub(super) mod forced;

// and memory that goes back to the system.
pub(super) mod tidying;
