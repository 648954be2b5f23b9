//! Closures queued to a connection: they run between its messages, never beside one, so what only they and its handlers
//! change needs no lock.
//!
//! Message 1 earns a point and says how many there are. Message 2 gives ten points to all others.
//!
//! Run it: `cargo run --example func_request_server`, and in a second terminal `cargo run --example func_request_client`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{IConnection, IRequest, IServer};
use zinx::znet::new_func_request;
use zinx::{Result, new_server};

/// Reads, adds, writes: only on the coroutine that handles the messages of `conn`.
fn earn(conn: &Arc<dyn IConnection>, points: u64) -> Result<()> {
    let total = conn.get_property_as::<u64>("points").map_or(0, |had| *had) + points;
    conn.set_property("points", Arc::new(total));
    conn.send_msg(1, format!("{points} more points: {total}"))
}

/// Has a gift handled where the messages of `conn` are.
fn give(conn: &Arc<dyn IConnection>) -> Result<()> {
    let theirs = Arc::clone(conn);
    let gift = new_func_request(conn, move || drop(earn(&theirs, 10)));
    conn.get_msg_handler().send_msg_to_task_queue(gift)
}

fn give_all(request: &dyn IRequest) -> Result<()> {
    let giver = request.get_connection();
    let mut gifts = 0;
    giver.get_tcp_server().get_conn_mgr().range(&mut |conn| {
        gifts += u32::from(conn.get_conn_id() != giver.get_conn_id() && give(conn).is_ok());
        true
    });
    giver.send_msg(2, format!("{gifts} gifts"))
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, |request: &dyn IRequest| earn(request.get_connection(), 1))?;
    server.add_router(2, give_all)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
