//! Asynchronous operations: a login is looked up where it may block, and answered back on the connection's coroutine.
//!
//! Run it: `cargo run --example async_op_server`, and in a second terminal `cargo run --example async_op_client`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::zasync_op::{AsyncOpResult, AsyncOps};
use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

struct User {
    id: u64,
    name: String,
}

/// A database that takes its time, and blocks its thread.
#[expect(clippy::disallowed_methods, reason = "it runs on a thread of the pool for such work")]
fn load_user(id: u64) -> User {
    std::thread::sleep(Duration::from_millis(50));
    User { id, name: format!("user {id}") }
}

fn login(ops: &AsyncOps, request: &dyn IRequest) -> Result<()> {
    let conn = Arc::clone(request.get_connection());
    let loaded = AsyncOpResult::new(&conn);
    let theirs = loaded.clone();
    ops.process(7, move || theirs.set_returned_obj(load_user(7)))?;
    loaded.on_complete(move |user: User| {
        // No other message of this connection is being handled now: no lock is needed.
        conn.set_property("user", Arc::new(user.id));
        drop(conn.send_msg(2, format!("welcome, {}", user.name)));
    });
    request.get_connection().send_msg(2, "one moment")
}

fn serve() -> Result<()> {
    let (server, ops) = (new_server()?, AsyncOps::new());
    server.add_router(1, move |request: &dyn IRequest| login(&ops, request))?;
    server.add_router(3, |request: &dyn IRequest| request.get_connection().send_msg(2, "pong"))?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
