//! What is logged of faults: enough to find them, and no more than a line a second of what a peer can repeat.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::child::stderr_of_child;
use common::{Peer, config, frame, log_lines, start, wait_until};
use zinx::ziface::{CloseReason, IRequest, IServer};
use zinx::{Error, Result, zlog};

#[test]
fn unknown_ids_are_logged_at_most_once_a_second() {
    const UNKNOWN: u32 = 1_234_567;
    log_lines::keep();
    let running = start(config(), |_| {});
    let mut peer = running.connect();
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 25 || log_lines::with("1234567").len() < 2 {
        peer.send(&frame(UNKNOWN, b"who?").repeat(100));
        thread::sleep(Duration::from_millis(100));
        rounds += 1;
    }
    peer.check_echo();
    assert_eq!(running.server.stats().unknown_ids, 100 * rounds);
    let lines = log_lines::with("1234567");
    let seconds = start.elapsed().as_secs() as usize;
    assert!((2..=seconds + 2).contains(&lines.len()), "{} lines in {seconds} s: {lines:?}", lines.len());
    assert_eq!(lines[0], "WARN connection 1: no router for message id 1234567");
    assert!(lines[1].ends_with(" more like it)"), "not said how many were left out: {}", lines[1]);
}

#[test]
fn an_unknown_id_that_the_not_found_route_handles_is_not_logged() {
    const UNKNOWN: u32 = 1_234_568;
    log_lines::keep();
    let running = start(config(), |server| {
        server.set_not_found(|request: &dyn IRequest| request.get_connection().send_msg(9, "")).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(UNKNOWN, b"who?"));
    assert_eq!(peer.read_frame(), (9, vec![]));
    assert_eq!((running.server.stats().unknown_ids, log_lines::with("1234568")), (1, vec![]));
}

#[test]
fn a_panic_in_a_handler_is_logged_with_connection_message_and_words() {
    const PANIC: u32 = 7_654_321;
    log_lines::keep();
    let running = start(config(), |server| {
        server
            .add_router(PANIC, |_: &dyn IRequest| -> Result<()> { panic!("words of the handler") })
            .unwrap();
    });
    let mut peer = running.connect();
    let id = running.conn(peer.addr()).get_conn_id();
    peer.send(&frame(PANIC, b""));
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::HandlerPanicked { msg_id: PANIC });
    let expected =
        format!("ERROR connection {id}: the handler of message id {PANIC} panicked: words of the handler");
    assert_eq!(log_lines::with("words of the handler"), [expected]);
}

#[test]
fn a_panic_in_a_hook_is_logged_with_connection_hook_and_words() {
    log_lines::keep();
    let running = start(config(), |server| {
        server.set_on_conn_start(|conn| {
            assert_ne!(conn.get_conn_id(), 1, "words of the start hook");
            Ok(())
        });
        server.set_on_conn_stop(|conn| {
            assert_ne!(conn.get_conn_id(), 1, "words of the stop hook");
            Ok(())
        });
    });
    assert_eq!(running.connect().read_to_end(), b"");
    for hook in ["start", "stop"] {
        let words = format!("words of the {hook} hook");
        wait_until("the line", || !log_lines::with(&words).is_empty());
        let lines = log_lines::with(&words);
        assert!(
            lines[0].starts_with(&format!("ERROR connection 1: the {hook} hook panicked: ")),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn what_a_peer_sends_gets_into_the_log_once_a_second_shortened_and_escaped() {
    const FAILS: u32 = 7001;
    log_lines::keep();
    let mut config = config();
    config.max_packet_size = 10_000;
    let text = |request: &dyn IRequest| String::from_utf8_lossy(request.get_data()).into_owned();
    let running = start(config, |server| {
        server.add_router(FAILS, move |request: &dyn IRequest| Err(Error::other(text(request)))).unwrap();
        let panics = move |request: &dyn IRequest| -> Result<()> { panic!("{}", text(request)) };
        server.add_router(FAILS + 1, panics).unwrap();
    });
    let begun = Instant::now();
    let evil = |what: &str| format!("{what}\r\n\u{1b}]0;title\u{7}\u{202e}{}", "x".repeat(8000));
    let mut peer = running.connect();
    for _ in 0..50 {
        peer.send(&frame(FAILS, evil("error of 7001").as_bytes()));
        let mut other = running.connect();
        other.send(&frame(FAILS + 1, evil("panic of 7002").as_bytes()));
        assert_eq!(other.read_to_end(), b"");
    }
    peer.check_echo();
    check_harmless("error of 7001", begun);
    check_harmless("panic of 7002", begun);
    assert_eq!(running.server.stats().handler_panics, 50);
}

#[test]
fn hooks_that_fail_for_every_connection_are_logged_once_a_second() {
    log_lines::keep();
    let running = start(config(), |server| {
        let evil = |what: &str| Err(Error::other(format!("{what}\n\u{1b}[2J{}", "y".repeat(8000))));
        // The healthy client has the first connection.
        server.set_on_conn_start(
            move |conn| if conn.get_conn_id() == 0 { Ok(()) } else { evil("at the start of 7003") },
        );
        server.set_on_conn_stop(
            move |conn| if conn.get_conn_id() == 0 { Ok(()) } else { evil("at the stop of 7003") },
        );
    });
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(running.connect().read_to_end(), b"");
    }
    check_harmless("at the start of 7003", begun);
    wait_until("the line", || !log_lines::with("at the stop of 7003").is_empty());
    check_harmless("at the stop of 7003", begun);
}

/// At most a line a second, of bounded length, in which nothing is a line of its own or an order to a terminal.
fn check_harmless(what: &str, begun: Instant) {
    let seconds = begun.elapsed().as_secs() as usize;
    let lines = log_lines::with(what);
    assert!((1..=seconds + 2).contains(&lines.len()), "{} lines in {seconds} s", lines.len());
    for line in lines {
        assert!(line.contains("… (") && line.chars().count() < 650, "{line}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line}");
        assert!(line.contains(r"\n\u{1b}"), "{line}");
    }
}

#[test]
fn without_a_logger_the_first_error_of_a_handler_goes_to_stderr_with_a_hint() {
    let name = "without_a_logger_the_first_error_of_a_handler_goes_to_stderr_with_a_hint";
    let said = stderr_of_child(name, &[], || {
        let running = start(config(), |server| {
            server.add_router(5, |_: &dyn IRequest| Err(Error::other("no such user\n"))).unwrap();
        });
        let mut peer = running.connect();
        for _ in 0..100 {
            peer.send(&frame(5, b""));
            peer.send(&frame(404, b""));
            peer.check_echo();
            thread::sleep(Duration::from_millis(15));
        }
    });
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("zinx: ")).collect();
    let expected = [
        r"zinx: connection 1: the handler of message id 5 failed: no such user\n",
        "zinx: no logger is installed, so further messages are lost: call zinx::zlog::init(&config) or env_logger::init() at the start of main",
        "zinx: connection 1: no router for message id 404",
    ];
    assert_eq!(lines, expected, "{said}");
}

#[test]
fn with_a_logger_that_is_silent_nothing_goes_to_stderr() {
    let said = stderr_of_child("with_a_logger_that_is_silent_nothing_goes_to_stderr", &[], || {
        let mut quiet = config();
        quiet.log_isolation_level = 4;
        zlog::init(&quiet).unwrap();
        let running = start(config(), |_| {});
        let mut peer = running.connect();
        peer.send(&frame(404, b""));
        peer.check_echo();
    });
    assert!(!said.contains("404") && !said.contains("no logger"), "{said}");
}

#[test]
fn a_connection_too_many_is_logged_with_its_address_and_the_limit() {
    log_lines::keep();
    let mut config = config();
    config.max_conn = 2;
    let running = start(config, |_| {});
    let mut last: Peer = running.connect();
    last.check_echo();
    let mut extra = running.connect();
    assert_eq!(extra.read_to_end(), b"");
    let expected = format!("WARN closed {}: 2 connections are open, MaxConn is 2", extra.addr());
    wait_until("the line", || log_lines::with(&expected).len() == 1);
    last.check_echo();
    assert_eq!(running.server.stats().over_max_conn, 1);
}

#[test]
fn a_close_out_of_order_is_logged_with_its_reason_and_what_was_not_sent() {
    log_lines::keep();
    let mut config = config();
    config.max_packet_size = 77;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    peer.send(&frame(1, &[0; 78]));
    assert_eq!(peer.read_to_end(), b"");
    let expected = format!(
        "WARN connection {} closed: packet of 78 bytes exceeds MaxPacketSize 77; 0 messages, 0 bytes unsent",
        conn.get_conn_id()
    );
    wait_until("the line", || log_lines::with(&expected).len() == 1);
    wait_until("its place is free", || running.server.get_conn_mgr().get(conn.get_conn_id()).is_none());
}
