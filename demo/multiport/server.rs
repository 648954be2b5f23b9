//! Several servers in one process, each with its own port, wire format and limits.
//!
//! The second listens on the port after the first's, or on any free one too if that is 0.
//!
//! Run it: `cargo run --example multiport_server`, and in a second terminal
//! `cargo run --example multiport_client -- 127.0.0.1:7777 127.0.0.1:7778`

use std::process::ExitCode;
use std::time::Duration;

use zinx::zconf::PackKind;
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, Server, new_server_with_config};

fn server(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.add_router(1, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let name = conn.get_tcp_server().server_name().to_string();
        conn.send_msg(1, format!("{name}, connection {}", conn.get_conn_id()))
    })?;
    Ok(server)
}

fn serve() -> Result<()> {
    let mut players = Config::load()?;
    let mut admins = players.clone();
    players.name = "players".to_string();
    admins.name = "administrators".to_string();
    admins.tcp_port = if players.tcp_port == 0 { 0 } else { players.tcp_port + 1 };
    admins.data_pack = PackKind::TlvBigEndian;
    admins.max_conn = 1;
    let (players, admins) = (server(players)?, server(admins)?);
    players.start()?;
    // Returns when a signal says so; then the other stops too.
    let served = admins.serve();
    players.stop();
    players.wait_stopped(Duration::from_secs(6));
    served
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
