//! Chapter 10, hooks: the server tells a connection's beginning and end.
//!
//! It answers every request with two frames of id 1: `ping\n`, then the request's own bytes.
//!
//! Run it: `cargo run --example hook_server`, and beside it `cargo run --example hook_client`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{BaseRouter, IConnection, IRequest, IServer};
use zinx::{Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("recv from client: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

fn do_connection_begin(conn: &Arc<dyn IConnection>) -> Result<()> {
    println!("======Start========");
    conn.send_msg(202, "DoConnection BEGIN")
}

fn do_connection_lost(conn: &Arc<dyn IConnection>) -> Result<()> {
    println!("======End==========");
    println!("conn id {} is lost", conn.get_conn_id());
    Ok(())
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_on_conn_start(do_connection_begin);
    server.set_on_conn_stop(do_connection_lost);
    server.add_router(1, PingRouter)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
