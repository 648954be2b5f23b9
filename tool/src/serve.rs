//! `zinx serve`: the server of the tutorial's hook chapter, which prints and answers as `demo/hook` does, and an echo beside
//! it.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{BaseRouter, IConnection, IRequest, IServer};
use zinx::{Config, Result, new_server_with_config};

/// Prints a message, and answers with two of id 1: `ping\n`, then its own bytes.
struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        print(format_args!("调用Handle"));
        print(format_args!("b'{}'", request.get_data().escape_ascii()));
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

fn echo(request: &dyn IRequest) -> Result<()> {
    request.get_connection().send_msg(2, request.get_data())
}

fn connection_start(conn: &Arc<dyn IConnection>) -> Result<()> {
    print(format_args!("======Start======== {}", conn.get_conn_id()));
    Ok(())
}

fn connection_stop(conn: &Arc<dyn IConnection>) -> Result<()> {
    print(format_args!("======Stop======== {}", conn.get_conn_id()));
    Ok(())
}

fn serve() -> Result<()> {
    let config = Config::load()?;
    log::info!("to talk to it: zinx send {} 1 hello", reachable(&config));
    let server = new_server_with_config(config)?;
    server.set_on_conn_start(connection_start);
    server.set_on_conn_stop(connection_stop);
    server.add_router(1, PingRouter)?;
    server.add_router(2, echo)?;
    server.serve()
}

/// Prints a line. That nobody reads it any more is no fault of a connection, and ends none.
fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
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
