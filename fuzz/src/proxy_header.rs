//! A connection that begins with a PROXY header, or does not.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use zinx::zconf::Networks;
use zinx::ziface::{IConnection, IServer};
use zinx::{Config, Server};

use super::serving::{answers, serve};

/// The server says for whom the proxy speaks, and echoes what follows; or it ends the connection without a word. It is the same however
/// the bytes arrive.
pub fn proxy_header(input: &[u8]) {
    let all = answers(*SERVER_ADDRESS, input);
    for answer in &all {
        assert_eq!(answer, &all[0]);
        assert!(answer.is_empty() || answer[4..8] == GREETING.to_le_bytes());
    }
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let mut config = Config::default();
    (config.proxy_protocol, config.trusted_proxies) = (true, Networks::parse("127.0.0.0/8").unwrap());
    serve(config, &[1], |server| server.set_on_conn_start(greet))
});

static SERVER_ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| SERVER.local_addr().unwrap());

fn greet(conn: &Arc<dyn IConnection>) -> zinx::Result<()> {
    let client = conn.get_remote_addr();
    // The proxy's own, with another port each time.
    let who = if client.ip().is_loopback() { "itself".to_string() } else { client.to_string() };
    conn.send_msg(GREETING, who)
}

const GREETING: u32 = 7;
