//! A server for the client demo: answers every message of id 1, and closes the connection after the third.
//!
//! Run it: `cargo run --example client_server`, and in a second terminal `cargo run --example client_client`

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use zinx::ziface::{IRequest, IServer};
use zinx::{Result, new_server};

struct Answered(AtomicUsize);

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_on_conn_start(|conn| {
        conn.set_property("answered", std::sync::Arc::new(Answered(AtomicUsize::new(0))));
        Ok(())
    });
    server.add_router(1, |request: &dyn IRequest| {
        let conn = request.get_connection();
        println!("conn id {}: {:?}", conn.get_conn_id(), request.get_bytes());
        conn.send_msg(1, format!("pong on connection {}", conn.get_conn_id()))?;
        let answered = conn.get_property_as::<Answered>("answered");
        if answered.is_some_and(|answered| answered.0.fetch_add(1, Ordering::AcqRel) == 2) {
            conn.stop();
        }
        Ok(())
    })?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
