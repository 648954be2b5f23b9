//! What those may cost who send datagrams and are no peers, or none yet.

use std::net::UdpSocket;
use std::time::Duration;

use zinx::ziface::{CloseReason, IClient, IServer};

use crate::common::child::{in_child, resident_kib};
use crate::common::random::Random;
use crate::common::{ECHO, frame, start_alone, wait_until};
use crate::ours::{SOON, address, changed, check_echo, client, config, stop};
use crate::peer::{ACK, ASK, END, END_ACK, PUSH, Peer, RESET, Segment, TELL, first_message};

#[test]
fn a_peer_is_a_connection_once_it_has_shown_that_it_receives() {
    let running = start_alone(config(), |_| {});
    let message = frame(ECHO, b"first");
    let mut peer = Peer::new(address(&running), 7);
    peer.push(&message);
    let challenge = peer.hear(PUSH);
    assert_eq!((challenge.conv, challenge.sn, challenge.una, challenge.data.len()), (7, u32::MAX, 0, 0));
    // A guess shows nothing, nor does it from another port.
    let ack = Segment { command: ACK, ..challenge };
    peer.send(&Segment { ts: ack.ts.wrapping_add(1), ..ack.clone() });
    Peer::new(address(&running), 7).send(&ack);
    wait_until("all three", || running.server.stats().unproved_datagrams >= 3);
    assert_eq!((running.server.stats().accepted, running.server.get_conn_mgr().len()), (0, 0));
    peer.send(&ack);
    assert_eq!(peer.read(message.len()), message);
    wait_until("the connection", || running.server.stats().accepted == 1);
    // What it showed then is of no use to another conversation, and changes nothing in this one.
    peer.send(&ack);
    peer.push(&message);
    assert_eq!(peer.read(message.len()), message);
}

#[test]
fn what_is_no_datagram_of_kcp_is_counted_and_harms_nobody() {
    let running = start_alone(config(), |_| {});
    let message = frame(ECHO, b"still there?");
    let mut peer = Peer::connect(address(&running), 7, &message);
    assert_eq!(peer.read(message.len()), message);
    let good = Segment::push(7, 1, &message).bytes();
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
    bad.push(vec![0; 1501]);
    // Two conversations in one datagram, and a length that runs over.
    bad.push([good.clone(), Segment::push(8, 1, b"").bytes()].concat());
    bad.push([&good[..20], &u32::MAX.to_le_bytes(), &message].concat());
    for datagram in &bad {
        peer.socket.send(datagram).unwrap();
    }
    wait_until("all bad ones", || running.server.stats().bad_datagrams == bad.len());
    // Numbers and times that cannot be, of an open conversation.
    let mut random = Random::new(5);
    for n in 0..3000_u32 {
        let mut number = |likely| if random.below(3) == 0 { random.below(1 << 32) as u32 } else { likely };
        let segment = Segment {
            command: [PUSH, ACK, ASK, TELL, END_ACK][n as usize % 5],
            window: number(128) as u16,
            ts: number(n),
            sn: number(40_000) | 0x100,
            una: number(0),
            ..Segment::push(7, 0, b"no frame")
        };
        peer.send(&segment);
        if n % 50 == 0 {
            peer.datagram();
        }
    }
    // As long as the server has not taken these, it may have no room for more: as any peer, this one sends again what is not
    // acknowledged.
    let whole = Segment { una: peer.wanted, ..Segment::push(7, 1, &message) };
    wait_until("the echo", || {
        peer.send(&Segment::new(7, TELL));
        peer.send(&whole);
        let is_echo =
            |heard: &Segment| (heard.command, heard.sn, &heard.data) == (PUSH, peer.wanted, &message);
        std::iter::repeat_with(|| peer.datagram())
            .take_while(|datagram| !datagram.is_empty())
            .any(|datagram| datagram.iter().any(is_echo))
    });
}

#[test]
fn datagrams_of_conversations_that_there_are_not_are_answered_by_a_reset() {
    let running = start_alone(config(), |_| {});
    let peer = Peer::new(address(&running), 7);
    for segment in [
        Segment::push(7, 5, b"later"),
        Segment { una: 3, ..Segment::new(7, ASK) },
        Segment { sn: 3, ..Segment::new(7, ASK) },
        Segment::new(7, TELL),
        Segment::new(7, ACK),
    ] {
        peer.send(&segment);
        assert_eq!(peer.hear(RESET).conv, 7, "{segment:?}");
    }
    assert_eq!(running.server.stats().bad_datagrams, 5);
    // The end of one that has been forgotten is known; a reset is not answered.
    peer.send(&Segment { sn: 9, ..Segment::new(7, END) });
    assert_eq!(peer.hear(END_ACK).sn, 9);
    peer.send(&Segment::new(7, RESET));
    assert!(peer.datagram().is_empty());
}

/// The longest datagram that is taken is longer than the longest that is sent.
#[test]
fn what_a_stranger_adds_to_its_end_is_not_repeated() {
    let running = start_alone(config(), |_| {});
    let stranger = Peer::new(address(&running), 7);
    for len in [0, 100, 1376, 1377, 1476] {
        stranger.send(&Segment { sn: 9, una: 5, data: vec![7; len], ..Segment::new(7, END) });
        let answer = stranger.hear(END_ACK);
        assert_eq!((answer.sn, answer.una, answer.data.len()), (9, 0, 0), "{len} bytes");
    }
    Peer::echoed(address(&running), 8);
}

/// The senders are forged, which to the server is the same as peers that never answer.
#[test]
fn a_flood_of_strangers_takes_bounded_memory_and_no_place() {
    // In a process of its own: other tests take memory, too.
    in_child("strangers::a_flood_of_strangers_takes_bounded_memory_and_no_place", flood_with_strangers);
}

fn flood_with_strangers() {
    const FLOOD: u32 = 40_000;
    let mut its_config = config();
    its_config.max_conn = 2;
    let running = start_alone(its_config, |_| {});
    let (client, heard) = client(address(&running), config());
    client.start().unwrap();
    check_echo(&client, &heard, b"before");
    let strangers: Vec<_> = (0..4).map(|_| Peer::new(address(&running), 0).socket).collect();
    let (before, mut taken) = (resident_kib(), 0);
    for conv in 0..FLOOD {
        let first = Segment::push(conv, 0, &[0; 1300]).bytes();
        strangers[conv as usize % strangers.len()].send(&first).unwrap();
        if conv % 64 == 63 {
            // Not faster than the server takes them: the system keeps few more.
            wait_until("half of them to be taken", || {
                running.server.stats().unproved_datagrams >= taken + 32
            });
            taken = running.server.stats().unproved_datagrams;
        }
    }
    wait_until("most of the flood", || running.server.stats().unproved_datagrams > FLOOD as usize / 2);
    let grown = resident_kib().saturating_sub(before);
    eprintln!("{} strangers: {grown} KiB more", running.server.stats().unproved_datagrams);
    assert!(grown < 4 << 10, "{grown} KiB");
    assert_eq!(running.server.stats().accepted, 1);
    check_echo(&client, &heard, b"after");
    // And another comes in meanwhile.
    let message = frame(ECHO, b"late");
    let mut late = Peer::connect(address(&running), 7, &message);
    // Its first datagram may not have been kept, beside so many.
    late.send(&Segment::push(7, 0, &message));
    assert_eq!(late.read(message.len()), message);
    stop(&client);
}

#[test]
fn connections_of_an_address_are_counted_as_over_tcp() {
    let running = start_alone(changed(|config| config.max_conn_per_address = 1), |_| {});
    let first = Peer::echoed(address(&running), 7);
    Peer::connect(address(&running), 8, &first_message()).hear(RESET);
    assert_eq!(running.server.stats().over_max_conn_per_address, 1);
    let addr = first.addr();
    first.send(&Segment::new(7, RESET));
    assert!(matches!(running.close_reason(addr), CloseReason::Failed { .. }));
    wait_until("the place", || running.server.get_conn_mgr().is_empty());
    Peer::echoed(address(&running), 9);
}

#[test]
fn a_connection_that_has_gone_takes_no_place_of_its_address_while_its_last_words_go_on() {
    let running = start_alone(changed(|config| config.max_conn_per_address = 1), |_| {});
    let first = Peer::echoed(address(&running), 7);
    running.conn(first.addr()).stop();
    wait_until("the place", || running.server.get_conn_mgr().is_empty());
    Peer::echoed(address(&running), 8);
    // Nobody has said yet that the end has come.
    first.hear(END);
}

#[test]
fn a_client_that_nobody_answers_says_so() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, _) = client(silent.local_addr().unwrap(), config());
    one.set_dial_timeout(Duration::from_millis(300));
    let error = one.start().unwrap_err().to_string();
    assert!(error.contains("KCP") && error.contains("timed out"), "{error}");
    assert!(one.wait_stopped(SOON));
    // Nobody listens there, and the system says so.
    let nowhere = silent.local_addr().unwrap();
    drop(silent);
    let (other, _) = client(nowhere, config());
    let error = other.start().unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}
