//! Chapter 8, the worker pool: a fixed number of coroutines handles the messages of all connections.
//!
//! Every message of id 1 is answered with its own words and with who handled it.
//!
//! Run it: `ZINX_WORKERPOOLSIZE=2 cargo run --example worker_pool_server`, and in a second terminal
//! `cargo run --example worker_pool_client`. Without the setting, every connection handles its own.

use std::process::ExitCode;
use std::time::Duration;

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, green, new_server};

fn work(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let who =
        conn.get_worker_id().map_or_else(|| "its own coroutine".to_string(), |id| format!("worker {id}"));
    println!("conn id {}: {:?}, handled by {who}", conn.get_conn_id(), request.get_bytes());
    // Others of the same worker wait meanwhile, those of another do not.
    green::sleep(Duration::from_millis(20));
    let text = String::from_utf8_lossy(request.get_data());
    conn.send_msg(1, format!("{text}: by {who}"))
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, work)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
