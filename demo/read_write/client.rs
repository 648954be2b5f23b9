//! Chapter 7, reader and writer apart: the client is that of chapter 6.
//!
//! Run it: `cargo run --example read_write_client -- 127.0.0.1:7777`

#[path = "../msghandler/client.rs"]
mod msghandler;

fn main() -> std::process::ExitCode {
    msghandler::main()
}
