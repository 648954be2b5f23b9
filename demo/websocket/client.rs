//! A client that speaks WebSocket.
//!
//! Run it beside the server: `cargo run --features websocket --example websocket_client [address]`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::prelude::*;
use zinx::znet::new_client_with_url;

fn talk() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "ws://localhost:9000/".to_string());
    let client = new_client_with_url(&address)?;
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "hello"));
    client.add_router(1, |request: &dyn IRequest| {
        println!("echo: {}", String::from_utf8_lossy(request.get_data()));
        request.get_connection().stop();
        Ok(())
    })?;
    client.start()?;
    client.wait_stopped(std::time::Duration::from_secs(10));
    Ok(())
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn,may=warn")).init();
    exit(talk())
}
