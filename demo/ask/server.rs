//! Asking in the middle of a handler: a shop that sells only what the customer confirms.
//!
//! Run it: `cargo run --example ask_server`, and in a second terminal `cargo run --example ask_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::prelude::*;

const BUY: u32 = 1;
const HOW_MANY: u32 = 10;
const SO_MANY: u32 = 11;
const SURE: u32 = 12;
const YES_OR_NO: u32 = 13;
const RESULT: u32 = 20;

const PATIENCE: Duration = Duration::from_secs(30);

/// Two questions, and the answers in the next lines. Whatever else the customer sends meanwhile is handled after.
fn buy(request: &dyn IRequest) -> Result<()> {
    let (conn, what) = (request.get_connection(), String::from_utf8_lossy(request.get_data()));
    let count = conn.call(HOW_MANY, format!("how many {what}?"), SO_MANY, PATIENCE)?;
    let Ok(count) = String::from_utf8_lossy(count.get_data()).parse::<u32>() else {
        return conn.send_msg(RESULT, "that is no number");
    };
    let sure = conn.call(SURE, format!("{count} {what} for {}?", count * 3), YES_OR_NO, PATIENCE)?;
    conn.send_msg(RESULT, if sure.get_data() == "yes" { "sold" } else { "another time" })
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(BUY, buy)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
