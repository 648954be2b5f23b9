//! Chapter 9, the connection manager: the program is that of chapter 6. What has changed is inside: the server knows its
//! connections, its log says how many there are, and `MaxConn` limits them.
//!
//! Run it: `cargo run --example connmanager_server`, and in a second terminal `cargo run --example connmanager_client`. With
//! `ZINX_MAXCONN=1 cargo run --example connmanager_server`, a second client is closed at once.

#[path = "../msghandler/server.rs"]
mod msghandler;

fn main() -> std::process::ExitCode {
    msghandler::main()
}
