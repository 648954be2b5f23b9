//! The world of the Zinx tutorial's last part, for its clients and for browsers: players walk, talk, and see other players nearby.
//!
//! Run it: `cargo run --features websocket,protobuf --example world_server`, build the client for the page (`npm install && npm run build`
//! in `clients/typescript`), and open `demo/world/page.html` in a few tabs. `world_bots` fills the world with players.

use std::process::ExitCode;
use std::sync::Arc;

use zinx::prelude::*;
use zinx::zconf::{Mode, QueueFull};
use zinx::ziface::TransportKind;
use zinx::znet::BadPayload;

mod grid;
mod message;
mod world;
use message::{MOVE, Position, SYNC_PID, TALK, Talk};
use world::World;

/// The player of a connection, once it has entered.
fn pid(conn: &Arc<dyn IConnection>) -> Option<i32> {
    conn.get_property_as("pid").map(|pid| *pid)
}

/// Clients of the tutorial are players as soon as they connect. A browser says when it is new here, because a connection may also be that of
/// a player that comes back: the page was loaded again, and its player has never left.
fn begin(world: &World, conn: &Arc<dyn IConnection>) -> Result<()> {
    if conn.get_transport() == TransportKind::Tcp {
        world.enter(conn);
    }
    Ok(())
}

fn enter(world: &World, request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    if pid(conn).is_none() {
        world.enter(conn);
    }
    Ok(())
}

fn talk(world: &World, request: &dyn IRequest) -> Result<()> {
    let said: Talk = request.proto()?;
    if let Some(pid) = pid(request.get_connection()) {
        world.talk(pid, said.content);
    }
    Ok(())
}

fn walk(world: &World, request: &dyn IRequest) -> Result<()> {
    let to: Position = request.proto()?;
    if let Some(pid) = pid(request.get_connection()) {
        world.walk(pid, to);
    }
    Ok(())
}

fn end(world: &World, conn: &Arc<dyn IConnection>) -> Result<()> {
    if let Some(pid) = pid(conn) {
        world.leave(pid);
    }
    Ok(())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.mode = Mode::TCP_AND_WEBSOCKET;
    // A page may take so long to load again.
    config.resume_ms = config.resume_ms.max(10_000);
    // A player that misses a message would see what is not there.
    config.queue_full = QueueFull::Disconnect;
    let (server, world) = (new_server_with_config(config)?, World::new());
    server.set_bad_payload(BadPayload::Close)?;
    for (msg_id, handler) in [(SYNC_PID, enter as fn(&World, &dyn IRequest) -> _), (TALK, talk), (MOVE, walk)]
    {
        let world = Arc::clone(&world);
        server.add_router(msg_id, move |request: &dyn IRequest| handler(&world, request))?;
    }
    let (begins, tells) = (Arc::clone(&world), Arc::clone(&world));
    server.spawn("world", move |context| tells.tell(context))?;
    server.set_on_conn_start(move |conn| begin(&begins, conn));
    server.set_on_conn_stop(move |conn| end(&world, conn));
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
