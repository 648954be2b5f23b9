//! bluelet's echo server: `cargo run --example bluelet_echo [port]`, and beside it `nc localhost 4915`.

use std::error::Error;
use std::io;

use zinx::green::bluelet::{self, Connection};

fn echoer(conn: &mut Connection) -> io::Result<()> {
    println!("Connected: {}", conn.addr().ip());
    loop {
        let data = conn.recv(1024)?;
        if data.is_empty() {
            println!("Disconnected: {}", conn.addr().ip());
            return Ok(());
        }
        println!("Read from {}: {:?}", conn.addr().ip(), String::from_utf8_lossy(&data));
        conn.sendall(&data)?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::builder().filter_level(log::LevelFilter::Info).init();
    let port = std::env::args().nth(1).map_or(Ok(4915), |port| port.parse())?;
    Ok(bluelet::run(move || bluelet::server("", port, echoer))?)
}
