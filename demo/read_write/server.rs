//! Chapter 7, reader and writer apart: the program is that of chapter 6. What has changed is inside: `send_msg` puts the
//! message into a queue, and the queue is sent when the handler waits or returns.
//!
//! Run it: `cargo run --example read_write_server`, and in a second terminal `cargo run --example read_write_client`

#[path = "../msghandler/server.rs"]
mod msghandler;

fn main() -> std::process::ExitCode {
    msghandler::main()
}
