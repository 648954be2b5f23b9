//! What peers may take: places, bytes that wait for them, the time of others.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zinx::zconf::{MaxConnPolicy, QueueFull};
use zinx::ziface::{CloseReason, IRequest, IServer, TransportKind};
use zinx::znet::{OverRate, Rate, RateLimits};
use zinx::{Config, Error};

use crate::common::flooding::{
    self, FLOOD, FLOOD_BYTES, FLOOD_MESSAGES, Outcome, QUEUE_BYTES, add_flood, read_flood, wait_for,
};
use crate::common::{ECHO, comes_true, frame, wait_until};
use crate::served::{Peer, Served, start, start_alone_with, start_with};

const LONG: Duration = Duration::from_secs(20);

// Places.

/// Whether a peer is turned away: before it is a connection, or by an end.
fn is_turned_away(served: &Served) -> bool {
    let Ok(mut peer) = served.try_connect() else { return true };
    !matches!(peer.stream.read(&mut [0]), Ok(1))
}

/// Whether one that was turned away has been counted. Over KCP it asks again if a busy machine does not answer soon, and each time that
/// it shows that it receives is one.
fn is_counted(kind: TransportKind, count: usize) -> bool {
    count == 1 || count > 1 && kind == TransportKind::Kcp
}

pub(crate) fn one_over_max_conn_is_turned_away_and_a_place_that_is_left_is_taken(kind: TransportKind) {
    let served = start_alone_with(kind, |config| config.max_conn = 2, |_| {});
    let (mut first, mut second) = (served.connect(), served.connect());
    [&mut first, &mut second].into_iter().for_each(Peer::check_echo);
    assert!(is_turned_away(&served));
    wait_until("the counter", || is_counted(kind, served.server.stats().over_max_conn));
    [&mut first, &mut second].into_iter().for_each(Peer::check_echo);
    drop(first);
    wait_until("the place", || served.server.get_conn_mgr().len() == 1);
    served.connect().check_echo();
    second.check_echo();
}

pub(crate) fn one_over_max_conn_waits_for_a_place_if_that_is_the_policy(kind: TransportKind) {
    let change = |config: &mut Config| (config.max_conn, config.max_conn_policy) = (1, MaxConnPolicy::Wait);
    let served = start_alone_with(kind, change, |_| {});
    let mut first = served.connect();
    first.check_echo();
    let has_come = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            served.connect().check_echo();
            has_come.store(true, Ordering::Release);
        });
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(20));
            first.check_echo();
        }
        assert!(!has_come.load(Ordering::Acquire));
        drop(first);
        wait_until("its turn", || has_come.load(Ordering::Acquire));
    });
    let stats = served.stop();
    assert_eq!((stats.accepted, stats.over_max_conn), (2, 0));
}

pub(crate) fn connections_of_one_address_are_counted(kind: TransportKind) {
    let served = start_alone_with(kind, |config| config.max_conn_per_address = 1, |_| {});
    let mut first = served.connect();
    first.check_echo();
    assert!(is_turned_away(&served));
    wait_until("the counter", || is_counted(kind, served.server.stats().over_max_conn_per_address));
    first.check_echo();
    drop(first);
    wait_until("the place", || served.server.get_conn_mgr().is_empty());
    served.connect().check_echo();
}

// Peers that do not read.

/// A server whose [`FLOOD`] handler sends numbered messages until one is refused.
fn start_flooding(
    kind: TransportKind,
    policy: QueueFull,
    change: impl FnOnce(&mut Config),
) -> (Served, Outcome) {
    let outcome = Outcome::default();
    let change = |config: &mut Config| {
        flooding::bound(config, policy);
        change(config);
    };
    (start_with(kind, change, |server| add_flood(server, &outcome)), outcome)
}

fn flood(served: &Served) -> Peer {
    let mut peer = served.connect();
    peer.send(&frame(FLOOD, b""));
    peer
}

pub(crate) fn a_full_queue_fails_a_send_by_policy_and_loses_nothing(kind: TransportKind) {
    for policy in [QueueFull::Fail, QueueFull::Wait] {
        let (served, outcome) = start_flooding(kind, policy, |_| {});
        let mut peer = flood(&served);
        let sent = wait_for(&outcome);
        let Err(Error::QueueFull { bytes, messages, .. }) = sent.result else { panic!("{:?}", sent.result) };
        assert!(bytes <= QUEUE_BYTES && messages > 0, "{bytes} bytes, {messages} messages");
        assert_eq!(read_flood(&mut peer, sent.accepted), (0..sent.accepted).collect::<Vec<_>>());
        peer.check_echo();
    }
}

pub(crate) fn a_full_queue_drops_the_oldest_by_policy_and_counts_them(kind: TransportKind) {
    let (served, outcome) = start_flooding(kind, QueueFull::DropOldest, |_| {});
    let mut peer = flood(&served);
    let sent = wait_for(&outcome);
    sent.result.unwrap();
    let dropped = sent.conn.get_unsent();
    assert!(dropped.messages > 0);
    assert_eq!(dropped.bytes, dropped.messages * (FLOOD_BYTES + 8));
    let numbers = read_flood(&mut peer, FLOOD_MESSAGES - u32::try_from(dropped.messages).unwrap());
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(numbers.last(), Some(&(FLOOD_MESSAGES - 1)));
    peer.check_echo();
}

pub(crate) fn a_full_queue_disconnects_by_policy(kind: TransportKind) {
    let (served, outcome) = start_flooding(kind, QueueFull::Disconnect, |_| {});
    let peer = flood(&served);
    let sent = wait_for(&outcome);
    assert!(matches!(sent.result, Err(Error::QueueFull { .. })), "{:?}", sent.result);
    assert_eq!(served.close_reason(peer.addr()), CloseReason::QueueFull);
    assert!(sent.conn.wait_closed(LONG).unwrap());
    let unsent = sent.conn.get_unsent();
    assert!(unsent.messages > 0 && unsent.bytes <= QUEUE_BYTES, "{unsent:?}");
    assert_eq!(served.stop_hooks(peer.addr()), 1);
}

pub(crate) fn a_peer_that_does_not_read_is_closed_at_the_write_timeout(kind: TransportKind) {
    let change = |config: &mut Config| (config.write_timeout_ms, config.queue_wait_ms) = (400, 60_000);
    let (served, outcome) = start_flooding(kind, QueueFull::Wait, change);
    let (slow, mut good) = (flood(&served), served.connect());
    assert_eq!(served.close_reason(slow.addr()), CloseReason::SlowReader);
    assert_eq!(served.stop_hooks(slow.addr()), 1);
    let sent = wait_for(&outcome);
    assert!(matches!(sent.result, Err(Error::ConnectionClosed)), "{:?}", sent.result);
    good.check_echo();
}

// Peers that send without end.

pub(crate) fn a_flood_holds_nobody_up_and_loses_nothing(kind: TransportKind) {
    const FLOODERS: usize = 2;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let served = start(kind, |server| {
        let router = move |_: &dyn IRequest| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        server.add_router(FLOOD, router).unwrap();
    });
    let mut flooders: Vec<_> = (0..FLOODERS).map(|_| served.connect()).collect();
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let flood = |peer: &mut Peer| {
            let requests = frame(FLOOD, &[7; 56]).repeat(100);
            let mut sent = 0;
            while !is_over.load(Ordering::Acquire) {
                peer.send(&requests);
                sent += 100;
            }
            sent
        };
        let floods: Vec<_> = flooders.iter_mut().map(|peer| scope.spawn(move || flood(peer))).collect();
        wait_until("the flood", || taken.load(Ordering::Relaxed) > 2000);
        let mut peer = served.connect();
        let begun = Instant::now();
        (0..20).for_each(|_| peer.check_echo());
        let took = begun.elapsed();
        is_over.store(true, Ordering::Release);
        let sent: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        assert!(took < LONG, "twenty echoes took {took:?}");
        sent
    });
    flooders.iter_mut().for_each(Peer::check_echo);
    assert_eq!(taken.load(Ordering::Relaxed), sent);
}

pub(crate) fn over_the_rate_closes_by_policy_with_the_replies_that_are_due(kind: TransportKind) {
    let rate = Rate { messages: 100, bytes: 0 };
    let limits = RateLimits::new(OverRate::Close).per_connection(rate);
    let served = start_alone_with(kind, |_| {}, |server| server.set_rate_limits(limits).unwrap());
    let burst = frame(ECHO, b"x").repeat(101);
    let is_over_it = || {
        let mut peer = served.connect();
        let conn = served.conn(peer.addr());
        peer.send(&burst);
        assert_eq!(peer.read_exactly(burst.len()), burst);
        let is_closed = comes_true(Duration::from_secs(3), || conn.get_close_reason().is_some());
        if is_closed {
            assert_eq!(peer.read_to_end(), b"");
            assert_eq!(served.close_reason(peer.addr()), CloseReason::RateLimited);
        }
        is_closed
    };
    // A busy machine may take so long for a burst that it is within the rate.
    assert!((0..10).any(|_| is_over_it()), "ten times within the rate");
    served.connect().check_echo();
}
