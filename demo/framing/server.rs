//! Framing without a head: lines, which end with a delimiter, and on a second port records of one length.
//!
//! The second listens on the port after the first's, or on any free one too if that is 0.
//!
//! Run it: `cargo run --example framing_server`, and in a second terminal
//! `cargo run --example framing_client -- 127.0.0.1:7777 127.0.0.1:7778`

use std::process::ExitCode;
use std::time::Duration;

use zinx::ziface::{IRequest, IServer};
use zinx::zpack::{new_delimiter_decoder, new_fixed_length_decoder};
use zinx::{Config, Result, Server, new_server_with_config};

/// Frames have no id of their own: all go to this router.
const ALL: u32 = 1;

/// A line is answered by a line.
fn lines(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.set_decoder(new_delimiter_decoder("\n", 1024, ALL)?)?;
    server.add_router(ALL, |request: &dyn IRequest| {
        let line = String::from_utf8_lossy(request.get_data()).to_uppercase();
        // Sent as it is: the wire format of messages has no place here.
        request.get_connection().send(format!("{line}\n"))
    })?;
    Ok(server)
}

/// A record is four bytes, a number; the answer is a record with its double.
fn records(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.set_decoder(new_fixed_length_decoder(4, ALL)?)?;
    server.add_router(ALL, |request: &dyn IRequest| {
        let mut record = [0; 4];
        record.copy_from_slice(request.get_data());
        request.get_connection().send(u32::from_be_bytes(record).wrapping_mul(2).to_be_bytes())
    })?;
    Ok(server)
}

fn serve() -> Result<()> {
    let first = Config::load()?;
    let mut second = first.clone();
    second.tcp_port = if first.tcp_port == 0 { 0 } else { first.tcp_port + 1 };
    let (lines, records) = (lines(first)?, records(second)?);
    lines.start()?;
    // Returns when a signal says so; then the other stops too.
    let served = records.serve();
    lines.stop();
    lines.wait_stopped(Duration::from_secs(6));
    served
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
