//! A server for pages and programs that know nothing of Zinx's heads: each message of WebSocket, text or binary, is one message.
//!
//! Run it: `cargo run --features websocket --example websocket_plain`, then in a browser's console:
//! `s = new WebSocket("ws://localhost:9000/"); s.onmessage = m => console.log(m.data); s.onopen = () => s.send("hello")`.
//! `.ci/autobahn` tests the protocol with it.

use std::process::ExitCode;

use zinx::prelude::*;
use zinx::zconf::Mode;

const TEXT: u32 = 1;
const BINARY: u32 = 2;

fn echo(request: &dyn IRequest) -> Result<()> {
    // Under the same id, so a text leaves as a text.
    request.get_connection().send_msg(request.get_msg_id(), request.get_data())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.mode = Mode::WEBSOCKET;
    (config.ws_text_msg_id, config.ws_binary_msg_id) = (TEXT, BINARY);
    let server = new_server_with_config(config)?;
    server.add_router(TEXT, echo)?;
    server.add_router(BINARY, echo)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
