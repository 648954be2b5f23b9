//! Chapter 10, hooks: what runs when a connection starts, and when it stops.
//!
//! Every message is printed, and answered with two messages of id 1: `ping\n`, then its own bytes.
//!
//! Run it: `cargo run --example hook_server`, and in a second terminal `cargo run --example hook_client`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{BaseRouter, IConnection, IRequest, IServer};
use zinx::{Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("调用Handle");
        println!("b'{}'", request.get_data().escape_ascii());
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

fn connection_start(conn: &Arc<dyn IConnection>) -> Result<()> {
    println!("======Start======== {}", conn.get_conn_id());
    Ok(())
}

fn connection_stop(conn: &Arc<dyn IConnection>) -> Result<()> {
    println!("======Stop======== {}", conn.get_conn_id());
    Ok(())
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, PingRouter)?;
    server.set_on_conn_start(connection_start);
    server.set_on_conn_stop(connection_stop);
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
