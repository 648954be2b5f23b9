//! Close callbacks: one user stays and prints what it is told; another comes, speaks, and goes.
//!
//! Run it: `cargo run --example close_callback_client -- 127.0.0.1:7777`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::ziface::{IClient, IRequest};
use zinx::{Client, Result, new_client};

/// A user's client, and what it is told.
fn log_in(host: &str, port: u16, user: u64) -> Result<(Client, Arc<Queue<String>>)> {
    let client = new_client(host, port)?;
    let told = Arc::new(Queue::bounded(16));
    let heard = Arc::clone(&told);
    client.add_router(3, move |request: &dyn IRequest| {
        drop(heard.put(String::from_utf8_lossy(request.get_data()).into_owned()));
        Ok(())
    })?;
    client.set_on_conn_start(move |conn| conn.send_msg(1, user.to_string()));
    client.start()?;
    Ok((client, told))
}

fn talk(host: &str, port: u16) -> Result<()> {
    let (stays, told) = log_in(host, port, 1)?;
    let next = || println!("user 1 is told: {}", told.get().unwrap_or_default());
    next();
    let (goes, _) = log_in(host, port, 2)?;
    next();
    if let Some(conn) = goes.conn() {
        conn.send_msg(2, "hello, all")?;
    }
    next();
    goes.stop();
    next();
    stays.stop();
    stays.wait_stopped(Duration::from_secs(5));
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
    zinx::exit(talk(host, port.parse().unwrap_or(7777)))
}
