//! Chapter 11, properties: what a connection is to remember stays with it, under a name.
//!
//! The start hook notes a name and a count; id 1 counts and answers, id 2 removes the name; the stop hook reads both.
//!
//! Run it: `cargo run --example property_server`, and in a second terminal `cargo run --example property_client`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use zinx::ziface::{IConnection, IRequest, IServer};
use zinx::{Error, Result, new_server};

fn do_connection_begin(conn: &Arc<dyn IConnection>) -> Result<()> {
    conn.set_property("Name", Arc::new(format!("guest {}", conn.get_conn_id())));
    conn.set_property("Count", Arc::new(AtomicU32::new(0)));
    Ok(())
}

fn count(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let name = conn.get_property_as::<String>("Name");
    let count = conn.get_property_as::<AtomicU32>("Count");
    let count = count.ok_or_else(|| Error::PropertyNotFound { name: "Count".to_string() })?;
    let n = count.fetch_add(1, Ordering::Relaxed) + 1;
    let name = name.as_deref().map_or("somebody", String::as_str);
    conn.send_msg(1, format!("message {n} of {name}"))
}

fn forget_name(request: &dyn IRequest) -> Result<()> {
    request.get_connection().remove_property("Name");
    request.get_connection().send_msg(2, "forgotten")
}

fn do_connection_lost(conn: &Arc<dyn IConnection>) -> Result<()> {
    let name = conn.get_property_as::<String>("Name");
    let count = conn.get_property_as::<AtomicU32>("Count");
    println!("conn id {} is lost: name {name:?}, count {count:?}", conn.get_conn_id());
    Ok(())
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_on_conn_start(do_connection_begin);
    server.set_on_conn_stop(do_connection_lost);
    server.add_router(1, count)?;
    server.add_router(2, forget_name)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
