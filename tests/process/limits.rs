//! Limits: what is too large or too much is refused, and no other peer notices.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::child::{in_child, resident_kib};
use crate::common::{ECHO, Peer, config, frame, pattern, shortest, start, start_alone, wait_until};
use zinx::zconf::MaxConnPolicy;
use zinx::ziface::CloseReason;

#[test]
fn an_oversized_frame_closes_only_its_connection_and_delivers_replies_due() {
    let mut config = config();
    config.max_packet_size = 64;
    let running = start(config, |_| {});
    let replies = [frame(ECHO, &pattern(64)), frame(ECHO, b"due")].concat();
    let too_large = frame(ECHO, &pattern(65));
    let limit = Duration::from_secs(2);
    let took = shortest(limit, || {
        let mut peer = running.connect();
        let start = Instant::now();
        peer.send(&[&replies[..], &too_large].concat());
        assert_eq!(peer.read_to_end(), replies);
        let took = start.elapsed();
        let reason = running.close_reason(peer.addr());
        assert_eq!(reason, CloseReason::PacketTooLarge { len: 65, max: 64 });
        assert_eq!(reason.to_string(), "packet of 65 bytes exceeds MaxPacketSize 64");
        assert_eq!(running.stop_hooks(peer.addr()), 1);
        took
    });
    assert!(took < limit, "the end came after {took:?}");
}

#[test]
fn the_largest_length_on_a_thousand_connections_takes_no_memory() {
    in_child("limits::the_largest_length_on_a_thousand_connections_takes_no_memory", || {
        let count = 1000;
        assert!(zinx::green::raise_open_files(4 * count + 300) >= 4 * count + 300, "too few open files");
        let running = start_alone(config(), |_| {});
        let mut peers: Vec<_> = (0..count).map(|_| running.connect()).collect();
        for peer in &mut peers {
            peer.check_echo();
        }
        // What so many closings take is no more where the length is the largest there is than where it is one too many.
        let mut others: Vec<_> = (0..count).map(|_| running.connect()).collect();
        let ordinary = growth_while_closed(&mut others, config().max_packet_size + 1);
        let largest = growth_while_closed(&mut peers, u32::MAX);
        let max = config().max_packet_size;
        let reason = CloseReason::PacketTooLarge { len: u64::from(u32::MAX), max };
        for peer in &peers {
            assert_eq!(running.close_reason(peer.addr()), reason);
        }
        assert!(largest <= ordinary + 1024, "{largest} KiB more, and {ordinary} KiB");
    });
}

/// How much memory is added, in KiB, while all these are closed for a frame that says that it is so long.
fn growth_while_closed(peers: &mut [Peer], len: u32) -> usize {
    thread::sleep(Duration::from_millis(200));
    let (before, mut most) = (resident_kib(), 0);
    let head = [&len.to_le_bytes()[..], &ECHO.to_le_bytes()].concat();
    peers.iter_mut().for_each(|peer| peer.send(&head));
    for peer in peers {
        assert_eq!(peer.read_to_end(), b"");
        most = most.max(resident_kib());
    }
    most.saturating_sub(before)
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_untouched() {
    let mut config = config();
    config.max_conn = 3;
    let running = start(config, |_| {});
    let mut others = [running.connect(), running.connect()];
    others.iter_mut().for_each(Peer::check_echo);
    let mut extra = running.connect();
    assert_eq!(extra.read_to_end(), b"");
    others.iter_mut().for_each(Peer::check_echo);
    let stats = running.server.stats();
    assert_eq!((stats.accepted, stats.over_max_conn, stats.start_hooks), (3, 1, 3));
    let [first, mut second] = others;
    drop(first);
    // The place is free again, if not at once.
    wait_until("a free place", || {
        let mut next = running.connect();
        let ping = frame(ECHO, b"?");
        let mut pong = vec![0; ping.len()];
        next.stream.write_all(&ping).and_then(|()| next.stream.read_exact(&mut pong)).is_ok()
    });
    second.check_echo();
}

#[test]
fn one_connection_too_many_waits_for_a_free_place_by_policy() {
    let mut config = config();
    config.max_conn = 3;
    config.max_conn_policy = MaxConnPolicy::Wait;
    let running = start(config, |_| {});
    let mut others = [running.connect(), running.connect()];
    others.iter_mut().for_each(Peer::check_echo);
    let mut extra = running.connect();
    extra.send(&frame(ECHO, b"patient"));
    extra.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    extra.stream.read_exact(&mut [0]).expect_err("served although there is no place");
    extra.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let [first, mut second] = others;
    drop(first);
    assert_eq!(extra.read_frame(), (ECHO, b"patient".to_vec()));
    second.check_echo();
    assert_eq!(running.server.stats().over_max_conn, 0);
}
