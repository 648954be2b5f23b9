//! Dynamic binding: each connection has a worker to itself, one of the pool if one is free, else a temporary one.
//!
//! Two workers are kept here; a handler that waits holds up no other connection, however many there are.
//!
//! Run it: `cargo run --example dynamic_bind_server`, and in a second terminal `cargo run --example dynamic_bind_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::zconf::WorkerMode;
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, green, new_server_with_config};

fn slow(request: &dyn IRequest) -> Result<()> {
    green::sleep(Duration::from_millis(300));
    answer(request, "slow")
}

fn quick(request: &dyn IRequest) -> Result<()> {
    answer(request, "quick")
}

fn answer(request: &dyn IRequest, how: &str) -> Result<()> {
    let conn = request.get_connection();
    let worker = conn.get_worker_id().map_or_else(|| "none".to_string(), |id| id.to_string());
    conn.send_msg(request.get_msg_id(), format!("{how}, connection {}, worker {worker}", conn.get_conn_id()))
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.worker_pool_size = 2;
    config.worker_mode = WorkerMode::DynamicBind;
    let server = new_server_with_config(config)?;
    server.add_router(1, slow)?;
    server.add_router(2, quick)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
