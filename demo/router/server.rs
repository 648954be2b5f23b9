//! Chapter 3, the router: a type of yours that says what is done with a message: before, the business, after.
//!
//! An error skips the steps after it and is logged; the connection goes on.
//!
//! Run it: `cargo run --example router_server`, and in a second terminal `cargo run --example router_client`

use std::process::ExitCode;

use zinx::ziface::{BaseRouter, IRequest, IServer};
use zinx::{Error, Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn pre_handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("pre_handle: {:?}", request.get_bytes());
        if request.get_data().is_empty() {
            return Err(Error::other("nothing was asked"));
        }
        request.get_connection().send_msg(1, "before ping ...")
    }

    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("handle: {:?}", request.get_bytes());
        request.get_connection().send_msg(1, "ping...ping...ping")
    }

    fn post_handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("post_handle: {:?}", request.get_bytes());
        request.get_connection().send_msg(1, "after ping ...")
    }
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, PingRouter)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
