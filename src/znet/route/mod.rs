//! From a message to the handler of the program.

// A message becomes a request,
pub(super) mod request;

// passes the interceptors,
pub(super) mod chain;

// finds its route by its id,
pub(super) mod dispatch;

// which runs its handlers step by step:
pub(super) mod route;

// those that a program has set before the start,
pub(super) mod routing;

// the ready-made ones,
pub(super) mod middleware;

// and the gate for peers that have not logged in.
pub(super) mod login_gate;

// A handler reads the payload as text, JSON or protobuf.
pub(super) mod payload;

// If workers handle requests, they wait here for their turn,
pub(super) mod tasks;

// and a worker takes them.
pub(super) mod workers;

// A worker that would have to wait for a peer hands its queue to another coroutine.
pub(super) mod aside;
