//! Chapter 1, the server: listens, accepts, and sends every message of id 1 back.
//!
//! Run it: `cargo run --example echo_server`, and in a second terminal `cargo run --example echo_client`

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

fn echo(request: &dyn IRequest) -> Result<()> {
    println!("echo: {:?}", request.get_bytes());
    request.get_connection().send_msg(1, request.get_data())
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, echo)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
