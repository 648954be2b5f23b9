//! The request by which a peer asks for WebSocket: who is let in, and what the others are told.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use zinx::green::Event;
use zinx::ziface::TransportKind;
use zinx::znet::{WsRefusal, WsRequest};

use crate::common::{Running, start_alone, wait_until};
use crate::ws_peer::{WsPeer, address, config, connected};

/// What the server answers to raw bytes, until it ends.
fn answer(running: &Running, request: &[u8]) -> String {
    let mut stream = connected(address(&running.server, TransportKind::WebSocket));
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A request that is far too long is not read to its end: a reset may come behind the answer.
    let mut piece = [0; 1000];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..n]);
    }
    String::from_utf8(answer).unwrap()
}

fn status(running: &Running, request: &[u8]) -> u16 {
    answer(running, request).split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn the_answer_is_that_of_the_standard_however_the_request_is_cut() {
    let running = start_alone(config(), |_| {});
    for cut in (1..GOOD.len()).step_by(7) {
        let mut stream = connected(address(&running.server, TransportKind::WebSocket));
        stream.write_all(&GOOD.as_bytes()[..cut]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        stream.write_all(&GOOD.as_bytes()[cut..]).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{answer}");
        assert!(!answer.contains("extensions"), "{answer}");
    }
}

#[test]
fn a_request_that_is_none_is_answered_by_a_status_and_counted() {
    let running = start_alone(config(), |_| {});
    let without =
        |line: &str| GOOD.split("\r\n").filter(|l| !l.starts_with(line)).collect::<Vec<_>>().join("\r\n");
    let huge = format!("GET / HTTP/1.1\r\nA: {}\r\n", "a".repeat(20_000));
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400),
        (GOOD.replace("GET", "POST").into_bytes(), 400),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0").into_bytes(), 400),
        (GOOD.replace("Version: 13", "Version: 8").into_bytes(), 426),
        (GOOD.replace("GET / ", "GET /elsewhere ").into_bytes(), 404),
        (without("Sec-WebSocket-Key").into_bytes(), 400),
        (without("Upgrade").into_bytes(), 400),
        (b"\x16\x03\x01 not http\r\n\r\n".to_vec(), 400),
        (huge.into_bytes(), 431),
    ];
    let count = cases.len();
    for (request, expected) in cases {
        assert_eq!(status(&running, &request), expected, "{}", String::from_utf8_lossy(&request));
    }
    wait_until("the counter", || running.server.stats().handshakes_failed == count);
    assert_eq!(running.server.stats().start_hooks, 0);
    WsPeer::connect(&running).check_echo();
}

/// As some proxies write them.
#[test]
fn lists_in_a_request_may_stand_in_several_lines() {
    let running = start_alone(config(), |_| {});
    let several = [
        GOOD.replace("keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade"),
        GOOD.replace("keep-alive, Upgrade", "keep-alive,\tUPGRADE"),
        GOOD.replace("Upgrade: websocket", "Upgrade: other, WebSocket"),
        GOOD.replace("Upgrade: websocket", "Upgrade: other\r\nupgrade: websocket"),
    ];
    for request in several {
        let mut stream = connected(address(&running.server, TransportKind::WebSocket));
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 101", "{request}");
    }
    let other = GOOD.replace("Upgrade: websocket", "Upgrade: other, websockets");
    assert_eq!(status(&running, other.as_bytes()), 400);
}

#[test]
fn the_program_judges_path_query_headers_and_address() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let mut config = config();
    config.ws_path = "/game".to_string();
    let running = start_alone(config, move |server| {
        let judge = move |request: &WsRequest<'_>| {
            let line = format!("{} {} {:?}", request.method(), request.path(), request.query());
            noted.lock().unwrap().push((line, request.peer_addr()));
            assert!(request.headers().any(|(name, _)| name == "sec-websocket-key"));
            match request.header("X-Token") {
                Some("right") => Ok(()),
                Some("panic") => panic!("a judge may fail"),
                Some("busy") => Err(WsRefusal::new(503, "come back")),
                Some(_) => Err(WsRefusal::new(403, "a wrong token")),
                None => Err("no token".into()),
            }
        };
        server.set_websocket_auth(judge).unwrap();
        assert!(server.set_websocket_auth(|_: &WsRequest<'_>| Ok(())).is_err());
    });
    let ask = |token: Option<&'static str>| {
        let mut request = "ws://localhost/game?room=1".into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("X-Token", HeaderValue::from_static(token));
        }
        WsPeer::ask(&running, request)
    };
    let mut peer = ask(Some("right")).unwrap_or_else(|error| panic!("{error}"));
    peer.check_echo();
    let expected = ("GET /game Some(\"room=1\")".to_string(), peer.addr());
    assert_eq!(seen.lock().unwrap().clone(), [expected]);
    for (token, status) in
        [(None, "401"), (Some("wrong"), "403"), (Some("busy"), "503"), (Some("panic"), "500")]
    {
        assert_eq!(ask(token).err().as_deref(), Some(status), "{token:?}");
    }
    wait_until("the counter", || running.server.stats().handshakes_failed == 4);
    assert_eq!(running.server.stats().start_hooks, 1);
}

/// Whatever it waits for, it holds one of the places meanwhile.
#[test]
fn a_judge_that_waits_for_too_long_is_ended() {
    let mut config = config();
    (config.handshake_timeout_ms, config.max_conn) = (1000, 1);
    let running = start_alone(config, |server| {
        let never = Event::new();
        let judge = move |request: &WsRequest<'_>| {
            if request.query() == Some("wait") {
                never.wait();
            }
            Ok(())
        };
        server.set_websocket_auth(judge).unwrap();
    });
    assert!(WsPeer::ask(&running, "ws://localhost/?wait").is_err());
    wait_until("the counter", || running.server.stats().handshakes_failed == 1);
    let mut is_served = || WsPeer::ask(&running, "ws://localhost/").map(|mut peer| peer.check_echo()).is_ok();
    wait_until("the place", &mut is_served);
}

#[test]
fn a_path_with_a_star_at_its_end_lets_all_in_that_begin_so() {
    let mut config = config();
    config.ws_path = "/stations/*".to_string();
    let running = start_alone(config, |_| {});
    for (path, expected) in
        [("/stations/", "101"), ("/stations/1/x", "101"), ("/", "404"), ("/stations", "404")]
    {
        let mut stream = connected(address(&running.server, TransportKind::WebSocket));
        stream.write_all(GOOD.replacen("GET /", &format!("GET {path}"), 1).as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first[9..], expected.as_bytes(), "{path}");
    }
}

#[test]
fn pages_of_other_origins_are_kept_out() {
    let mut config = config();
    config.ws_origins = "https://game.example, http://localhost:8000".to_string();
    let running = start_alone(config, |_| {});
    let ask = |origin: Option<&'static str>| {
        let mut request = "ws://localhost/".into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", HeaderValue::from_static(origin));
        }
        WsPeer::ask(&running, request).map(|mut peer| peer.check_echo())
    };
    for fine in [None, Some("https://game.example"), Some("http://localhost:8000")] {
        assert_eq!(ask(fine), Ok(()), "{fine:?}");
    }
    for bad in ["https://evil.example", "https://game.example.evil.example", "null"] {
        assert_eq!(ask(Some(bad)), Err("403".to_string()), "{bad}");
    }
}

#[test]
fn a_sub_protocol_is_agreed_on() {
    let mut config = config();
    config.ws_protocols = "zinx.2,zinx.1".to_string();
    let running = start_alone(config, |_| {});
    let ask = |names: &'static str| {
        let mut request = "ws://localhost/".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(names));
        WsPeer::ask(&running, request)
    };
    let peer = ask("zinx.1, zinx.2").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(peer.response.headers()["Sec-WebSocket-Protocol"], "zinx.2");
    // Its state machine ends where the server names none.
    assert!(ask("other").is_err());
    WsPeer::connect(&running).check_echo();
}

#[test]
fn a_request_that_takes_too_long_ends_and_slow_ones_keep_nobody_out() {
    let mut config = config();
    (config.handshake_timeout_ms, config.max_handshakes) = (500, 50);
    let running = start_alone(config, |_| {});
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connected(address(&running.server, TransportKind::WebSocket));
            stream.write_all(&GOOD.as_bytes()[..50]).unwrap();
            stream
        })
        .collect();
    let mut late = 0;
    let mut is_served = || {
        let begun = Instant::now();
        match WsPeer::ask(&running, "ws://localhost/") {
            Ok(mut peer) => {
                peer.check_echo();
                true
            }
            Err(error) => {
                // On a busy machine it may have taken too long itself.
                assert!(begun.elapsed() > Duration::from_millis(450), "{error}");
                late += 1;
                false
            }
        }
    };
    wait_until("one beside them", &mut is_served);
    for stream in &mut slow {
        assert_eq!(stream.read(&mut [0; 100]).unwrap_or(0), 0);
    }
    assert!(begun.elapsed() > Duration::from_millis(450));
    wait_until("one after them", &mut is_served);
    wait_until("the counter", || running.server.stats().handshakes_failed == 100 + late);
}
