//! Connections on other transports than TCP: what is the own of TLS, of WebSocket, and of proxies before them.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod certificates;
mod chromium;
mod cutter;
mod foreign;
mod go_zinx;
mod greeting;
mod handshakes;
mod independent;
mod listeners;
mod nginx;
mod node_ws;
mod proxies;
mod python_websockets;
mod tls;
mod tls_client;
mod tls_peer;
mod ws;
mod ws_peer;
mod ws_text;
mod ws_upgrade;
