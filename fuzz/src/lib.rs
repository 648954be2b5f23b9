//! What is done to every input, and what must be true of it whatever the input is: a body for each target of
//! `fuzz_targets`, taken in by `tests/fuzz.rs` of the library too. A body panics where a promise is broken.

pub mod config;
pub mod decoders;
pub mod lines;

// How a stream is fed to a decoder, and how an input becomes parameters and a stream.

mod feeding;
mod source;
