//! A counter that belongs to a connection, and goes on when the peer has lost its socket and comes back.
//!
//! Run it: `cargo run --example resume_server`, and in a second terminal `cargo run --example resume_client`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use zinx::prelude::*;

const ADD: u32 = 1;
const SUM: u32 = 2;

fn add(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let sum = conn.get_property_as::<AtomicU32>("sum").unwrap_or_default();
    let number: u32 = String::from_utf8_lossy(request.get_data()).parse().unwrap_or(0);
    let now = sum.fetch_add(number, Ordering::Relaxed) + number;
    conn.set_property("sum", sum);
    conn.send_msg(SUM, now.to_string())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.resume_ms = 30_000;
    let server = new_server_with_config(config)?;
    server.add_router(ADD, add)?;
    server.set_on_conn_stop(|conn: &Arc<dyn IConnection>| {
        let why = conn.get_close_reason().map_or_else(String::new, |reason| reason.to_string());
        log::info!("connection {} ends: {why}", conn.get_conn_id());
        Ok(())
    });
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
