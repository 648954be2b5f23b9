//! Chapter 6, many routers: the message id chooses what is done.
//!
//! Id 0 is answered with a ping, id 1 with a greeting; any other id is logged and dropped.
//!
//! Run it: `cargo run --example msghandler_server`, and beside it `cargo run --example msghandler_client`

use std::process::ExitCode;

use zinx::ziface::{BaseRouter, IRequest, IServer};
use zinx::{Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("PingRouter: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        request.get_connection().send_msg(0, "ping...ping...ping")
    }
}

struct HelloZinxRouter;

impl BaseRouter for HelloZinxRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("HelloZinxRouter: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        request.get_connection().send_msg(1, "Hello Zinx Router")
    }
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(0, PingRouter)?;
    server.add_router(1, HelloZinxRouter)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
