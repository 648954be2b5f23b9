//! `zinx serve`: the server of the tutorial's hook chapter, and an echo beside it.

use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{BaseRouter, IConnection, IRequest, IServer};
use zinx::{Config, Result, new_server_with_config};

/// Answers with two frames of id 1: `ping\n`, then the request's own bytes.
struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        log::info!("recv from client: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

fn echo(request: &dyn IRequest) -> Result<()> {
    request.get_connection().send_msg(2, request.get_data())
}

fn do_connection_begin(conn: &Arc<dyn IConnection>) -> Result<()> {
    log::info!("conn id {} begins, from {}", conn.get_conn_id(), conn.get_remote_addr());
    conn.send_msg(202, "DoConnection BEGIN")
}

fn do_connection_lost(conn: &Arc<dyn IConnection>) -> Result<()> {
    log::info!("conn id {} is lost", conn.get_conn_id());
    Ok(())
}

fn serve() -> Result<()> {
    let config = Config::load()?;
    log::info!("to talk to it: zinx send {} 1 hello", reachable(&config));
    let server = new_server_with_config(config)?;
    server.set_on_conn_start(do_connection_begin);
    server.set_on_conn_stop(do_connection_lost);
    server.add_router(1, PingRouter)?;
    server.add_router(2, echo)?;
    server.serve()
}

/// Where a client on this machine finds the server. The system's choice of a port follows in the log.
fn reachable(config: &Config) -> String {
    let host = if config.host == "0.0.0.0" { "127.0.0.1" } else { &config.host };
    match config.tcp_port {
        0 => format!("{host}:PORT"),
        port => format!("{host}:{port}"),
    }
}

/// Serves until it is told to stop.
pub(crate) fn run() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
