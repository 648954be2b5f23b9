//! A peer over its rate limit holds up no other: when it has gone, its place and the share of its address are free.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::Config;
use zinx::ziface::{IRequest, IServer};

use crate::common::{Peer, Running, config, frame, start_alone, wait_until};

/// Has its messages counted and answered.
const COUNT: u32 = 2;

fn counting(config: Config) -> (Running, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let running = start_alone(config, |server| {
        let count = move |request: &dyn IRequest| {
            counted.fetch_add(1, Ordering::AcqRel);
            request.get_connection().send_msg(COUNT, "")
        };
        server.add_router(COUNT, count).unwrap();
    });
    (running, handled)
}

/// Connects and sends thousands of messages at once, as far as the socket takes them.
fn flood(running: &Running) -> Peer {
    let mut peer = running.connect();
    peer.check_echo();
    peer.stream.set_nonblocking(true).unwrap();
    drop(peer.stream.write(&frame(COUNT, b"").repeat(30_000)));
    peer
}

#[test]
fn a_peer_that_resets_while_it_is_over_its_rate_leaves_its_place() {
    let mut config = config();
    (config.max_conn, config.rate_messages) = (20, 10);
    let (running, handled) = counting(config);
    let peers: Vec<_> = (0..20).map(|_| flood(&running)).collect();
    wait_until("all are over their rate", || handled.load(Ordering::Acquire) >= 20 * 10);
    peers.into_iter().for_each(Peer::reset);
    wait_until("the places are free", || running.server.get_conn_mgr().is_empty());
    running.connect().check_echo();
}

#[test]
fn a_peer_that_ends_its_stream_while_it_is_over_its_rate_leaves_its_place() {
    let mut config = config();
    config.rate_messages = 10;
    let (running, _) = counting(config);
    let peers: Vec<_> = (0..5).map(|_| flood(&running)).collect();
    peers.iter().for_each(Peer::finish);
    // It reads what it is answered, so the connection can end in order.
    drop(peers);
    wait_until("the places are free", || running.server.get_conn_mgr().is_empty());
}

#[test]
fn after_a_flood_others_of_its_address_are_served() {
    let mut config = config();
    config.rate_address_messages = 100;
    let (running, _) = counting(config);
    let mut before = running.connect();
    before.check_echo();
    let peers: Vec<_> = (0..10).map(|_| flood(&running)).collect();
    // While they flood, each peer of the address has its turn once a second.
    before.check_echo();
    peers.into_iter().for_each(Peer::reset);
    before.check_echo();
    running.connect().check_echo();
}

#[test]
fn a_burst_of_small_messages_is_handled_at_the_rate() {
    let mut config = config();
    config.rate_messages = 100;
    let (running, handled) = counting(config);
    let begun = Instant::now();
    let _peer = flood(&running);
    // A second's worth at once, one more as debt, and then the rate.
    wait_until("four seconds' worth", || handled.load(Ordering::Acquire) >= 400);
    let (handled, took) = (handled.load(Ordering::Acquire), begun.elapsed());
    assert!(took > Duration::from_millis(1200), "{took:?}");
    assert!(handled as f64 <= 350.0 + 150.0 * took.as_secs_f64(), "{handled} in {took:?}");
}
