//! Against Go Zinx itself, over TLS and WebSocket: its clients at our server, and our clients at its server.

use std::time::Duration;

use zinx::Client;
use zinx::zconf::PackKind;
use zinx::ziface::{IClient, IServer, TransportKind};
use zinx::znet::{Reconnect, TlsOptions, WsOptions, new_tls_client_with_options, new_ws_client_with_options};

use crate::common::go_peer::{GoServer, peer, talk};
use crate::common::{self, ECHO, Watchdog, pattern, start_alone};
use crate::greeting::hears;
use crate::ws_peer::address;
use crate::{tls_peer, ws_peer};

#[test]
fn its_client_talks_to_our_server_over_tls() {
    let Some(peer) = peer() else { return };
    let mut config = tls_peer::config();
    config.data_pack = PackKind::TlvBigEndian;
    let running = start_alone(config, |_| {});
    let port = running.server.local_addr().unwrap().port().to_string();
    talk(&peer, &["-transport", "tls", "-port", &port, "-count", "500"], "ok: 500 echoes, 0 heartbeats");
    assert_eq!(running.server.stats().handshakes_failed, 0);
}

#[test]
fn its_client_talks_to_our_server_over_websocket() {
    let Some(peer) = peer() else { return };
    let mut config = ws_peer::config();
    config.data_pack = PackKind::TlvBigEndian;
    let running = start_alone(config, |_| {});
    let port = address(&running.server, TransportKind::WebSocket).port().to_string();
    talk(&peer, &["-transport", "ws", "-port", &port, "-count", "500"], "ok: 500 echoes, 0 heartbeats");
}

#[test]
fn our_client_talks_to_its_server_over_tls() {
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    let (cert, key) = (tls_peer::pem("server.pem"), tls_peer::pem("server.key"));
    let server = GoServer::start(&peer, &["-transport", "tls", "-cert", &cert, "-key", &key]);
    let options = TlsOptions::new().ca_file(tls_peer::pem("ca.pem"));
    let client = new_tls_client_with_options("127.0.0.1", server.port.number(), &options, tlv()).unwrap();
    has_echoes(&client);
}

#[test]
fn our_client_talks_to_its_server_over_websocket() {
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    let server = GoServer::start(&peer, &["-transport", "ws"]);
    let url = format!("ws://127.0.0.1:{}/", server.port.number());
    let client = new_ws_client_with_options(&url, &WsOptions::new(), tlv()).unwrap();
    has_echoes(&client);
}

fn tlv() -> zinx::Config {
    let mut config = common::config();
    config.data_pack = PackKind::TlvBigEndian;
    config
}

/// The server may not listen yet.
fn has_echoes(client: &Client) {
    client.set_reconnect(Reconnect { longest_pause: Duration::from_millis(100), ..Reconnect::default() });
    let heard = hears(client);
    client.start().unwrap();
    let conn = client.wait_connected(Duration::from_secs(20)).unwrap();
    for n in 0..500_usize {
        conn.send_msg(ECHO, pattern(1 + n * 37 % 3000)).unwrap();
    }
    for n in 0..500_usize {
        assert!(heard.recv_timeout(Duration::from_secs(20)).unwrap() == pattern(1 + n * 37 % 3000), "{n}");
    }
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}
