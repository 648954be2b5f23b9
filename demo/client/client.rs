//! A client with hooks, a router and reconnecting: the server closes after three answers, the client comes back.
//!
//! Run it: `cargo run --example client_client -- localhost:7777`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::ziface::{IClient, IConnection, IRequest};
use zinx::znet::Reconnect;
use zinx::{Result, new_client};

fn talk(host: &str, port: u16) -> Result<()> {
    let client = new_client(host, port)?;
    let answers = Arc::new(Queue::bounded(16));
    let heard = Arc::clone(&answers);
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| {
        println!("connected, connection {}", conn.get_conn_id());
        conn.send_msg(1, "ping")
    });
    client.add_router(1, move |request: &dyn IRequest| {
        println!("==> Recv Msg: ID={}, data={:?}", request.get_msg_id(), request.get_bytes());
        // Nobody counts any more once it is full.
        let _ = heard.try_put(());
        request.get_connection().send_msg(1, "ping")
    })?;
    client.set_dial_timeout(Duration::from_secs(2));
    client.set_reconnect(Reconnect { attempts: 10, ..Reconnect::default() });
    client.start()?;
    for _ in answers.iter().take(6) {}
    client.stop();
    client.wait_stopped(Duration::from_secs(5));
    println!("stopped");
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
    zinx::exit(talk(host, port.parse().unwrap_or(7777)))
}
