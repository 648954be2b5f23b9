//! Chapter 7, reader and writer apart: a handler queues its answers, and they are on their way when it waits or returns.
//!
//! Between the two stands a bounded queue to each peer: several messages leave together, whole and in the order in
//! which they were sent. A peer that does not read fills its own queue and nobody else's.
//!
//! Run it: `cargo run --example read_write_server`, and beside it `cargo run --example read_write_client`

use std::process::ExitCode;

use zinx::ziface::{BaseRouter, IRequest, IServer};
use zinx::{Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("PingRouter: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        for n in 1..=3 {
            request.get_connection().send_msg(0, format!("ping {n}"))?;
        }
        Ok(())
    }
}

struct HelloZinxRouter;

impl BaseRouter for HelloZinxRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("HelloZinxRouter: msgId={}, data={:?}", request.get_msg_id(), request.get_data());
        // The tutorial's buffered send: here all go through the one queue, so the order of all is one.
        request.get_connection().send_msg(1, "Hello")?;
        request.get_connection().send_buff_msg(1, "Zinx")?;
        request.get_connection().send_msg(1, "Router")
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
