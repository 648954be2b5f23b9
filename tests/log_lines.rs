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

use common::{Peer, config, frame, log_lines, start, wait_until};
use zinx::Result;
use zinx::ziface::{CloseReason, IRequest, IServer};

#[test]
fn unknown_ids_are_logged_at_most_once_a_second() {
    const UNKNOWN: u32 = 1_234_567;
    log_lines::keep();
    let running = start(config(), |_| {});
    let mut peer = running.connect();
    let start = Instant::now();
    for _ in 0..25 {
        peer.send(&frame(UNKNOWN, b"who?").repeat(100));
        thread::sleep(Duration::from_millis(100));
    }
    peer.check_echo();
    assert_eq!(running.server.stats().unknown_ids, 2500);
    let lines = log_lines::with("1234567");
    let seconds = start.elapsed().as_secs() as usize;
    assert!((2..=seconds + 2).contains(&lines.len()), "{} lines in {seconds} s: {lines:?}", lines.len());
    assert_eq!(lines[0], "WARN connection 1: no router for message id 1234567");
    assert!(lines[1].ends_with(" more like it)"), "not said how many were left out: {}", lines[1]);
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
        format!("ERROR connection {id}: handler of message id {PANIC} panicked: words of the handler");
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
        assert!(lines[0].starts_with(&format!("ERROR connection 1: {hook} hook panicked: ")), "{lines:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
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
