//! Calls that nobody answers: while they wait, and after, the connection rests, is timed out and ends as any other.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use common::{ECHO, Peer, Running, config, frame, start};
use zinx::prelude::*;
use zinx::ziface::CloseReason;

/// Has its handler ask, in vain.
const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const GIVEN_UP: u32 = 5;

/// A server whose handler has just given up a call, and the peer that has not answered.
fn after_a_call_in_vain(config: Config) -> (Running, Peer) {
    let running = start(config, |server| {
        let ask = |request: &dyn IRequest| {
            let conn = request.get_connection();
            match conn.call(QUESTION, "?", ANSWER, Duration::from_millis(50)) {
                Err(Error::TimedOut { .. }) => conn.send_msg(GIVEN_UP, ""),
                other => other.map(drop),
            }
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    assert_eq!(peer.read_frame().0, QUESTION);
    assert_eq!(peer.read_frame().0, GIVEN_UP);
    (running, peer)
}

#[test]
fn a_peer_that_leaves_after_a_call_in_vain_is_noticed() {
    let (running, mut peer) = after_a_call_in_vain(config());
    peer.finish();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
}

#[test]
fn a_peer_that_is_silent_after_a_call_in_vain_is_idle() {
    let mut config = config();
    config.idle_timeout_ms = 1000;
    let (running, mut peer) = after_a_call_in_vain(config);
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn half_an_answer_after_a_call_in_vain_is_closed_at_the_frame_timeout() {
    let mut config = config();
    config.frame_timeout_ms = 500;
    let (running, mut peer) = after_a_call_in_vain(config);
    peer.send(&frame(ANSWER, b"too late")[..9]);
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
}

#[test]
fn a_trickle_does_not_put_off_the_frame_timeout_while_another_waits_for_an_answer() {
    let mut config = config();
    config.frame_timeout_ms = 500;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    let conn = running.conn(peer.addr());
    let asking = thread::spawn(move || conn.call(QUESTION, "?", ANSWER, Duration::from_secs(60)));
    assert_eq!(peer.read_frame().0, QUESTION);
    let begun = Instant::now();
    for byte in frame(ECHO, &[7; 2000]) {
        if running.stop_hooks(peer.addr()) > 0 || peer.stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "after {:?}", begun.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
    assert!(matches!(asking.join().unwrap(), Err(Error::ConnectionClosed)));
}
