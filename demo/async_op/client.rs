//! Asynchronous operations: logs in, and gets other answers while the login is looked up.
//!
//! Run it: `cargo run --example async_op_client -- 127.0.0.1:7777`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::ziface::{IClient, IConnection, IRequest};
use zinx::{Result, new_client};

fn talk(host: &str, port: u16) -> Result<()> {
    let client = new_client(host, port)?;
    let answers = Arc::new(Queue::bounded(16));
    let heard = Arc::clone(&answers);
    client.add_router(2, move |request: &dyn IRequest| {
        drop(heard.put(request.get_bytes()));
        Ok(())
    })?;
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| {
        conn.send_msg(1, "login")?;
        conn.send_msg(3, "ping")
    });
    client.start()?;
    for answer in answers.iter().take(3) {
        println!("{answer:?}");
    }
    client.stop();
    client.wait_stopped(Duration::from_secs(5));
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
    zinx::exit(talk(host, port.parse().unwrap_or(7777)))
}
