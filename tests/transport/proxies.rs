//! Proxies that say for which client they speak: by a PROXY header, and over WebSocket by `X-Forwarded-For`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use zinx::Config;
use zinx::zconf::{Mode, Networks};
use zinx::ziface::{CloseReason, IServer, TransportKind};
use zinx::znet::WsRequest;

use crate::common::{self, ECHO, Peer, Running, frame, start_alone, wait_until};
use crate::tls_peer::{self, TlsPeer, client_config};
use crate::ws_peer::{WsPeer, address, connected};

const HERE: &str = "127.0.0.0/8";

/// Listens for TCP and WebSocket, and trusts these.
fn behind(trusted: &str) -> Config {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, 0);
    (config.proxy_protocol, config.trusted_proxies) = (true, Networks::parse(trusted).unwrap());
    config
}

/// Headers of both versions that speak for a client.
fn headers(client: &str) -> [Vec<u8>; 2] {
    let client: SocketAddr = client.parse().unwrap();
    let (ip, port) = (client.ip(), client.port());
    let line = format!("PROXY TCP{} {ip} {ip} {port} 443\r\n", if ip.is_ipv4() { 4 } else { 6 });
    let (kind, octets) = match ip {
        std::net::IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        std::net::IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    let rest = [&octets[..], &octets, &port.to_be_bytes(), &[1, 187], b"\x04\0\x03abc"].concat();
    let head = [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[kind], &(rest.len() as u16).to_be_bytes()].concat();
    [line.into_bytes(), [head, rest].concat()]
}

fn to(running: &Running, kind: TransportKind) -> TcpStream {
    connected(address(&running.server, kind))
}

/// Sent byte by byte, or at once.
fn after(mut stream: TcpStream, header: &[u8], slowly: bool) -> TcpStream {
    for part in header.chunks(if slowly { 1 } else { header.len() }) {
        stream.write_all(part).unwrap();
    }
    stream
}

#[test]
fn a_proxy_speaks_for_its_client_over_each_transport() {
    let (plain, mut secure) = (start_alone(behind(HERE), |_| {}), behind(HERE));
    (secure.cert_file, secure.private_key_file) = (tls_peer::pem("server.pem"), tls_peer::pem("server.key"));
    let secure = start_alone(secure, |_| {});
    for (n, client) in ["1.2.3.4:1000", "[2001:db8::7]:2000"].into_iter().enumerate() {
        for (version, header) in headers(client).into_iter().enumerate() {
            let slowly = n == version;
            let client: SocketAddr = client.parse().unwrap();
            let mut tcp = Peer { stream: after(to(&plain, TransportKind::Tcp), &header, slowly) };
            tcp.check_echo();
            assert_eq!(plain.conn(client).get_transport(), TransportKind::Tcp);
            drop(tcp);
            wait_until("its end", || plain.server.get_conn_mgr().is_empty());
            let ws = after(to(&plain, TransportKind::WebSocket), &header, slowly);
            let mut ws = WsPeer::over(Box::new(ws), client, "ws://localhost/").unwrap();
            ws.check_echo();
            assert_eq!(plain.conn(client).get_transport(), TransportKind::WebSocket);
            drop(ws);
            wait_until("its end", || plain.server.get_conn_mgr().is_empty());
            let tls = after(to(&secure, TransportKind::Tls), &header, slowly);
            let mut tls = TlsPeer::over(tls, client_config(|_| {}));
            tls.check_echo();
            assert_eq!(secure.conn(client).get_transport(), TransportKind::Tls);
        }
    }
}

/// A header and the first message may come together.
#[test]
fn nothing_of_what_follows_a_header_is_lost() {
    let running = start_alone(behind(HERE), |_| {});
    for header in headers("1.2.3.4:1000") {
        let message = frame(ECHO, b"at once");
        let all = [&header[..], &message].concat();
        let mut peer = Peer { stream: after(to(&running, TransportKind::Tcp), &all, false) };
        assert_eq!(peer.read_exactly(message.len()), message);
        peer.finish();
        peer.read_to_end();
    }
}

/// Also the end of the stream may come together with them: of a client that asks once, and reads until it is answered.
#[test]
fn the_end_that_comes_with_what_follows_a_header_is_not_lost() {
    let mut config = behind(HERE);
    // However slow the machine, none of them takes too long.
    config.handshake_timeout_ms = 100_000;
    let running = start_alone(config, |_| {});
    let [header, _] = headers("1.2.3.4:1000");
    let message = frame(ECHO, b"once");
    // Their handshakes rest by the time a later one is over.
    let resting: Vec<_> = (0..20).map(|_| to(&running, TransportKind::Tcp)).collect();
    Peer { stream: after(to(&running, TransportKind::Tcp), &header, false) }.check_echo();
    for stream in resting {
        // One segment has all of it.
        socket2::SockRef::from(&stream).set_tcp_cork(true).unwrap();
        let mut peer = Peer { stream: after(stream, &[&header[..], &message].concat(), false) };
        peer.finish();
        assert_eq!(peer.read_to_end(), message);
    }
}

/// As a load balancer does that looks whether we live.
#[test]
fn a_proxy_may_speak_for_itself() {
    let running = start_alone(behind(HERE), |_| {});
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut peer = Peer { stream: after(to(&running, TransportKind::Tcp), header, false) };
        peer.check_echo();
        assert_eq!(running.conn(peer.addr()).get_remote_addr(), peer.addr());
    }
}

#[test]
fn a_proxy_that_is_trusted_has_to_say_for_whom_it_speaks() {
    let mut config = behind(HERE);
    config.handshake_timeout_ms = 1000;
    let running = start_alone(config, |_| {});
    let streams = [
        &frame(ECHO, b"no header")[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 x 1 2\r\n",
        b"PROXY ",
    ];
    for (n, stream) in streams.into_iter().enumerate() {
        let mut peer = Peer { stream: after(to(&running, TransportKind::Tcp), stream, false) };
        assert_eq!(peer.stream.read(&mut [0; 100]).unwrap_or(0), 0, "{n}");
        wait_until("the counter", || running.server.stats().handshakes_failed == n + 1);
    }
    assert_eq!(running.server.stats().start_hooks, 0);
}

#[test]
fn whoever_is_not_trusted_speaks_for_nobody() {
    let running = start_alone(behind("10.0.0.0/8"), |_| {});
    let mut direct = running.connect();
    direct.check_echo();
    assert_eq!(running.conn(direct.addr()).get_remote_addr(), direct.addr());
    let [line, _] = headers("1.2.3.4:1000");
    let spoofed = Peer { stream: after(to(&running, TransportKind::Tcp), &line, false) };
    let reason = running.close_reason(spoofed.addr());
    assert!(matches!(reason, CloseReason::PacketTooLarge { .. }), "{reason:?}");
    let mut spoofed = after(to(&running, TransportKind::WebSocket), &line, false);
    spoofed.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    spoofed.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    direct.check_echo();
}

fn ask(running: &Running, forwarded: &[&'static str]) -> Result<WsPeer, String> {
    let mut request = "ws://localhost/".into_client_request().unwrap();
    for list in forwarded {
        request.headers_mut().append("X-Forwarded-For", HeaderValue::from_static(list));
    }
    WsPeer::ask(running, request)
}

#[test]
fn the_client_is_the_last_address_that_is_no_proxy() {
    let mut config = behind("127.0.0.0/8,10.0.0.0/8");
    config.proxy_protocol = false;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let judged = Arc::clone(&seen);
    let running = start_alone(config, move |server| {
        let judge = move |request: &WsRequest<'_>| {
            judged.lock().unwrap().push(request.peer_addr());
            Ok(())
        };
        server.set_websocket_auth(judge).unwrap();
    });
    let cases: [(&[&'static str], &str); 6] = [
        (&["1.2.3.4"], "1.2.3.4:0"),
        (&["9.9.9.9, 1.2.3.4,10.1.1.1"], "1.2.3.4:0"),
        (&["spoofed", "1.2.3.4:7", "10.1.1.1"], "1.2.3.4:7"),
        (&["2001:db8::1"], "[2001:db8::1]:0"),
        (&["[2001:db8::1]:5"], "[2001:db8::1]:5"),
        (&["10.1.1.1, 10.2.2.2"], "10.1.1.1:0"),
    ];
    for (lists, client) in cases {
        let client: SocketAddr = client.parse().unwrap();
        let mut peer = ask(&running, lists).unwrap_or_else(|error| panic!("{lists:?}: {error}"));
        peer.check_echo();
        assert_eq!(running.conn(client).get_remote_addr(), client);
        assert_eq!(seen.lock().unwrap().pop(), Some(client));
        drop(peer);
        wait_until("its end", || running.server.get_conn_mgr().is_empty());
    }
    assert_eq!(ask(&running, &["1.2.3.4, nobody"]).err().as_deref(), Some("400"));
    let mut peer = ask(&running, &[]).unwrap();
    peer.check_echo();
    assert_eq!(running.conn(peer.addr()).get_remote_addr(), peer.addr());
}

/// Also where it came through a proxy that is trusted, and says by a PROXY header that it is not.
#[test]
fn what_a_client_says_of_itself_is_ignored() {
    for header in [None, Some("1.2.3.4:1000")] {
        let mut config = behind(if header.is_some() { HERE } else { "10.0.0.0/8" });
        config.proxy_protocol = header.is_some();
        let running = start_alone(config, |_| {});
        let mut stream = to(&running, TransportKind::WebSocket);
        let mut client = stream.local_addr().unwrap();
        if let Some(header) = header {
            stream = after(stream, &headers(header)[1], false);
            client = header.parse().unwrap();
        }
        let mut request = "ws://localhost/".into_client_request().unwrap();
        request.headers_mut().insert("X-Forwarded-For", HeaderValue::from_static("6.6.6.6"));
        let mut peer = WsPeer::over(Box::new(stream), client, request).unwrap();
        peer.check_echo();
        assert_eq!(running.conn(client).get_remote_addr(), client);
    }
}

#[test]
fn clients_of_a_proxy_are_counted_by_their_own_addresses() {
    let mut config = behind(HERE);
    config.max_conn_per_address = 1;
    let running = start_alone(config, |_| {});
    let speak = |client| Peer { stream: after(to(&running, TransportKind::Tcp), &headers(client)[0], false) };
    let (mut first, mut other) = (speak("1.2.3.4:1"), speak("1.2.3.5:1"));
    first.check_echo();
    other.check_echo();
    assert_eq!(speak("1.2.3.4:2").read_to_end(), b"");
    wait_until("the counter", || running.server.stats().over_max_conn_per_address == 1);
    drop(first);
    wait_until("its end", || running.server.get_conn_mgr().len() == 1);
    speak("1.2.3.4:3").check_echo();
    let mut config = behind(HERE);
    (config.max_conn_per_address, config.proxy_protocol) = (1, false);
    let running = start_alone(config, |_| {});
    let (mut first, mut other) = (ask(&running, &["1.2.3.4"]).unwrap(), ask(&running, &["1.2.3.5"]).unwrap());
    first.check_echo();
    other.check_echo();
    assert_eq!(ask(&running, &["1.2.3.4"]).unwrap().read_close(), 1008);
    wait_until("the counter", || running.server.stats().over_max_conn_per_address == 1);
}

/// As those that come by themselves, and not only once their handshake is over.
#[test]
fn clients_of_a_proxy_are_counted_while_their_handshakes_go_on() {
    let mut config = behind(HERE);
    (config.cert_file, config.private_key_file) = (tls_peer::pem("server.pem"), tls_peer::pem("server.key"));
    (config.max_conn_per_address, config.handshake_timeout_ms) = (1, 100_000);
    let running = start_alone(config, |_| {});
    let come = |client| after(to(&running, TransportKind::Tls), &headers(client)[0], false);
    let _slow = [come("1.2.3.4:1"), come("1.2.3.4:2")];
    wait_until("the counter", || running.server.stats().over_max_conn_per_address == 1);
    TlsPeer::over(come("1.2.3.5:1"), client_config(|_| {})).check_echo();
    assert_eq!(running.server.stats().handshakes_failed, 0);
}

#[test]
fn a_client_of_a_proxy_is_told_that_there_are_too_many_of_its_address() {
    let mut config = behind(HERE);
    (config.max_conn_per_address, config.last_word_msg_id) = (1, 9);
    let running = start_alone(config, |_| {});
    let speak = |client| Peer { stream: after(to(&running, TransportKind::Tcp), &headers(client)[1], false) };
    let mut first = speak("1.2.3.4:1");
    first.check_echo();
    let (id, words) = speak("1.2.3.4:2").read_frame();
    assert_eq!((id, &words[..]), (9, &b"1 connections of this address are open"[..]));
    first.check_echo();
}

/// Otherwise a client behind a proxy could try one token after the other.
#[test]
fn requests_that_are_refused_are_faults_of_the_client_that_its_proxy_names() {
    let mut config = behind(HERE);
    (config.proxy_protocol, config.ban_faults) = (false, 2);
    let judged = Arc::new(Mutex::new(0));
    let count = Arc::clone(&judged);
    let running = start_alone(config, move |server| {
        let judge = move |_: &WsRequest<'_>| {
            *count.lock().unwrap() += 1;
            Err("a wrong token".into())
        };
        server.set_websocket_auth(judge).unwrap();
    });
    let refused = |client| ask(&running, &[client]).err();
    for n in 1..=3 {
        assert_eq!(refused("1.2.3.4").as_deref(), Some("401"));
        wait_until("the counter", || running.server.stats().handshakes_failed == n);
    }
    wait_until("the ban", || running.server.stats().bans == 1);
    // Closed at once, and nobody is asked.
    assert_ne!(refused("1.2.3.4").as_deref(), Some("401"));
    assert_eq!((running.server.stats().refused_banned, *judged.lock().unwrap()), (1, 3));
    assert_eq!(refused("1.2.3.5").as_deref(), Some("401"));
}

#[test]
fn a_server_that_is_not_told_whom_to_trust_does_not_start() {
    let server = zinx::new_server_with_config(behind("")).unwrap();
    assert!(server.start().unwrap_err().to_string().starts_with("TrustedProxies: "));
}
