//! A chat of several servers: users find each other and rooms span nodes, and a second login of a user closes the older connection,
//! wherever it is. Alone, without Redis, it is a cluster of one node.
//!
//! Run it: `cargo run --example cluster_chat_server`, and in a second terminal `cargo run --example cluster_chat_client`. Three
//! nodes: `docker compose -f demo/cluster_chat/compose.yaml up`, and the client with
//! `127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003`.

use std::process::ExitCode;
use std::sync::Arc;

use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::Delivery;

// As in the chat of one server: no member can write into the terminal of another.
#[path = "../chat/text.rs"]
mod text;
use text::text;

/// What clients send: a name; a room; a line; a name, a space and a line. What they get: lines.
const LOGIN: u32 = 1;
const JOIN: u32 = 10;
const SAY: u32 = 11;
const WHISPER: u32 = 12;
const LINE: u32 = 20;

fn login(request: &dyn IRequest) -> Result<()> {
    let (conn, uid) = (request.get_connection(), text(request));
    match conn.login(&uid, OnDuplicate::KickOld) {
        Ok(()) => conn.send_msg(LINE, format!("welcome, {uid}")),
        Err(error @ Error::ClusterUnavailable { .. }) => conn.send_msg(LINE, error.to_string()),
        Err(error) => Err(error),
    }
}

fn join(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    leave(conn, "has left")?;
    conn.join_group(&text(request))?;
    tell(conn, "has come")
}

fn say(request: &dyn IRequest) -> Result<()> {
    tell(request.get_connection(), &format!("says: {}", text(request)))
}

fn whisper(request: &dyn IRequest) -> Result<()> {
    let (conn, text) = (request.get_connection(), text(request));
    let (to, line) = text.split_once(' ').ok_or("a name, a space and a line")?;
    match conn.cluster().user(to).push(LINE, format!("{} whispers: {line}", name(conn))) {
        Ok(Delivery::Delivered) => Ok(()),
        Ok(Delivery::Offline) => conn.send_msg(LINE, format!("{to} is not here")),
        _ => conn.send_msg(LINE, format!("{to} may not hear you")),
    }
}

/// Tells all in the rooms of a connection, on every node.
fn tell(conn: &Arc<dyn IConnection>, what: &str) -> Result<()> {
    for room in conn.get_groups() {
        conn.cluster().group(&room).broadcast(LINE, format!("{} {what}", name(conn)))?;
    }
    Ok(())
}

fn leave(conn: &Arc<dyn IConnection>, what: &str) -> Result<()> {
    for room in conn.get_groups() {
        conn.leave_group(&room);
        conn.cluster().group(&room).broadcast(LINE, format!("{} {what}", name(conn)))?;
    }
    Ok(())
}

fn goodbye(conn: &Arc<dyn IConnection>) -> Result<()> {
    leave(conn, "has gone")?;
    match conn.get_close_reason() {
        Some(reason @ CloseReason::LoggedInElsewhere) => conn.send_msg(LINE, reason.to_string()),
        _ => Ok(()),
    }
}

fn name(conn: &Arc<dyn IConnection>) -> String {
    conn.get_user().unwrap_or_default().to_string()
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(LOGIN, login)?;
    server.require_login(JOIN..=WHISPER, Refusal::answer(LINE, "log in first"))?;
    server.add_router(JOIN, join)?;
    server.add_router(SAY, say)?;
    server.add_router(WHISPER, whisper)?;
    server.set_on_conn_stop(goodbye);
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
