//! TLS: what a connection promises holds under it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use zinx::green;
use zinx::ziface::{CloseReason, IRequest, TransportKind};

use crate::common::{ECHO, Watchdog, frame, pattern, start_alone, wait_until};
use crate::tls_peer::{TlsPeer, client_config, config, pem};

#[test]
fn messages_come_back_and_the_connection_says_what_carries_it() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    assert_eq!(running.conn(peer.addr()).get_transport(), TransportKind::Tls);
    peer.check_echo_of(&pattern(4096));
    peer.check_echo_of(b"");
    drop(peer);
}

#[test]
fn frames_split_at_every_byte_over_records_come_back_in_order() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    let frames = [frame(ECHO, b"first"), frame(ECHO, b""), frame(ECHO, b"third")].concat();
    for at in 1..frames.len() {
        // Each write is a record.
        peer.send(&frames[..at]);
        peer.send(&frames[at..]);
        assert_eq!(peer.read_exactly(frames.len()), frames, "cut at {at}");
    }
    // And one byte in each record.
    frames.iter().for_each(|byte| peer.send(&[*byte]));
    assert_eq!(peer.read_exactly(frames.len()), frames);
}

/// Records in which the cut is in the middle, so that what has come of one has to be kept.
#[test]
fn records_split_at_every_byte_over_segments_are_put_together() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    let message = frame(ECHO, b"whole");
    let mut record_len = 60;
    let mut at = 1;
    while at < record_len {
        let mut record = Vec::new();
        peer.stream.conn.writer().write_all(&message).unwrap();
        peer.stream.conn.write_tls(&mut record).unwrap();
        record_len = record.len();
        let at_now = at.min(record_len - 1);
        peer.stream.sock.write_all(&record[..at_now]).unwrap();
        thread::sleep(Duration::from_millis(1));
        peer.stream.sock.write_all(&record[at_now..]).unwrap();
        assert_eq!(peer.read_exactly(message.len()), message, "cut at {at_now} of {record_len}");
        at += 1;
    }
    assert!(at > 30);
}

#[test]
fn both_versions_are_spoken() {
    let running = start_alone(config(), |_| {});
    for version in [&TLS12, &TLS13] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let ca = rustls::pki_types::pem::PemObject::from_pem_file(pem("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut peer = TlsPeer::connect_with(&running, Arc::new(config));
        peer.check_echo_of(&pattern(3000));
        assert_eq!(peer.stream.conn.protocol_version(), Some(version.version));
    }
}

/// Far more than a record, a read and a socket hold, both ways at once.
#[test]
fn large_messages_pass_both_ways_at_once() {
    let mut config = config();
    (config.max_packet_size, config.max_msg_chan_bytes) = (8 << 20, 32 << 20);
    let running = start_alone(config, |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo_of(&pattern(5 << 20));
    for len in [16_376, 16_384, 16_385, 65_535, 300_000] {
        peer.check_echo_of(&pattern(len));
    }
}

/// A handler that sends far more than the socket takes, and waits itself meanwhile: nobody but a writer can send the rest.
#[test]
fn what_a_full_socket_did_not_take_leaves_while_the_handler_waits() {
    const BULK: u32 = 2;
    let mut config = config();
    config.max_msg_chan_bytes = 16 << 20;
    let done = Arc::new(green::Event::new());
    let waits_for = Arc::clone(&done);
    let running = start_alone(config, move |server| {
        let bulk = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            for n in 0..8_u8 {
                conn.send_msg(BULK, vec![n; 1 << 20])?;
            }
            assert!(waits_for.wait_timeout(Duration::from_secs(60)));
            conn.send_msg(ECHO, "over")
        };
        server.add_router(BULK, bulk).unwrap();
    });
    let mut peer = TlsPeer::connect(&running);
    peer.send(&frame(BULK, b""));
    for n in 0..8_u8 {
        let expected = frame(BULK, &vec![n; 1 << 20]);
        assert!(peer.read_exactly(expected.len()) == expected, "message {n}");
    }
    done.set();
    let over = frame(ECHO, b"over");
    assert_eq!(peer.read_exactly(over.len()), over);
}

#[test]
fn a_peer_that_is_oversize_closes_alone_and_is_told_the_end() {
    let running = start_alone(config(), |_| {});
    let (mut bad, mut good) = (TlsPeer::connect(&running), TlsPeer::connect(&running));
    good.check_echo();
    bad.send(&[&5000_u32.to_le_bytes()[..], &1_u32.to_le_bytes()].concat());
    assert_eq!(bad.read_to_end().unwrap(), b"");
    let reason = running.close_reason(bad.addr());
    assert_eq!(reason, CloseReason::PacketTooLarge { len: 5000, max: 4096 });
    good.check_echo();
}

#[test]
fn a_stop_answers_what_was_read_and_says_farewell() {
    let mut config = config();
    config.drain_ms = 20_000;
    let running = start_alone(config, |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    let requests: Vec<u8> = (0..100_u32).flat_map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests);
    let mut first = vec![0; 12];
    peer.stream.read_exact(&mut first).unwrap();
    let stopping = thread::spawn(move || running.stop());
    let rest = peer.read_to_end().expect("close_notify before the end");
    drop(peer);
    let stopped = stopping.join().unwrap();
    assert_eq!([first, rest].concat(), requests);
    assert_eq!((stopped.start_hooks, stopped.stop_hooks), (1, 1));
}

#[test]
fn a_peer_that_says_farewell_is_still_answered() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    let requests: Vec<u8> = (0..50_u32).flat_map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests);
    peer.finish();
    assert_eq!(peer.read_to_end().unwrap(), requests);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn a_peer_that_ends_without_farewell_within_a_frame_is_told_apart() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    peer.send(&frame(ECHO, b"whole")[..9]);
    let addr = peer.addr();
    drop(peer);
    assert_eq!(running.close_reason(addr), CloseReason::PeerClosedInFrame { received: 9 });
}

#[test]
fn a_record_that_was_changed_on_the_way_closes_the_connection() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    let mut record = Vec::new();
    peer.stream.conn.writer().write_all(&frame(ECHO, b"changed")).unwrap();
    peer.stream.conn.write_tls(&mut record).unwrap();
    let last = record.len() - 1;
    record[last] ^= 1;
    peer.stream.sock.write_all(&record).unwrap();
    // The alert says it.
    let error = peer.read_to_end().unwrap_err().to_string();
    assert!(error.contains("BadRecordMac"), "{error}");
    let reason = running.close_reason(peer.addr());
    assert!(matches!(&reason, CloseReason::Failed { error } if error.contains("decrypt")), "{reason:?}");
}

#[test]
fn keys_are_renewed_at_the_peers_wish() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    for _ in 0..5 {
        peer.check_echo();
        peer.stream.conn.refresh_traffic_keys().unwrap();
        peer.check_echo_of(&pattern(2000));
    }
}

/// The connection reads while others send: reader and writers are all busy with one state.
#[test]
fn many_send_while_the_peer_floods() {
    const PUSH: u32 = 2;
    const PUSHES: usize = 2000;
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    let conn = running.conn(peer.addr());
    let begin = Arc::new(Barrier::new(3));
    let pushers: Vec<_> = (0..2)
        .map(|_| {
            let (conn, begin) = (Arc::clone(&conn), Arc::clone(&begin));
            thread::spawn(move || {
                begin.wait();
                (0..PUSHES).for_each(|_| conn.send_msg(PUSH, pattern(100)).unwrap());
            })
        })
        .collect();
    begin.wait();
    let (mut echoed, mut pushed, mut sent) = (0_u32, 0, 0_u32);
    while echoed < 1000 || pushed < 2 * PUSHES {
        if sent < 1000 {
            (0..10).for_each(|n| peer.send(&frame(ECHO, &(sent + n).to_le_bytes())));
            sent += 10;
        }
        for _ in 0..10 + 4 * PUSHES / 1000 {
            if echoed == 1000 && pushed == 2 * PUSHES {
                break;
            }
            let head = peer.read_exactly(8);
            let len = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
            let data = peer.read_exactly(len);
            if head[4..] == PUSH.to_le_bytes() {
                pushed += 1;
                assert!(data == pattern(100));
            } else {
                assert_eq!(data, echoed.to_le_bytes());
                echoed += 1;
            }
        }
    }
    pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
}

#[test]
fn whoever_comes_back_needs_no_whole_handshake() {
    let running = start_alone(config(), |_| {});
    let config = client_config(|_| {});
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut peer = TlsPeer::connect_with(&running, Arc::clone(&config));
        peer.check_echo();
        kinds.push(peer.stream.conn.handshake_kind().unwrap());
        peer.finish();
        peer.read_to_end().unwrap();
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

#[test]
fn a_protocol_is_agreed_on() {
    let mut config = config();
    config.alpn = "zinx/2, zinx/1".to_string();
    let running = start_alone(config, |_| {});
    let ask = |names: &[&str]| {
        let names = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsPeer::connect_with(&running, client_config(|config| config.alpn_protocols = names))
    };
    let mut peer = ask(&["zinx/1", "other"]);
    peer.check_echo();
    assert_eq!(peer.stream.conn.alpn_protocol(), Some(&b"zinx/1"[..]));
    let info = running.conn(peer.addr()).get_tls_info().unwrap();
    assert_eq!((info.protocol.as_deref(), info.version), (Some("zinx/1"), "1.3"));
    assert!(info.peer_certificates.is_empty());
    let mut none = ask(&[]);
    none.check_echo();
    assert_eq!(running.conn(none.addr()).get_tls_info().unwrap().protocol, None);
    let mut other = ask(&["other"]);
    let error = other.read_to_end().unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    wait_until("the counter", || running.server.stats().handshakes_failed == 1);
}

#[test]
fn a_peer_that_does_not_read_is_cut_off() {
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    const BULK: u32 = 2;
    let mut config = config();
    (config.write_timeout_ms, config.queue_wait_ms) = (500, 20_000);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let running = start_alone(config, move |server| {
        let bulk = move |request: &dyn IRequest| {
            loop {
                request.get_connection().send_msg(BULK, vec![0; 100_000])?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        };
        server.add_router(BULK, bulk).unwrap();
    });
    let (mut slow, mut good) = (TlsPeer::connect(&running), TlsPeer::connect(&running));
    slow.send(&frame(BULK, b""));
    assert_eq!(running.close_reason(slow.addr()), CloseReason::SlowReader);
    assert!(sent.load(Ordering::Relaxed) > 1);
    good.check_echo();
}
