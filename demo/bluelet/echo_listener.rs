//! bluelet's longer echo server, with a listener of its own: it prints who comes and goes, and what they say.
//!
//! Run it: `cargo run --example bluelet_echo_listener [port]`, 4915 by default, and beside it `nc localhost 4915`. Ctrl+C ends it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use zinx::green::bluelet::{self, Connection, Listener};
use zinx::green::on_terminate;

fn echo(conn: &mut Connection) -> io::Result<()> {
    loop {
        let data = conn.recv(1024)?;
        if data.is_empty() {
            return Ok(());
        }
        println!("Read from {}: {:?}", conn.addr().ip(), String::from_utf8_lossy(&data));
        conn.sendall(data)?;
    }
}

fn echoer(mut conn: Connection) -> io::Result<()> {
    println!("Connected: {}", conn.addr().ip());
    let echoed = echo(&mut conn);
    println!("Disconnected: {}", conn.addr().ip());
    echoed
}

fn echoserver(port: u16) -> io::Result<()> {
    let (listener, interrupt) = (Arc::new(Listener::new("", port)?), on_terminate()?);
    log::info!("listening on {}", listener.local_addr());
    let ours = Arc::clone(&listener);
    bluelet::spawn(move || {
        interrupt.queue().get();
        ours.close();
    });
    while let Ok(conn) = listener.accept() {
        bluelet::spawn(move || echoer(conn));
    }
    println!("Exiting.");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let port = std::env::args().nth(1).map_or(Ok(4915), |port| port.parse())?;
    Ok(bluelet::run(move || echoserver(port))?)
}
