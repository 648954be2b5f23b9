//! How connections over KCP end: by a word of either side, by a stop that drains, by silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zinx::ziface::{CloseReason, IClient, IRequest, IServer};
use zinx::{Config, green};

use crate::common::{ECHO, frame, pattern, start_alone, wait_until};
use crate::lossy::{Badness, Lossy};
use crate::ours::{SOON, address, check_echo, client, config, stop};
use crate::peer::{ACK, END, END_ACK, PUSH, Peer, RESET, Segment, TELL, first_message};

/// However slow the machine, nobody is cut off.
fn patient() -> Config {
    let mut config = config();
    (config.drain_ms, config.write_timeout_ms) = (60_000, 60_000);
    config
}

#[test]
fn a_stop_of_the_server_drains_what_was_accepted_also_on_a_bad_network() {
    const ANSWERS: u32 = 200;
    const MANY: u32 = 2;
    let running = start_alone(patient(), |server| {
        let many = |request: &dyn IRequest| {
            (0..ANSWERS).try_for_each(|n| {
                request.get_connection().send_msg(ECHO, [&n.to_le_bytes()[..], &[7; 900]].concat())
            })
        };
        server.add_router(MANY, many).unwrap();
    });
    let lossy = Lossy::before(address(&running), Badness { lost: 10, ..Badness::default() }, 11);
    let (client, heard) = client(lossy.address, config());
    client.start().unwrap();
    let conn = client.conn().unwrap();
    conn.send_msg(MANY, "").unwrap();
    assert_eq!(heard.recv_timeout(SOON).unwrap()[..4], 0_u32.to_le_bytes());
    let stats = running.stop();
    assert_eq!((stats.unsent_messages, stats.requests), (0, 1));
    for n in 1..ANSWERS {
        assert_eq!(heard.recv_timeout(SOON).unwrap()[..4], n.to_le_bytes());
    }
    assert!(client.wait_stopped(SOON));
    assert_eq!(conn.get_close_reason(), Some(CloseReason::PeerClosed));
}

#[test]
fn a_stop_of_the_client_drains_too() {
    let running = start_alone(config(), |_| {});
    let lossy = Lossy::before(address(&running), Badness { lost: 10, ..Badness::default() }, 13);
    let (client, _) = client(lossy.address, patient());
    client.start().unwrap();
    let conn = client.conn().unwrap();
    for n in 0..200_u32 {
        conn.send_msg(ECHO, pattern(n as usize * 9)).unwrap();
    }
    stop(&client);
    assert_eq!(conn.get_close_reason(), Some(CloseReason::ClientStopped));
    wait_until("the server to have all", || running.server.stats().stop_hooks == 1);
    assert_eq!(running.stop().requests, 200);
}

#[test]
fn the_server_says_where_its_stream_ends_until_that_is_known() {
    let running = start_alone(config(), |_| {});
    let peer = Peer::echoed(address(&running), 7);
    running.conn(peer.addr()).stop();
    assert_eq!((peer.hear(END).sn, peer.hear(END).sn), (1, 1));
    peer.send(&Segment { sn: 1, una: 1, ..Segment::new(7, END_ACK) });
    peer.send(&Segment { sn: 1, una: 1, ..Segment::new(7, END) });
    peer.hear(END_ACK);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
    wait_until("the place", || running.server.get_conn_mgr().is_empty());
    // What comes late does not begin the conversation again. It may come before the thread of the socket has forgotten it.
    wait_until("a reset", || {
        peer.send(&Segment::push(7, 0, &first_message()));
        peer.datagram().iter().any(|segment| segment.command == RESET)
    });
    assert_eq!(running.server.stats().accepted, 1);
}

#[test]
fn last_words_that_nobody_takes_do_not_pile_up() {
    let mut its_config = patient();
    // At its end the server does not wait for them.
    (its_config.max_conn, its_config.drain_ms) = (8, 100);
    let running = start_alone(its_config, |_| {});
    let mut conv = 0;
    let mut stopped = || {
        conv += 1;
        let peer = Peer::connect(address(&running), conv, &first_message());
        // It ends, and does not say that this has come.
        peer.hear(PUSH);
        running.conn(peer.addr()).stop();
        peer.send(&Segment { sn: 1, ..Segment::new(conv, END) });
        wait_until("the place", || running.server.get_conn_mgr().is_empty());
        peer
    };
    let (first, second) = (stopped(), stopped());
    (0..7).for_each(|_| drop(stopped()));
    first.hear(RESET);
    // Once more.
    second.hear(PUSH);
}

#[test]
fn what_comes_before_the_end_is_handled_and_answered() {
    let running = start_alone(config(), |_| {});
    let message = frame(ECHO, b"me");
    let mut peer = Peer::connect(address(&running), 7, &message);
    // The end overtakes what is before it.
    peer.send(&Segment { sn: 3, ..Segment::new(7, END) });
    peer.hear(END_ACK);
    peer.push(&message);
    peer.push(&message);
    assert_eq!(peer.read(3 * message.len()), message.repeat(3));
    assert_eq!(peer.hear(END).sn, peer.wanted);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
}

#[test]
fn an_abort_tells_the_peer_at_once() {
    let running = start_alone(config(), |_| {});
    let (client, heard) = client(address(&running), config());
    client.start().unwrap();
    check_echo(&client, &heard, b"me");
    let conn = client.conn().unwrap();
    running.conn(conn.get_local_addr()).abort();
    assert!(conn.wait_closed(SOON).unwrap());
    let reason = conn.get_close_reason().unwrap();
    assert!(matches!(&reason, CloseReason::Failed { error } if error.contains("reset")), "{reason}");
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_program_that_does_not_read_holds_up_its_peer_and_bounds_what_is_held() {
    let reads = Arc::new(AtomicBool::new(false));
    let may_read = Arc::clone(&reads);
    let running = start_alone(config(), |server| {
        let wait = move |request: &dyn IRequest| {
            while !may_read.load(Ordering::Acquire) {
                green::sleep(Duration::from_millis(5));
            }
            request.get_connection().send_msg(ECHO, request.get_data())
        };
        server.add_router(2, wait).unwrap();
    });
    let mut peer = Peer::connect(address(&running), 7, &frame(2, b"wait"));
    wait_until("the handler", || running.server.stats().accepted == 1);
    // The first 256 KiB go to the buffer of a read; then the window closes.
    let message = frame(ECHO, &[7; 1000]);
    let mut acked = 0;
    let end = Instant::now() + SOON;
    let mut window = u16::MAX;
    while window > 0 {
        assert!(Instant::now() < end, "the window never closes, {acked} came");
        peer.push(&message);
        let ack = peer.hear(ACK);
        (acked, window) = (ack.una, ack.window);
    }
    assert!(acked < 400, "{acked} segments");
    // One more than it takes is not acknowledged.
    peer.push(&message);
    reads.store(true, Ordering::Release);
    // There is room again, and it says so by itself.
    assert!(peer.hear(TELL).window > 0);
}

#[test]
fn a_peer_that_says_nothing_is_asked_and_its_silence_ends_the_connection() {
    let mut its_config = config();
    its_config.idle_timeout_ms = 1_000;
    let running = start_alone(its_config, |_| {});
    let peer = Peer::echoed(address(&running), 7);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
    peer.hear(END);
}
