//! TLS: what is its own. What a connection promises holds under it too: see `tests/each_transport`.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use zinx::ziface::CloseReason;

use crate::common::{ECHO, frame, pattern, start_alone, wait_until};
use crate::tls_peer::{TlsPeer, client_config, config, pem};

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

/// As over TCP what comes before a reset is read.
#[test]
fn what_comes_before_a_record_that_was_changed_is_handled() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    peer.check_echo();
    let mut records = Vec::new();
    for data in [b"before", b"behind"] {
        peer.stream.conn.writer().write_all(&frame(ECHO, data)).unwrap();
        peer.stream.conn.write_tls(&mut records).unwrap();
    }
    let last = records.len() - 1;
    records[last] ^= 1;
    peer.stream.sock.write_all(&records).unwrap();
    let reason = running.close_reason(peer.addr());
    assert!(matches!(&reason, CloseReason::Failed { error } if error.contains("decrypt")), "{reason:?}");
    assert_eq!(running.stop().requests, 2);
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
