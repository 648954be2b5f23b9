//! A server for browsers and for programs: WebSocket and TCP, one handler for both.
//!
//! Run it: `cargo run --features websocket --example websocket_server`, and open `demo/websocket/page.html` in a browser, or run
//! `cargo run --features websocket --example websocket_client` beside it.

use std::process::ExitCode;

use zinx::prelude::*;
use zinx::zconf::Mode;
use zinx::znet::{WsRefusal, WsRequest};

fn echo(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    println!("connection {} over {}", conn.get_conn_id(), conn.get_transport());
    conn.send_msg(1, request.get_data())
}

/// Sees the request before there is a connection.
fn judge(request: &WsRequest<'_>) -> Result<(), WsRefusal> {
    println!("{} asks for {}", request.peer_addr(), request.path());
    if request.query() == Some("banned") { Err(WsRefusal::new(403, "banned")) } else { Ok(()) }
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.mode = Mode::TCP_AND_WEBSOCKET;
    let server = new_server_with_config(config)?;
    server.set_websocket_auth(judge)?;
    server.add_router(1, echo)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
