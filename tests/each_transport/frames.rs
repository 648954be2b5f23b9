//! What goes in as bytes, cut anyhow, comes to the handler as messages, and the answers come back in order.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use zinx::green;
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
    let change = |config: &mut zinx::Config| {
        (config.max_packet_size, config.max_msg_chan_bytes) = (8 << 20, 32 << 20);
        // A busy machine may take longer for the largest than a peer may.
        (config.frame_timeout_ms, config.write_timeout_ms) = (0, 0);
    };
    let served = start_with(kind, change, |_| {});
    let mut peer = served.connect();
    // Around what a segment of KCP, a record of TLS, and the heads of WebSocket hold; and more than a read and a socket do.
    for len in [117, 118, 1367, 1368, 16_376, 16_384, 16_385, 65_527, 65_528, 300_000, 5 << 20] {
        // Behind each a small one, in the same write.
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

/// A handler that sends far more than a socket takes, and waits itself meanwhile: nobody but a writer can send the rest.
pub(crate) fn what_a_full_socket_did_not_take_leaves_while_the_handler_waits(kind: TransportKind) {
    let change = |config: &mut zinx::Config| config.max_msg_chan_bytes = 16 << 20;
    let done = Arc::new(green::Event::new());
    let waits_for = Arc::clone(&done);
    let served = start_with(kind, change, |server| {
        let bulk = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            for n in 0..80_u8 {
                conn.send_msg(KEEP, vec![n; 100_000 + usize::from(n)])?;
                conn.send_msg(KEEP, [n])?;
            }
            assert!(waits_for.wait_timeout(Duration::from_secs(60)));
            conn.send_msg(ECHO, "over")
        };
        server.add_router(KEEP, bulk).unwrap();
    });
    let mut peer = served.connect();
    peer.send(&frame(KEEP, b""));
    for n in 0..80_u8 {
        assert!(peer.read_frame() == (KEEP, vec![n; 100_000 + usize::from(n)]), "message {n}");
        assert_eq!(peer.read_frame(), (KEEP, vec![n]));
    }
    done.set();
    assert_eq!(peer.read_frame(), (ECHO, b"over".to_vec()));
}

/// The connection reads while others send: reader and writers are all busy with one state.
pub(crate) fn many_send_while_the_peer_asks(kind: TransportKind) {
    const PUSHERS: usize = 2;
    const PUSHES: u32 = 1000;
    let served = start(kind, |_| {});
    let mut peer = served.connect();
    peer.check_echo();
    let conn = served.conn(peer.addr());
    let begin = Barrier::new(PUSHERS + 1);
    thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            let (conn, begin) = (&conn, &begin);
            scope.spawn(move || {
                begin.wait();
                let push = |n: u32| [&[pusher as u8][..], &n.to_le_bytes(), &[7; 100]].concat();
                (0..PUSHES).for_each(|n| conn.send_msg(KEEP, push(n)).unwrap());
            });
        }
        begin.wait();
        let (mut pushed, mut echoed) = ([0; PUSHERS], 0_u32);
        while echoed < 200 || pushed != [PUSHES; PUSHERS] {
            if echoed < 200 {
                peer.send(&frame(ECHO, &echoed.to_le_bytes()));
            }
            loop {
                let (id, data) = peer.read_frame();
                if id == ECHO {
                    assert_eq!(data, echoed.to_le_bytes());
                    echoed += 1;
                    break;
                }
                let pusher = &mut pushed[usize::from(data[0])];
                assert_eq!((&data[1..5], data.len()), (&pusher.to_le_bytes()[..], 105));
                *pusher += 1;
                if echoed == 200 {
                    break;
                }
            }
        }
    });
}
