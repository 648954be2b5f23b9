//! A peer that is cut off gets a reset, so that the system keeps nothing for it. A close in order is an end of stream.

use std::io::Read;
use std::time::{Duration, Instant};

use zinx::Config;
use zinx::zconf::QueueFull;
use zinx::ziface::{CloseReason, IRequest, IServer};

use crate::common::{ECHO, Peer, Running, config, frame, start_alone, wait_until};

/// Answered with more than a peer's socket takes that does not read.
const MUCH: u32 = 2;
const LARGE: usize = 12 << 20;

fn answering(config: Config) -> Running {
    start_alone(config, |server| {
        let much = |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.send_msg(MUCH, vec![7; LARGE])?;
            conn.send_msg(MUCH, vec![7; LARGE])
        };
        server.add_router(MUCH, much).unwrap();
    })
}

/// A peer that has asked for much and reads nothing of it.
fn slow(running: &Running) -> Peer {
    let mut peer = running.connect();
    peer.check_echo();
    peer.send(&frame(MUCH, b""));
    peer
}

#[test]
fn a_peer_cut_off_for_slowness_gets_a_reset() {
    let mut config = config();
    config.write_timeout_ms = 300;
    let running = answering(config);
    let mut peer = slow(&running);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::SlowReader);
    assert!(peer.is_reset());
}

#[test]
fn a_peer_disconnected_at_a_full_queue_gets_a_reset() {
    let mut config = config();
    config.queue_full = QueueFull::Disconnect;
    let running = answering(config);
    let mut peer = slow(&running);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::QueueFull);
    assert!(peer.is_reset());
}

#[test]
fn an_abort_is_a_reset() {
    let running = answering(config());
    for mut peer in [running.connect(), slow(&running)] {
        running.conn(peer.addr()).abort();
        assert_eq!(running.close_reason(peer.addr()), CloseReason::Aborted);
        assert!(peer.is_reset());
    }
}

#[test]
fn a_silent_peer_that_the_heartbeat_gives_up_gets_a_reset() {
    let running = start_alone(config(), |server| {
        server.start_heart_beat(Duration::from_millis(50)).unwrap();
        server.set_on_conn_start(|conn| {
            conn.set_heart_beat(Duration::from_millis(50), Some(Duration::from_millis(200)));
            Ok(())
        });
    });
    let mut peer = running.connect();
    assert_eq!(running.close_reason(peer.addr()), CloseReason::HeartbeatLost);
    assert!(peer.is_reset());
}

#[test]
fn a_peer_that_does_not_read_by_the_drain_deadline_gets_a_reset_and_others_an_end() {
    let in_time = || {
        let mut config = config();
        config.drain_ms = 500;
        let running = answering(config);
        let (mut other, mut peer) = (running.connect(), slow(&running));
        other.check_echo();
        wait_until("a reply that is not read", || running.server.stats().held.total() > 0);
        let begun = Instant::now();
        running.server.stop();
        let end = other.stream.read(&mut [0; 1]);
        drop(other);
        // On a busy machine the deadline may have come for the other too.
        let in_time = begun.elapsed() < Duration::from_millis(500);
        assert!(!in_time || end.is_ok_and(|n| n == 0));
        assert!(running.server.wait_stopped(Duration::from_secs(20)));
        assert!(peer.is_reset());
        in_time
    };
    assert!((0..10).any(|_| in_time()), "ten times too late");
}

#[test]
fn a_close_in_order_is_an_end_of_stream() {
    let running = answering(config());
    let mut peer = running.connect();
    peer.send(&frame(ECHO, b"last"));
    assert_eq!(peer.read_frame(), (ECHO, b"last".to_vec()));
    running.conn(peer.addr()).stop();
    assert!(!peer.is_reset());
}
