//! Handshakes: of peers that speak no TLS, do not go on, are too many, or are in the way of a stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::Event;
use zinx::ziface::{IRequest, IServer};

use crate::common::in_time::in_time;
use crate::common::{Peer, Running, frame, log_lines, start_alone, wait_until};
use crate::tls_peer::{TlsPeer, config};

const BEGUN: u32 = 2;
const DONE: u32 = 3;

fn failed(running: &Running) -> usize {
    running.server.stats().handshakes_failed
}

#[test]
fn a_peer_that_speaks_plain_text_is_closed_cleanly_and_counted() {
    let running = start_alone(config(), |_| {});
    let texts: [&[u8]; 3] = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &frame(1, b"plain"), &[0; 600]];
    for (n, text) in texts.into_iter().enumerate() {
        let mut peer = running.connect();
        peer.send(text);
        assert!(!peer.is_reset(), "{text:?}");
        wait_until("the counter", || failed(&running) == n + 1);
    }
    let stats = running.server.stats();
    assert_eq!((stats.accepted, stats.start_hooks), (0, 0));
    TlsPeer::connect(&running).check_echo();
}

#[test]
fn a_peer_that_leaves_within_the_handshake_is_counted() {
    let running = start_alone(config(), |_| {});
    let hello = client_hello();
    for cut in [0, 1, 5, 6, hello.len() / 2, hello.len() - 1, hello.len()] {
        let before = failed(&running);
        let mut peer = running.connect();
        peer.send(&hello[..cut]);
        drop(peer);
        wait_until("the counter", || failed(&running) == before + 1);
    }
    TlsPeer::connect(&running).check_echo();
    assert_eq!(running.server.stats().start_hooks, 1);
}

/// All records of a message are held until it is whole. Here each brings one byte, and takes six.
#[test]
fn a_message_of_the_handshake_in_too_many_records_is_refused() {
    let mut config = config();
    config.handshake_timeout_ms = 100_000;
    let running = start_alone(config, |_| {});
    let message = [&[1, 0, 0xff, 0xf0][..], &[0; 19_996]].concat();
    let records: Vec<u8> = message.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let mut peer = running.connect();
    // It may be refused before it has sent all.
    let _ = peer.stream.write_all(&records);
    wait_until("the refusal", || failed(&running) == 1);
    peer.is_reset();
    TlsPeer::connect(&running).check_echo();
}

#[test]
fn a_stop_just_after_the_handshake_is_no_stop_of_the_handshake() {
    for _ in 0..100 {
        let mut config = config();
        config.drain_ms = 20_000;
        let stops = Arc::new(Event::new());
        let stopped = Arc::clone(&stops);
        let running = start_alone(config, |server| {
            let begin = move |request: &dyn IRequest| {
                let conn = request.get_connection();
                conn.send_msg(BEGUN, "")?;
                stopped.wait();
                conn.send_msg(DONE, "")
            };
            server.add_router(BEGUN, begin).unwrap();
        });
        thread::scope(|scope| {
            let running = &running;
            let peers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let mut peer = TlsPeer::connect(running);
                        peer.send(&frame(BEGUN, b""));
                        assert_eq!(peer.read_exactly(8), frame(BEGUN, b""));
                        peer
                    })
                })
                .collect();
            let mut peers: Vec<_> = peers.into_iter().map(|peer| peer.join().unwrap()).collect();
            running.server.stop();
            stops.set();
            peers.iter_mut().for_each(|peer| assert_eq!(peer.read_to_end().unwrap(), frame(DONE, b"")));
        });
    }
}

#[test]
fn handshakes_that_fail_too_often_ban_their_address() {
    let mut config = config();
    config.ban_faults = 2;
    let running = start_alone(config, |_| {});
    for n in 1..=3 {
        let mut peer = running.connect();
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        peer.is_reset();
        wait_until("the counter", || failed(&running) == n);
    }
    wait_until("the ban", || running.server.stats().bans == 1);
    // Closed before a handshake begins.
    running.connect().is_reset();
    wait_until("the counter", || running.server.stats().refused_banned == 1);
    assert_eq!(failed(&running), 3);
}

#[test]
fn handshakes_that_end_for_others_ban_nobody() {
    log_lines::keep();
    let mut config = config();
    (config.max_handshakes, config.ban_faults) = (1, 1);
    // However slow the machine, none takes too long.
    config.handshake_timeout_ms = 100_000;
    let running = start_alone(config, |_| {});
    let _slow: Vec<_> = (0..5).map(|_| running.connect()).collect();
    // Which of the two is counted first is left to chance.
    let displaced = || running.server.stats().handshakes_displaced;
    wait_until("four have made room", || failed(&running) == 4 && displaced() == 4);
    assert_eq!(running.server.stats().bans, 0);
    let line = "its handshake made room for a newer one: MaxHandshakes is 1";
    wait_until("the line that says why", || !log_lines::with(line).is_empty());
    TlsPeer::connect(&running).check_echo();
}

#[test]
fn a_handshake_that_takes_too_long_ends() {
    let mut config = config();
    config.handshake_timeout_ms = 300;
    let running = start_alone(config, |_| {});
    let hello = client_hello();
    // On a busy machine the time may be over before the hello has left: what comes to a closed socket is answered by a reset.
    in_time(|| {
        let before = failed(&running);
        let begun = Instant::now();
        let (mut silent, mut halfway) = (running.connect(), running.connect());
        halfway.send(&hello);
        let is_late = begun.elapsed() >= Duration::from_millis(250);
        let are_reset = [silent.is_reset(), halfway.is_reset()];
        assert!(begun.elapsed() >= Duration::from_millis(250));
        wait_until("the counter", || failed(&running) == before + 2);
        assert!(is_late || are_reset == [false; 2], "{are_reset:?}");
        (!is_late).then_some(())
    });
    wait_until("a handshake in time", || {
        let (begun, mut peer) = (Instant::now(), TlsPeer::connect(&running));
        let mut echo = [0; 9];
        let io = peer.stream.write_all(&frame(1, b"x")).and_then(|()| peer.stream.read_exact(&mut echo));
        // On a busy machine it may have taken too long.
        assert!(io.is_ok() || begun.elapsed() >= Duration::from_millis(250), "{io:?}");
        assert!(io.is_err() || echo == *frame(1, b"x"));
        io.is_ok()
    });
}

#[test]
fn a_stop_waits_for_no_handshake() {
    let mut config = config();
    (config.handshake_timeout_ms, config.drain_ms) = (0, 60_000);
    let running = start_alone(config, |_| {});
    let mut peers: Vec<_> = (0..20).map(|_| running.connect()).collect();
    peers.iter_mut().skip(10).for_each(|peer| peer.send(&client_hello()));
    // All of them have been read then: what waits unread when its socket is closed would make a reset of the end.
    wait_until("the answers", || {
        peers[10..].iter().all(|peer| peer.stream.peek(&mut [0]).is_ok_and(|n| n > 0))
    });
    let begun = Instant::now();
    let stats = running.stop();
    assert!(begun.elapsed() < Duration::from_secs(20), "DrainMs is 60000: {:?}", begun.elapsed());
    assert_eq!((stats.accepted, stats.handshakes_failed), (0, 0));
    peers.iter_mut().for_each(|peer| assert!(!peer.is_reset()));
}

#[test]
fn a_handshake_takes_a_place_among_the_connections() {
    let mut config = config();
    // However slow the machine, none takes too long.
    (config.max_conn, config.handshake_timeout_ms) = (2, 100_000);
    let running = start_alone(config, |_| {});
    let mut first = TlsPeer::connect(&running);
    first.check_echo();
    let second = running.connect();
    let mut third = running.connect();
    assert!(!third.is_reset(), "it is closed, without a word");
    wait_until("the counter", || running.server.stats().over_max_conn == 1);
    drop(second);
    wait_until("the end of the handshake", || failed(&running) == 1);
    TlsPeer::connect(&running).check_echo();
}

/// With the policy that lets them wait.
#[test]
fn a_handshake_that_ends_makes_room_for_who_waits() {
    let mut config = config();
    config.max_conn = 1;
    config.max_conn_policy = zinx::zconf::MaxConnPolicy::Wait;
    let running = start_alone(config, |_| {});
    let first = running.connect();
    let second = running.connect().stream;
    let waiting = thread::spawn(move || {
        let mut peer = TlsPeer::over(second, crate::tls_peer::client_config(|_| {}));
        peer.check_echo();
    });
    drop(first);
    waiting.join().unwrap();
}

/// One too many ends the oldest, so that those who do not go on keep nobody out.
#[test]
fn a_thousand_slow_handshakes_are_bounded_and_keep_nobody_out() {
    const SLOW: usize = 1000;
    let mut config = config();
    (config.max_handshakes, config.handshake_timeout_ms) = (200, 60_000);
    let running = start_alone(config, |_| {});
    let mut healthy = TlsPeer::connect(&running);
    let mut slow: Vec<Peer> = Vec::new();
    let hello = client_hello();
    for n in 0..SLOW {
        let mut peer = running.connect();
        peer.send(&hello[..n % hello.len()]);
        slow.push(peer);
        if n % 20 == 0 {
            healthy.check_echo();
        }
    }
    wait_until("the oldest to go", || running.server.stats().handshakes_displaced == SLOW - 200);
    let begun = Instant::now();
    TlsPeer::connect(&running).check_echo();
    healthy.check_echo();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let oldest = &mut slow[0].stream;
    assert_eq!(oldest.read(&mut [0; 100]).unwrap_or(0), 0, "the oldest has been closed");
}

/// Each of them sends a byte a second. Prints the figures.
#[ignore = "measures time: alone on a machine"]
#[test]
fn beside_a_thousand_slow_handshakes_a_healthy_p99_stays_within_twice_its_own() {
    const SLOW: usize = 1000;
    let mut config = config();
    (config.max_handshakes, config.handshake_timeout_ms) = (2 * SLOW, 100_000);
    let running = start_alone(config, |_| {});
    let mut healthy = TlsPeer::connect(&running);
    let alone: Vec<_> = (0..5).map(|_| p99(&mut healthy)).collect();
    let mut slow: Vec<Peer> = (0..SLOW).map(|_| running.connect()).collect();
    let (ends, hello) = (AtomicBool::new(false), client_hello());
    let beside: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            for byte in
                hello.iter().take(hello.len() - 1).cycle().take_while(|_| !ends.load(Ordering::Acquire))
            {
                slow.iter_mut().for_each(|peer| drop(peer.stream.write(&[*byte])));
                thread::sleep(Duration::from_secs(1));
            }
        });
        let beside = (0..5).map(|_| p99(&mut healthy)).collect();
        ends.store(true, Ordering::Release);
        beside
    });
    println!("p99 alone {alone:?}, beside {SLOW} slow handshakes {beside:?}");
    let median = |mut of: Vec<Duration>| {
        of.sort();
        of[of.len() / 2]
    };
    assert!(median(beside) <= 2 * median(alone));
}

/// Of the echoes of three seconds.
fn p99(peer: &mut TlsPeer) -> Duration {
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(3) {
        let sent = Instant::now();
        peer.check_echo();
        took.push(sent.elapsed());
    }
    took.sort();
    took[took.len() * 99 / 100]
}

/// The first message of a client.
fn client_hello() -> Vec<u8> {
    let config = crate::tls_peer::client_config(|_| {});
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut conn = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    conn.write_tls(&mut hello).unwrap();
    hello
}

/// The first messages of a peer may come with the end of its handshake.
#[test]
fn messages_that_come_with_the_end_of_the_handshake_are_read() {
    let running = start_alone(config(), |_| {});
    let mut peer = TlsPeer::connect(&running);
    let message = frame(1, b"early");
    let (conn, sock) = (&mut peer.stream.conn, &mut peer.stream.sock);
    send_all(conn, sock);
    while conn.is_handshaking() {
        conn.read_tls(sock).unwrap();
        conn.process_new_packets().unwrap();
    }
    conn.writer().write_all(&message).unwrap();
    conn.writer().write_all(&message).unwrap();
    // And that is all there will be.
    conn.send_close_notify();
    send_all(conn, sock);
    assert_eq!(peer.read_to_end().unwrap(), [message.clone(), message].concat());
}

/// All that it has to send, in one write.
fn send_all(conn: &mut rustls::ClientConnection, sock: &mut TcpStream) {
    let mut all = Vec::new();
    while conn.wants_write() {
        conn.write_tls(&mut all).unwrap();
    }
    sock.write_all(&all).unwrap();
}
