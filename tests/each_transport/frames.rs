//! What goes in as bytes, cut anyhow, comes to the handler as messages, and the answers come back in order.

use std::sync::{Arc, Mutex};

use zinx::ziface::{CloseReason, IRequest, TransportKind};

use crate::common::{ECHO, frame, pattern};
use crate::served::{Served, config, start, start_with};

/// The message id whose messages are kept and answered.
const KEEP: u32 = 7;

type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

fn start_keeping(kind: TransportKind) -> (Served, Kept) {
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let served = start(kind, |server| {
        let router = move |request: &dyn IRequest| {
            keep.lock().unwrap().push(request.get_data().to_vec());
            request.get_connection().send_msg(KEEP, request.get_data())
        };
        server.add_router(KEEP, router).unwrap();
    });
    (served, kept)
}

fn take(kept: &Kept) -> Vec<Vec<u8>> {
    std::mem::take(&mut kept.lock().unwrap())
}

pub(crate) fn messages_come_back_and_the_connection_says_what_carries_it(kind: TransportKind) {
    let served = start(kind, |_| {});
    let mut peer = served.connect();
    peer.check_echo();
    let conn = served.conn(peer.addr());
    assert_eq!(conn.get_transport(), kind);
    let is_secret = matches!(kind, TransportKind::Tls | TransportKind::SecureWebSocket);
    assert_eq!(conn.get_tls_info().is_some(), is_secret);
    drop(peer);
    let stats = served.stop();
    assert_eq!((stats.accepted, stats.start_hooks, stats.stop_hooks), (2, 2, 2));
}

pub(crate) fn a_frame_cut_at_every_byte_is_handled_once_with_identical_bytes(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let payload = pattern(20);
    let bytes = frame(KEEP, &payload);
    let (mut peer, mut beside) = (served.connect(), served.connect());
    for cut in 1..bytes.len() {
        peer.send(&bytes[..cut]);
        // The other connection is served meanwhile, so the piece has most likely been read alone.
        beside.check_echo();
        assert_eq!(take(&kept), [[0; 0]; 0], "handled at {cut} of {} bytes", bytes.len());
        peer.send(&bytes[cut..]);
        assert_eq!(peer.read_frame(), (KEEP, payload.clone()), "cut at {cut}");
        assert_eq!(take(&kept), std::slice::from_ref(&payload), "cut at {cut}");
    }
}

pub(crate) fn two_frames_glued_and_cut_at_every_byte_are_handled_in_order(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let (first, second) = (pattern(21), pattern(13));
    let bytes = [frame(KEEP, &first), frame(KEEP, &second)].concat();
    let mut peer = served.connect();
    for cut in 1..bytes.len() {
        peer.send(&bytes[..cut]);
        peer.send(&bytes[cut..]);
        assert_eq!(peer.read_exactly(bytes.len()), bytes, "cut at {cut}");
        assert_eq!(take(&kept), [first.clone(), second.clone()], "cut at {cut}");
    }
}

pub(crate) fn one_byte_a_write_is_handled_once_with_identical_bytes(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let payloads = [pattern(100), Vec::new(), pattern(1)];
    let mut peer = served.connect();
    for payload in &payloads {
        frame(KEEP, payload).iter().for_each(|byte| peer.send(&[*byte]));
    }
    for payload in &payloads {
        assert_eq!(peer.read_frame(), (KEEP, payload.clone()));
    }
    assert_eq!(take(&kept), payloads);
}

pub(crate) fn thousands_of_frames_in_one_write_come_back_in_order(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let payloads: Vec<_> = (0..3000_u32).map(|n| n.to_le_bytes().repeat(n as usize % 9)).collect();
    let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(KEEP, payload)).collect();
    let mut peer = served.connect();
    peer.send(&bytes);
    for (n, payload) in payloads.iter().enumerate() {
        assert_eq!(&peer.read_frame(), &(KEEP, payload.clone()), "frame {n}");
    }
    assert_eq!(take(&kept), payloads);
}

pub(crate) fn length_zero_and_length_max_reach_the_handler(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let payloads = [Vec::new(), pattern(config(kind).max_packet_size as usize), Vec::new()];
    let mut peer = served.connect();
    for payload in &payloads {
        peer.send(&frame(KEEP, payload));
        assert_eq!(peer.read_frame(), (KEEP, payload.clone()));
    }
    assert_eq!(take(&kept), payloads);
}

pub(crate) fn large_frames_behind_small_ones_come_back_in_order(kind: TransportKind) {
    let change = |config: &mut zinx::Config| config.max_packet_size = 1 << 20;
    let served = start_with(kind, change, |_| {});
    let mut peer = served.connect();
    for len in [3, 65_527, 0, 100_000, 5, 1 << 20, 1] {
        // Behind each large one a small one, in the same write.
        let both = [frame(ECHO, &pattern(len)), frame(ECHO, b"behind")].concat();
        peer.send(&both);
        assert!(peer.read_exactly(both.len()) == both, "{len} bytes differ");
    }
}

pub(crate) fn a_frame_that_is_too_large_closes_only_its_connection(kind: TransportKind) {
    let (served, kept) = start_keeping(kind);
    let (mut bad, mut good) = (served.connect(), served.connect());
    good.check_echo();
    // Its head says so; nothing of its body has to come.
    bad.send(&[frame(KEEP, b"before"), [&5000_u32.to_le_bytes()[..], &KEEP.to_le_bytes()].concat()].concat());
    assert_eq!(bad.read_to_end(), frame(KEEP, b"before"));
    assert_eq!(served.close_reason(bad.addr()), CloseReason::PacketTooLarge { len: 5000, max: 4096 });
    assert_eq!(served.stop_hooks(bad.addr()), 1);
    good.check_echo();
    assert_eq!(take(&kept), [b"before"]);
}
