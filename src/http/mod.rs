//! A small HTTP server for the admin plane: threads of its own, so that it answers whatever coroutines do.
//!
//! It is not for the clients of a program. One request per connection, nothing kept open, everything bounded: the head of a
//! request, its body, the time for both, how many are answered at once. `httparse` reads the head.

// The threads and the sockets,
mod server;

// what comes in,
mod request;

// and what goes out.
mod response;

pub(crate) use request::Request;
pub(crate) use response::Response;
pub(crate) use server::HttpServer;
