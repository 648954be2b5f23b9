//! The server that the clients of other languages are tested with: the program of `tests/vectors`, and one that notes what it hears.
//!
//! Run it: `cargo run --features websocket --example clients_server`. `ZINX_MODE=tcp,websocket` makes it listen for browsers too.
//! An argument is the interval of its heartbeat, in milliseconds.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use zinx::prelude::*;

/// Numbers that the client has sent, in the order in which they came.
#[derive(Default)]
struct Heard(Mutex<Vec<u8>>);

/// Sends as many messages as the client asks for.
fn count(request: &dyn IRequest) -> Result<()> {
    let number =
        request.get_data().get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    (0..number).try_for_each(|n| request.get_connection().send_msg(3, n.to_le_bytes()))
}

/// Asks the client in the middle of a handler.
fn ask(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let answer = conn.call(10, request.get_data(), 11, Duration::from_secs(60))?;
    conn.send_msg(12, answer.get_data())
}

fn stop(request: &dyn IRequest) -> Result<()> {
    request.get_connection().stop();
    Ok(())
}

/// Loses the socket, as a network would.
fn lose(request: &dyn IRequest) -> Result<()> {
    request.get_connection().drop_socket();
    Ok(())
}

/// Notes a number, and says it back.
fn say(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let heard = conn.get_property_as::<Heard>("heard").unwrap_or_default();
    heard.0.lock().expect("no handler panics").extend_from_slice(request.get_data());
    conn.set_property("heard", heard);
    conn.send_msg(21, request.get_data())
}

/// Tells all that was said on this connection.
fn tell(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let heard = conn.get_property_as::<Heard>("heard").unwrap_or_default();
    let all = heard.0.lock().expect("no handler panics").clone();
    conn.send_msg(23, all)
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server
        .add_router(1, |request: &dyn IRequest| request.get_connection().send_msg(1, request.get_data()))?;
    server.add_router(2, count)?;
    server.add_router(4, ask)?;
    server.add_router(5, stop)?;
    server.add_router(7, |request: &dyn IRequest| {
        request.get_connection().send_msg(99_999, "heartbeat [a->b]")
    })?;
    server.add_router(8, lose)?;
    server.add_router(20, say)?;
    server.add_router(22, tell)?;
    server.add_router(24, |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.send_msg(25, conn.get_conn_id().to_le_bytes())
    })?;
    if let Some(interval) = std::env::args().nth(1).and_then(|text| text.parse().ok()) {
        server.start_heart_beat(Duration::from_millis(interval))?;
    }
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
