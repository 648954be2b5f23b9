//! Chapter 5, messages: a head of eight bytes says where a message ends, however the bytes arrive.
//!
//! Every message of id 1 is answered with its length and its words in capitals.
//!
//! Run it: `cargo run --example datapack_server`, and in a second terminal `cargo run --example datapack_client`

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

fn shout(request: &dyn IRequest) -> Result<()> {
    let message = request.get_message();
    println!("id {}, {} bytes: {:?}", message.get_msg_id(), message.get_data_len(), message.get_data());
    let text = String::from_utf8_lossy(message.get_data()).to_uppercase();
    request.get_connection().send_msg(1, format!("{} bytes: {text}", message.get_data_len()))
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, shout)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
