//! Chapter 9, the connection manager: the server knows its connections, and `MaxConn` limits them.
//!
//! It answers every request of id 1 with its connection's id and how many connections are open.
//!
//! Run it: `cargo run --example connmanager_server`, and beside it `cargo run --example connmanager_client`. With
//! `ZINX_MAXCONN=1 cargo run --example connmanager_server` the client's second connection is closed at once.

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

fn count(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let server = conn.get_tcp_server();
    let open = server.get_conn_mgr().len();
    println!("conn id {}: {open} open", conn.get_conn_id());
    conn.send_msg(1, format!("conn id {}, {open} open", conn.get_conn_id()))
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, count)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
