//! Chapter 10, hooks: the client is that of chapter 6.
//!
//! Run it: `cargo run --example hook_client -- 127.0.0.1:7777`

#[path = "../msghandler/client.rs"]
mod msghandler;

fn main() -> std::process::ExitCode {
    msghandler::main()
}
