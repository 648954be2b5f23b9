//! Slices: any number of handlers for a message, in the order of an onion.
//!
//! Recovery and timing stand in front of all, a check in front of the ids from 10 to 19.
//!
//! Run it: `cargo run --example router_slices_server`, and in a second terminal `cargo run --example router_slices_client`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::ziface::{IRequest, IServer};
use zinx::znet::{router_recovery, router_time};
use zinx::{Error, Result, handlers, new_server};

/// Goes no further without a name in front of the text: `name: text`.
fn check(request: &dyn IRequest) -> Result<()> {
    let text = String::from_utf8_lossy(request.get_data());
    match text.split_once(": ") {
        Some((name, _)) => request.set("name", Arc::new(name.to_string())),
        None => {
            request.abort();
            request.get_connection().send_msg(request.get_msg_id(), "who are you?")?;
        }
    }
    Ok(())
}

/// Says how long the answer took to make, after it was made.
fn trace(request: &dyn IRequest) -> Result<()> {
    request.get_connection().send_msg(request.get_msg_id(), "before")?;
    request.router_slices_next()?;
    request.get_connection().send_msg(request.get_msg_id(), "after")
}

fn greet(request: &dyn IRequest) -> Result<()> {
    let name = request.get_as::<String>("name").ok_or_else(|| Error::other("no name"))?;
    request.get_connection().send_msg(request.get_msg_id(), format!("hello, {name}"))
}

fn crash(_: &dyn IRequest) -> Result<()> {
    panic!("a handler that crashes");
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.use_(handlers![router_recovery, router_time])?;
    server.add_router_slices(1, handlers![crash])?;
    let mut group = server.group(10, 19, handlers![check]);
    group.add_handler(10, handlers![greet])?;
    group.use_(handlers![trace]).add_handler(11, handlers![greet])?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
