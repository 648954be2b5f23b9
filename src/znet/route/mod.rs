//! From a message to the handler of the program.

// A message becomes a request,
pub(super) mod request;

// passes the interceptors,
pub(super) mod chain;

// finds its route by its id,
pub(super) mod dispatch;

// in the table of routers.
pub(super) mod table;

// A route runs its handlers step by step: those of the program,
pub(super) mod route;

// the ready-made ones,
pub(super) mod middleware;

// and the gate for peers that have not logged in,
pub(super) mod login_gate;

// which a program sets here.
pub(super) mod require_login;

// A handler reads the payload as text, JSON or protobuf.
pub(super) mod payload;

// What happens to one that cannot be read.
pub(super) mod bad_payload;

// If workers handle requests, they wait here for their turn,
pub(super) mod tasks;

// a worker takes them from its queue,
pub(super) mod workers;

// and handles them.
pub(super) mod run_tasks;

// Whoever looks from outside sees which handler runs,
pub(super) mod observe;

#[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "nobody can look"))]
// and what all of them took.
pub(super) mod route_stats;

// A worker that would have to wait for a peer hands its queue to another coroutine.
pub(super) mod aside;
