//! What is done to every input, and what must be true of it whatever the input is: a body for each target of
//! `fuzz_targets`, taken in by `tests/fuzz.rs` of the library too. A body panics where a promise is broken.

pub mod config;
pub mod decoders;
#[cfg(feature = "kcp")]
pub mod kcp;
pub mod lines;
pub mod proxy_header;
#[cfg(feature = "websocket")]
pub mod websocket;

// How a stream is fed to a decoder or to a server, and how an input becomes parameters and a stream.

mod feeding;
mod serving;
mod source;
