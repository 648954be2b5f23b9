//! The server that is measured against others: id 1 is echoed, id 2 is sent to every connection, and id 3 is echoed after a wait. It uses the public
//! interface only, as a program of yours would.
//!
//! Run it: `cargo run --release --example bench_echo -- 7777`; with an admin plane, `-- 7777 127.0.0.1:7778` and the feature `admin`; in a
//! cluster, `-- 7777 off redis://127.0.0.1:6379` and the feature `redis`.

use std::process::ExitCode;
use std::time::Duration;

use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, green, new_server_with_config};

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777);
    let more = |n| std::env::args().nth(n).unwrap_or_default();
    zinx::exit(serve(port, more(2), more(3)))
}

fn serve(port: u16, admin: String, cluster: String) -> Result<()> {
    green::raise_open_files(65_536);
    let mut config = Config::default();
    config.host = "0.0.0.0".to_string();
    config.tcp_port = port;
    config.max_packet_size = 1 << 20;
    config.max_conn = 19_000;
    config.admin = admin;
    config.cluster = cluster;
    config.node_name = format!("node-{port}");
    let server = new_server_with_config(config)?;
    server.add_router(1, |request: &dyn IRequest| {
        request.get_connection().send_msg(1, request.get_payload())
    })?;
    server.add_router(2, |request: &dyn IRequest| {
        let server = request.get_connection().get_tcp_server();
        server.get_conn_mgr().range(&mut |conn| {
            // One that is closing or does not read must not end the round.
            let _ = conn.try_send_msg(2, request.get_data());
            true
        });
        Ok(())
    })?;
    server.add_router(3, |request: &dyn IRequest| {
        green::sleep(Duration::ZERO);
        request.get_connection().send_msg(3, request.get_payload())
    })?;
    server.serve()
}
