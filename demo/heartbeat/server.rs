//! Heartbeats: the server sends one of its own every 200 ms, and drops peers that have been silent for five of them.
//!
//! Run it: `cargo run --example heartbeat_server`, and in a second terminal `cargo run --example heartbeat_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::ziface::{HeartBeatOption, IServer};
use zinx::{Result, new_server};

fn serve() -> Result<()> {
    let server = new_server()?;
    let option = HeartBeatOption::new()
        .misses(5)
        .make_msg(|conn| format!("are you there, connection {}?", conn.get_conn_id()).into_bytes())
        .on_remote_not_alive(|conn| {
            println!("conn id {} is not alive", conn.get_conn_id());
            conn.abort();
            Ok(())
        });
    server.start_heart_beat_with_option(Duration::from_millis(200), option)?;
    server.set_on_conn_stop(|conn| {
        println!("conn id {}: {:?}", conn.get_conn_id(), conn.get_close_reason());
        Ok(())
    });
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
