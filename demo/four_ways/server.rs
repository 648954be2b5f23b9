//! Four ways to one handler: TCP, WebSocket for browsers, KCP for bad networks, and TLS. All of them count together.
//!
//! Run it: `cargo run --features tls,websocket,kcp --example four_ways_server`, and beside it
//! `cargo run --features tls,websocket,kcp --example four_ways_client`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use zinx::Server;
use zinx::prelude::*;
use zinx::zconf::Mode;

/// A server whose handler answers over whatever carried the message.
fn server(config: Config, counted: &Arc<AtomicUsize>) -> Result<Server> {
    let (server, counted) = (new_server_with_config(config)?, Arc::clone(counted));
    server.add_router(1, move |request: &dyn IRequest| {
        let (conn, n) = (request.get_connection(), counted.fetch_add(1, Ordering::Relaxed) + 1);
        let text = String::from_utf8_lossy(request.get_data());
        conn.send_msg(1, format!("message {n}, over {}: {text}", conn.get_transport()))
    })?;
    Ok(server)
}

fn serve() -> Result<()> {
    let mut plain = Config::load()?;
    let mut secret = plain.clone();
    // A server listens once for each transport: three ports.
    plain.mode = Mode::TCP.and(Mode::WEBSOCKET).and(Mode::KCP);
    // With a certificate TcpPort speaks TLS, so TLS beside TCP is a second server.
    secret.tcp_port = if plain.tcp_port == 0 { 0 } else { plain.tcp_port + 1 };
    if secret.cert_file.is_empty() {
        // The keys of the tests are known to everybody: for this demo only.
        secret.cert_file = "tests/data/tls/server.pem".to_string();
        secret.private_key_file = "tests/data/tls/server.key".to_string();
    }
    let counted = Arc::default();
    let (plain, secret) = (server(plain, &counted)?, server(secret, &counted)?);
    plain.start()?;
    // Returns when a signal says so; then the other stops too.
    let served = secret.serve();
    plain.stop();
    plain.wait_stopped(Duration::from_secs(6));
    served
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
