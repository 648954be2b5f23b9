//! bluelet's echo server: `cargo run --example bluelet_echo`, and in a second terminal `nc localhost 4915`.
//!
//! Another port: `cargo run --example bluelet_echo [port]`. `RUST_LOG=info` tells the address.

use std::error::Error;
use std::io;

use zinx::green::bluelet::{self, Connection};

fn echoer(conn: &mut Connection) -> io::Result<()> {
    loop {
        let data = conn.recv(1024)?;
        if data.is_empty() {
            return Ok(());
        }
        conn.sendall(data)?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let port = std::env::args().nth(1).map_or(Ok(4915), |port| port.parse())?;
    Ok(bluelet::run(move || bluelet::server("", port, echoer))?)
}
