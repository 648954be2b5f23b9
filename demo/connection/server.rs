//! Chapter 2, the connection: it has an id, two addresses and socket options, and either side may end it.
//!
//! Id 1 is answered with who the peer is, id 2 with a farewell, after which the server stops the connection.
//!
//! Run it: `cargo run --example connection_server`, and in a second terminal `cargo run --example connection_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

fn who_am_i(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    // Addresses and options, never bytes: those go through send_msg, or frames would mix.
    conn.get_tcp_connection().set_keepalive(Some(Duration::from_secs(60)))?;
    println!("conn id {} is {}", conn.get_conn_id(), conn.get_remote_addr());
    conn.send_msg(1, format!("conn id {}, from {}", conn.get_conn_id(), conn.get_remote_addr()))
}

fn bye(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.send_msg(2, "bye")?;
    // Asks, and returns at once. What is queued is still sent, so the farewell arrives.
    conn.stop();
    println!("conn id {}: stopped, because {:?}", conn.get_conn_id(), conn.get_close_reason());
    Ok(())
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, who_am_i)?;
    server.add_router(2, bye)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
