//! A node of zinx over WebSocket, for `benches/nodes.py`: pushes to a user and broadcasts to all, wherever they are.
//!
//! Run it: `zinx_node 7777 redis://127.0.0.1:6379` with the feature `redis`, or `zinx_node 7777` alone.

use std::process::ExitCode;

use zinx::green;
use zinx::prelude::*;
use zinx::zconf::Mode;
use zinx::znet::Delivery;

const LOGIN: u32 = 1;
const PUSH: u32 = 2;
const BROADCAST: u32 = 3;
const HEARD: u32 = 20;

const ALL: &str = "all";

fn login(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.login(request.text()?, OnDuplicate::KickOld)?;
    conn.join_group(ALL)?;
    conn.send_msg(HEARD, "ready")
}

fn push(request: &dyn IRequest) -> Result<()> {
    let (uid, text) = request.text()?.split_once('\n').ok_or("no user")?;
    let delivery = request.get_connection().cluster().user(uid).push(HEARD, text)?;
    if delivery != Delivery::Delivered {
        eprintln!("{uid}: {delivery:?}");
    }
    Ok(())
}

fn broadcast(request: &dyn IRequest) -> Result<()> {
    let told = request.get_connection().cluster().group(ALL).broadcast(HEARD, request.get_payload())?;
    if told.here.missed > 0 || !told.others_told {
        eprintln!("{told:?}");
    }
    Ok(())
}

fn serve(args: &[String]) -> Result<()> {
    green::raise_open_files(65_536);
    let mut config = Config::default();
    (config.mode, config.ws_port) = (Mode::WEBSOCKET, args[1].parse()?);
    if let Some(redis) = args.get(2) {
        (config.cluster, config.node_name) = (redis.clone(), format!("node-{}", args[1]));
    }
    let server = new_server_with_config(config)?;
    server.add_router(LOGIN, login)?;
    server.add_router(PUSH, push)?;
    server.add_router(BROADCAST, broadcast)?;
    server.serve()
}

fn main() -> ExitCode {
    zinx::exit(serve(&std::env::args().collect::<Vec<_>>()))
}
