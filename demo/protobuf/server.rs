//! Payloads of protobuf: a handler gets a value and answers with one. A payload that is none closes its connection, with
//! the message id and the reason in the log.
//!
//! Run it: `cargo run --features protobuf --example protobuf_server`, and in a second terminal
//! `cargo run --features protobuf --example protobuf_client`

use std::process::ExitCode;

use position::Position;
use zinx::ziface::{IRequest, IServer};
use zinx::znet::BadPayload;
use zinx::{Result, new_server};

mod position;

/// One step to the right.
fn step(request: &dyn IRequest) -> Result<()> {
    let at: Position = request.proto()?;
    request.get_connection().send_proto(1, &Position { x: at.x + 1, ..at })
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_bad_payload(BadPayload::Close)?;
    server.add_router(1, step)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
