//! The data path: what goes in as bytes, cut anyhow, comes to the handler as messages, and its answers come back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{ECHO, Running, config, frame, pattern, start, start_alone, wait_until};
use zinx::green;
use zinx::zconf::PackKind;
use zinx::ziface::{CloseReason, IRequest};

/// The message id whose messages are kept and answered with their number.
const KEEP: u32 = 7;

type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

/// A server that keeps the payloads of [`KEEP`].
fn start_keeping() -> (Running, Kept) {
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let running = start(config(), |server| {
        let router = move |request: &dyn IRequest| {
            keep.lock().unwrap().push(request.get_data().to_vec());
            request.get_connection().send_msg(KEEP, request.get_data())
        };
        server.add_router(KEEP, router).unwrap();
    });
    (running, kept)
}

fn take(kept: &Kept) -> Vec<Vec<u8>> {
    std::mem::take(&mut kept.lock().unwrap())
}

#[test]
fn a_frame_cut_at_every_byte_is_handled_once_with_identical_bytes() {
    let (running, kept) = start_keeping();
    let payload = pattern(40);
    let bytes = frame(KEEP, &payload);
    let mut peer = running.connect();
    for cut in 1..bytes.len() {
        peer.send(&bytes[..cut]);
        // The other connection is served meanwhile, so the piece has most likely been read alone.
        running.connect().check_echo();
        assert_eq!(take(&kept), [[0; 0]; 0], "handled at {cut} of {} bytes", bytes.len());
        peer.send(&bytes[cut..]);
        assert_eq!(peer.read_frame(), (KEEP, payload.clone()), "cut at {cut}");
        assert_eq!(take(&kept), std::slice::from_ref(&payload), "cut at {cut}");
    }
}

#[test]
fn two_frames_glued_and_cut_at_every_byte_are_handled_in_order() {
    let (running, kept) = start_keeping();
    let (first, second) = (pattern(21), pattern(13));
    let bytes = [frame(KEEP, &first), frame(KEEP, &second)].concat();
    let mut peer = running.connect();
    for cut in 1..bytes.len() {
        peer.send(&bytes[..cut]);
        running.connect().check_echo();
        peer.send(&bytes[cut..]);
        assert_eq!(peer.read_exactly(bytes.len()), bytes, "cut at {cut}");
        assert_eq!(take(&kept), [first.clone(), second.clone()], "cut at {cut}");
    }
}

#[test]
fn a_hundred_frames_in_one_segment_are_a_hundred_calls_in_order() {
    let (running, kept) = start_keeping();
    let payloads: Vec<_> = (0..100_u8).map(|n| vec![n; usize::from(n)]).collect();
    let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(KEEP, payload)).collect();
    let mut peer = running.connect();
    peer.send(&bytes);
    assert_eq!(peer.read_exactly(bytes.len()), bytes);
    assert_eq!(take(&kept), payloads);
}

#[test]
fn one_byte_a_segment_is_handled_once_with_identical_bytes() {
    let (running, kept) = start_keeping();
    let payload = pattern(100);
    let mut peer = running.connect();
    let mut beside = running.connect();
    for byte in frame(KEEP, &payload) {
        assert_eq!(take(&kept).len(), 0);
        peer.send(&[byte]);
        beside.check_echo();
    }
    assert_eq!(peer.read_frame(), (KEEP, payload.clone()));
    assert_eq!(take(&kept), [payload]);
}

#[test]
fn length_zero_reaches_the_handler_with_empty_data() {
    let (running, kept) = start_keeping();
    let mut peer = running.connect();
    peer.send(&frame(KEEP, b""));
    assert_eq!(peer.read_frame(), (KEEP, vec![]));
    assert_eq!(take(&kept), [Vec::<u8>::new()]);
}

#[test]
fn length_max_is_accepted() {
    let (running, kept) = start_keeping();
    let payload = pattern(config().max_packet_size as usize);
    let mut peer = running.connect();
    peer.send(&frame(KEEP, &payload));
    assert_eq!(peer.read_frame(), (KEEP, payload.clone()));
    assert_eq!(take(&kept), [payload]);
}

#[test]
fn an_unknown_id_is_counted_and_the_connection_kept() {
    let (running, kept) = start_keeping();
    let mut peer = running.connect();
    for unknown in [0, 2, u32::MAX] {
        peer.send(&frame(unknown, b"who?"));
    }
    peer.check_echo();
    assert_eq!(running.server.stats().unknown_ids, 3);
    assert_eq!(take(&kept).len(), 0);
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn the_not_found_route_gets_unknown_ids() {
    let running = start(config(), |server| {
        let router =
            |request: &dyn IRequest| request.get_connection().send_msg(404, request.get_msg_id().to_string());
        server.set_not_found(router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(12345, b"who?"));
    assert_eq!(peer.read_frame(), (404, b"12345".to_vec()));
    peer.check_echo();
    assert_eq!(running.server.stats().unknown_ids, 1);
}

#[test]
fn the_not_found_route_may_close_the_connection() {
    let running = start(config(), |server| {
        let router = |request: &dyn IRequest| {
            request.get_connection().stop();
            request.get_connection().send_msg(404, "not here")
        };
        server.set_not_found(router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(12345, b"who?"));
    assert_eq!(peer.read_to_end(), frame(404, b"not here"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
}

#[test]
fn an_end_inside_a_frame_calls_no_handler_and_the_stop_hook_once() {
    let (running, kept) = start_keeping();
    let bytes = frame(KEEP, &pattern(16));
    for received in 1..bytes.len() {
        let mut peer = running.connect();
        peer.send(&bytes[..received]);
        peer.finish();
        assert_eq!(peer.read_to_end(), b"");
        assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosedInFrame { received });
        assert_eq!(running.stop_hooks(peer.addr()), 1);
    }
    assert_eq!(take(&kept).len(), 0);
}

#[test]
fn an_end_after_a_whole_frame_still_delivers_the_reply() {
    let (running, kept) = start_keeping();
    let payload = pattern(64);
    let mut peer = running.connect();
    peer.send(&frame(KEEP, &payload));
    peer.finish();
    assert_eq!(peer.read_to_end(), frame(KEEP, &payload));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
    assert_eq!(take(&kept), [payload]);
}

#[test]
fn an_end_while_the_handler_waits_still_delivers_the_reply() {
    let running = start(config(), |server| {
        let router = |request: &dyn IRequest| {
            green::sleep(Duration::from_millis(100));
            request.get_connection().send_msg(KEEP, "late")
        };
        server.add_router(KEEP, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(KEEP, b""));
    peer.finish();
    assert_eq!(peer.read_to_end(), frame(KEEP, b"late"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
}

#[test]
fn the_wire_is_length_id_value_little_endian_by_default() {
    let running = start(config(), |_| {});
    let mut peer = running.connect();
    let bytes = b"\x02\x00\x00\x00\x01\x00\x00\x00hi";
    peer.send(bytes);
    assert_eq!(peer.read_exactly(bytes.len()), bytes);
}

#[test]
fn the_wire_is_id_length_value_big_endian_on_request() {
    let mut config = config();
    config.data_pack = PackKind::TlvBigEndian;
    let running = start_alone(config, |_| {});
    let mut peer = running.connect();
    let bytes = b"\x00\x00\x00\x01\x00\x00\x00\x02hi";
    for cut in 1..bytes.len() {
        peer.send(&bytes[..cut]);
        peer.send(&bytes[cut..]);
        assert_eq!(peer.read_exactly(bytes.len()), bytes);
    }
}

#[test]
fn a_message_sent_before_the_handler_sleeps_arrives_while_it_sleeps() {
    let heard = Arc::new(AtomicBool::new(false));
    let is_heard = Arc::clone(&heard);
    let running = start(config(), |server| {
        let router = move |request: &dyn IRequest| {
            request.get_connection().send_msg(KEEP, "before")?;
            let begun = Instant::now();
            // Were it not sent while the handler sleeps, it would arrive with what comes after.
            while !is_heard.load(Ordering::Acquire) && begun.elapsed() < Duration::from_secs(9) {
                green::sleep(Duration::from_millis(20));
            }
            assert!(is_heard.load(Ordering::Acquire), "nothing has arrived");
            request.get_connection().send_msg(KEEP, "after")
        };
        server.add_router(KEEP, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(KEEP, b""));
    assert_eq!(peer.read_frame(), (KEEP, b"before".to_vec()));
    heard.store(true, Ordering::Release);
    assert_eq!(peer.read_frame(), (KEEP, b"after".to_vec()));
}

#[test]
fn large_frames_come_back_identical() {
    let mut config = config();
    config.max_packet_size = 1 << 20;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    for len in [4095, 4096, 4097, 64 << 10, (256 << 10) - 8, 256 << 10, 1 << 20] {
        let bytes = frame(ECHO, &pattern(len));
        peer.send(&bytes);
        assert!(peer.read_exactly(bytes.len()) == bytes, "{len} bytes differ");
    }
    wait_until("the requests counted", || running.server.stats().requests >= 7);
}

#[test]
fn large_frames_behind_small_ones_come_back_in_order() {
    let mut config = config();
    config.max_packet_size = 1 << 20;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let bytes: Vec<u8> =
        [3, 64 << 10, 0, 100_000, 5, 1 << 20, 1].iter().flat_map(|&len| frame(ECHO, &pattern(len))).collect();
    let mut sender = crate::common::Peer { stream: peer.stream.try_clone().unwrap() };
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || sender.send(&sent));
    assert!(peer.read_exactly(bytes.len()) == bytes, "the bytes differ");
    sending.join().unwrap();
}
