//! One server on several ports, and its clients.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::time::Duration;

use zinx::Client;
use zinx::zconf::{MaxConnPolicy, Mode};
use zinx::ziface::{IClient, IServer, TransportKind};
use zinx::znet::{
    TlsOptions, WsOptions, WsRequest, new_client_with_url, new_tls_client_with_options,
    new_ws_client_with_options,
};

use crate::common::{self, ECHO, start_alone, wait_until};
use crate::greeting::greets;
use crate::tls_peer::{TlsPeer, pem};
use crate::ws_peer::{WsPeer, address};

#[test]
fn one_server_has_a_port_for_each_transport_and_counts_connections_through_all() {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, 0);
    let running = start_alone(config, |_| {});
    let locals = running.server.local_addrs();
    let kinds: Vec<_> = locals.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [TransportKind::Tcp, TransportKind::WebSocket]);
    assert!(locals.iter().all(|(_, local)| local.port() != 0) && locals[0].1 != locals[1].1);
    assert_eq!(running.server.local_addr(), Some(locals[0].1));

    let (mut tcp, mut ws): (Vec<_>, Vec<_>) =
        (0..5).map(|_| (running.connect(), WsPeer::connect(&running))).unzip();
    tcp.iter_mut().for_each(common::Peer::check_echo);
    ws.iter_mut().for_each(WsPeer::check_echo);
    let ids: HashSet<_> = running.server.get_conn_mgr().get_all_conn_id().into_iter().collect();
    assert_eq!(ids, (0..10).collect());
    assert_eq!(running.conn(tcp[0].addr()).get_transport(), TransportKind::Tcp);
    assert_eq!(running.conn(ws[0].addr()).get_transport(), TransportKind::WebSocket);
    let stats = running.stop();
    assert_eq!((stats.accepted, stats.stop_hooks), (10, 10));
    ws.iter_mut().for_each(|peer| assert_eq!(peer.read_close(), 1001));
}

#[test]
fn max_conn_counts_through_all_ports() {
    let mut config = common::config();
    (config.mode, config.ws_port, config.max_conn) = (Mode::TCP_AND_WEBSOCKET, 0, 2);
    let running = start_alone(config, |_| {});
    let (mut tcp, mut ws) = (running.connect(), WsPeer::connect(&running));
    tcp.check_echo();
    ws.check_echo();
    assert!(!running.connect().is_reset());
    assert!(WsPeer::ask(&running, "ws://localhost/").is_err());
    wait_until("the counter", || running.server.stats().over_max_conn == 2);
    tcp.check_echo();
    ws.check_echo();
}

#[test]
fn one_too_many_waits_by_policy_whichever_port_the_others_have_come_through() {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, 0);
    (config.max_conn, config.max_conn_policy) = (1, MaxConnPolicy::Wait);
    let running = start_alone(config, |_| {});
    let mut ws = WsPeer::connect(&running);
    ws.check_echo();
    let mut tcp = running.connect();
    tcp.send(&common::frame(ECHO, b"patient"));
    tcp.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let waits = tcp.stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(waits, Err(ErrorKind::WouldBlock), "neither served nor closed");
    tcp.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    drop(ws);
    assert_eq!(tcp.read_frame(), (ECHO, b"patient".to_vec()));
    assert_eq!(running.server.stats().over_max_conn, 0);
}

#[test]
fn a_start_that_finds_its_port_taken_says_what_to_do_and_names_the_key() {
    let failed = |change: &dyn Fn(&mut zinx::Config)| {
        let mut config = common::config();
        change(&mut config);
        zinx::new_server_with_config(config).unwrap().start().unwrap_err().to_string()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let tcp = failed(&|config| config.tcp_port = port);
    let ws = failed(&|config| (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, port));
    for (error, key) in [(tcp, "TcpPort"), (ws, "WsPort")] {
        let words = format!(
            "listen on 127.0.0.1:{port}, which is taken (`ss -ltnp` says by whom, {key} sets another)"
        );
        assert!(error.starts_with(&words), "{error}");
    }
    let elsewhere = failed(&|config| config.host = "192.0.2.1".to_string());
    assert!(elsewhere.contains("which is no address of this machine (Host)"), "{elsewhere}");
}

#[cfg(feature = "kcp")]
#[test]
fn a_start_that_finds_its_udp_port_taken_names_the_key() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = common::config();
    (config.mode, config.kcp_port) = (Mode::KCP, taken.local_addr().unwrap().port());
    let error = zinx::new_server_with_config(config).unwrap().start().unwrap_err().to_string();
    assert!(error.contains("`ss -lunp` says by whom, KcpPort sets another"), "{error}");
}

#[test]
fn a_port_that_is_taken_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, taken.local_addr().unwrap().port());
    let server = zinx::new_server_with_config(config).unwrap();
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains(&taken.local_addr().unwrap().port().to_string()), "{error}");
    assert!(server.local_addrs().is_empty());
    drop(taken);
    // A child that another test is starting may have inherited the listener, for a moment.
    wait_until("a start", || server.start().is_ok());
    server.stop();
    assert!(server.wait_stopped(Duration::from_secs(20)));
}

/// Starts it, and has a message echoed.
fn echo(client: &Client) -> TransportKind {
    let heard = greets(client);
    let conn = client.conn().unwrap();
    for len in [0, 100, 4000] {
        conn.send_msg(ECHO, vec![7; len]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), vec![7; len]);
    }
    let kind = conn.get_transport();
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
    kind
}

#[test]
fn our_clients_speak_all_of_them() {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, 0);
    let plain = start_alone(config.clone(), |_| {});
    (config.cert_file, config.private_key_file) = (pem("server.pem"), pem("server.key"));
    let safe = start_alone(config, |_| {});
    let trust = || TlsOptions::new().ca_file(pem("ca.pem"));

    let tcp = format!("tcp://{}", plain.server.local_addr().unwrap());
    assert_eq!(echo(&new_client_with_url(&tcp).unwrap()), TransportKind::Tcp);
    let port = safe.server.local_addr().unwrap().port();
    let tls = new_tls_client_with_options("localhost", port, &trust(), common::config()).unwrap();
    assert_eq!(echo(&tls), TransportKind::Tls);
    let ws = format!("ws://{}/", address(&plain.server, TransportKind::WebSocket));
    assert_eq!(echo(&new_client_with_url(&ws).unwrap()), TransportKind::WebSocket);
    let wss = format!("wss://localhost:{}/", address(&safe.server, TransportKind::SecureWebSocket).port());
    let client = new_ws_client_with_options(&wss, &WsOptions::new().tls(trust()), common::config()).unwrap();
    assert_eq!(echo(&client), TransportKind::SecureWebSocket);
    // Nobody vouches for the server by default.
    assert!(new_client_with_url(&wss).unwrap().start().is_err());
    TlsPeer::connect(&safe).check_echo();
}

#[test]
fn a_client_shows_headers_and_says_why_it_is_refused() {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::WEBSOCKET, 0);
    config.ws_path = "/game".to_string();
    let running = start_alone(config, |server| {
        let judge = |request: &WsRequest<'_>| match request.header("Authorization") {
            Some("Bearer 1") if request.query() == Some("a=b") => Ok(()),
            _ => Err("nobody".into()),
        };
        server.set_websocket_auth(judge).unwrap();
    });
    let url = format!("ws://{}/game?a=b", address(&running.server, TransportKind::WebSocket));
    let with = |value: &str| {
        let options = WsOptions::new().header("Authorization", value);
        new_ws_client_with_options(&url, &options, common::config())
    };
    assert_eq!(echo(&with("Bearer 1").unwrap()), TransportKind::WebSocket);
    let error = with("Bearer 2").unwrap().start().unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
    assert!(with("a\r\nb: c").is_err());
}
