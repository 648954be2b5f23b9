//! Rate limits: what a peer sends too fast waits or closes it, and others do not notice.

use std::io::Write;
use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{OverRate, Rate, RateLimits};

use crate::common::phone::{COUNT, OPEN, TOKEN};
use crate::common::{ECHO, Peer, Running, config, frame, start_alone};

const RATE: Rate = Rate { messages: 100, bytes: 0 };

fn limited(limits: RateLimits) -> Running {
    start_alone(config(), |server| {
        server.set_rate_limits(limits).unwrap();
        assert!(matches!(server.set_rate_limits(limits), Err(Error::AlreadyStarted { .. })));
    })
}

/// Echoes so many messages, one after the other. Returns how long that took.
fn echo(running: &Running, count: usize, data: &[u8]) -> Duration {
    let mut peer = running.connect();
    let begun = Instant::now();
    for _ in 0..count {
        peer.send(&frame(ECHO, data));
        assert_eq!(peer.read_frame().1.len(), data.len());
    }
    begun.elapsed()
}

#[test]
fn a_connection_is_slowed_to_its_rate_and_loses_nothing() {
    let running = limited(RateLimits::new(OverRate::Wait).per_connection(RATE));
    // A second's worth at once, the others at 100 a second; another connection has a rate of its own.
    let took = echo(&running, 150, b"");
    assert!(took >= Duration::from_millis(400), "{took:?}");
    let mut peer = running.connect();
    peer.send(&(0..150).flat_map(|_| frame(ECHO, b"burst")).collect::<Vec<_>>());
    for _ in 0..150 {
        assert_eq!(peer.read_frame(), (ECHO, b"burst".to_vec()));
    }
}

#[test]
fn bytes_count_too_heads_included() {
    let rate = Rate { messages: 0, bytes: 100_000 };
    let running = limited(RateLimits::new(OverRate::Wait).per_connection(rate));
    let took = echo(&running, 40, &[7; 3992]);
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

#[test]
fn connections_of_one_address_share_its_rate() {
    let running = limited(RateLimits::new(OverRate::Wait).per_address(RATE));
    // What a busy machine takes in between counts too.
    let begun = Instant::now();
    for _ in 0..3 {
        echo(&running, 50, b"");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[test]
fn over_the_rate_closes_by_policy_with_the_replies_that_are_due() {
    let running = limited(RateLimits::new(OverRate::Close).per_connection(RATE));
    let mut peer = running.connect();
    peer.send(&burst());
    check_over_the_rate(&running, &mut peer);
}

/// Ten seconds' worth: more than a busy machine lets come in time.
fn burst() -> Vec<u8> {
    (0..1000).flat_map(|_| frame(ECHO, b"x")).collect()
}

/// The server has closed the connection in the burst, and answered what it has handled.
fn check_over_the_rate(running: &Running, peer: &mut Peer) {
    let (burst, replies) = (burst(), peer.read_to_end());
    assert!(burst.starts_with(&replies) && replies.len() < burst.len());
    let handled = running.server.stats().requests;
    assert!(handled > 100, "{handled}");
    assert_eq!(replies.len(), handled * frame(ECHO, b"x").len());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::RateLimited);
}

#[test]
fn messages_that_go_to_a_router_beside_a_session_count_too() {
    let running = start_alone(config(), |server| {
        server.set_rate_limits(RateLimits::new(OverRate::Wait).per_connection(RATE)).unwrap();
        server.on_session(|s| s.recv().map(drop)).unwrap();
    });
    let took = echo(&running, 150, b"");
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[test]
fn frames_about_resuming_that_say_nothing_new_count_too() {
    let mut config = config();
    (config.resume_ms, config.over_rate, config.rate_messages) = (60_000, OverRate::Close, RATE.messages);
    let running = start_alone(config, |_| {});
    for has_token in [false, true] {
        let mut peer = running.connect();
        if has_token {
            peer.send(&frame(OPEN, b""));
            assert_eq!(peer.read_frame().0, TOKEN);
        }
        // The server may have closed it by the end.
        drop(peer.stream.write_all(&frame(COUNT, &[0; 8]).repeat(1000)));
        assert_eq!(running.close_reason(peer.addr()), CloseReason::RateLimited);
    }
}

#[test]
fn the_keys_of_the_configuration_limit_unless_the_program_does() {
    let mut config = config();
    config.over_rate = OverRate::Close;
    config.rate_messages = RATE.messages;
    for by_program in [false, true] {
        let running = start_alone(config.clone(), |server| {
            if by_program {
                server.set_rate_limits(RateLimits::new(OverRate::Wait)).unwrap();
            }
        });
        let mut peer = running.connect();
        let burst = burst();
        peer.send(&burst);
        if !by_program {
            check_over_the_rate(&running, &mut peer);
            continue;
        }
        assert_eq!(peer.read_exactly(burst.len()), burst);
        peer.check_echo();
    }
}

#[test]
fn a_connection_that_waits_for_its_rate_can_be_closed() {
    let slow = Rate { messages: 1, bytes: 0 };
    let running = limited(RateLimits::new(OverRate::Wait).per_connection(slow));
    let mut peer = running.connect();
    peer.send(&(0..600).flat_map(|_| frame(ECHO, b"")).collect::<Vec<_>>());
    peer.read_frame();
    // It would rest for minutes now.
    running.conn(peer.addr()).stop();
    peer.read_to_end();
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
}

#[test]
fn a_session_and_a_call_are_slowed_too() {
    let running = start_alone(config(), |server| {
        server.set_rate_limits(RateLimits::new(OverRate::Wait).per_connection(RATE)).unwrap();
        let count = |s: &mut Session| {
            for _ in 0..150 {
                s.recv()?;
            }
            s.send(50, "")
        };
        server.on_session(count).unwrap();
    });
    let mut peer = running.connect();
    let begun = Instant::now();
    peer.send(&(0..150).flat_map(|_| frame(50, b"")).collect::<Vec<_>>());
    assert_eq!(peer.read_frame().0, 50);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}
