//! Peers that say nothing, and many of one address, leave places for others.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use zinx::ziface::{CloseReason, IClient, IMessage, IServer};
use zinx::{Config, new_client_with_config};

use crate::common::{ECHO, Peer, Running, config, frame, start_alone, wait_until};

/// A peer of the address `127.0.0.host`.
fn connect_from(running: &Running, host: u8) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect(&running.server.local_addr().unwrap().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)));
    Peer { stream }
}

#[test]
fn silent_peers_do_not_keep_their_places_unless_the_program_says_so() {
    let seconds = Config::default().first_frame_timeout_ms / 1000;
    assert!((5..=60).contains(&seconds), "{seconds}");
    let mut config = config();
    (config.max_conn, config.first_frame_timeout_ms) = (5, 200);
    let running = start_alone(config, |_| {});
    let silent: Vec<_> = (0..5).map(|_| running.connect()).collect();
    for peer in &silent {
        assert_eq!(running.close_reason(peer.addr()), CloseReason::FirstFrameTimeout);
    }
    wait_until("the places are free", || running.server.get_conn_mgr().is_empty());
    wait_until("one that is not silent", || {
        let (begun, mut peer) = (Instant::now(), running.connect());
        let mut echo = [0; 9];
        let io = peer.stream.write_all(&frame(ECHO, b"x")).and_then(|()| peer.stream.read_exact(&mut echo));
        // On a busy machine it may have been silent for too long.
        assert!(io.is_ok() || begun.elapsed() >= Duration::from_millis(200), "{io:?}");
        assert!(io.is_err() || echo == *frame(ECHO, b"x"));
        io.is_ok()
    });
}

#[test]
fn a_client_waits_for_a_server_that_only_listens() {
    let running = start_alone(config(), |_| {});
    let mut config = config();
    config.first_frame_timeout_ms = 50;
    let client = new_client_with_config("127.0.0.1", running.server.local_addr().unwrap().port(), config);
    let client = client.unwrap();
    client.start().unwrap();
    wait_until("the connection", || client.conn().is_some());
    let conn = client.conn().unwrap();
    assert!(!conn.wait_closed(Duration::from_secs(1)).unwrap());
    client.stop();
}

#[test]
fn an_address_has_as_many_places_as_it_may() {
    let mut config = config();
    config.max_conn_per_address = 3;
    let running = start_alone(config, |_| {});
    let mut peers: Vec<_> = (0..3).map(|_| connect_from(&running, 5)).collect();
    peers.iter_mut().for_each(Peer::check_echo);
    assert_eq!(connect_from(&running, 5).read_to_end(), b"");
    connect_from(&running, 6).check_echo();
    drop(peers.pop());
    let stats = || running.server.stats();
    assert_eq!((stats().over_max_conn_per_address, stats().over_max_conn), (1, 0));
    wait_until("its place is free", || running.server.get_conn_mgr().len() == 2);
    let mut next = connect_from(&running, 5);
    next.check_echo();
    peers.iter_mut().for_each(Peer::check_echo);
}

#[test]
fn a_connection_that_is_gone_holds_no_place() {
    let mut config = config();
    config.max_conn_per_address = 1;
    let running = start_alone(config, |_| {});
    let conns = running.server.get_conn_mgr();
    for _ in 0..500 {
        connect_from(&running, 5).check_echo();
        // Not a pause longer: what is asked next comes as soon as it can.
        while !conns.is_empty() {
            thread::yield_now();
        }
    }
}

#[test]
fn an_answer_is_a_first_frame_too_however_large() {
    let mut config = config();
    (config.first_frame_timeout_ms, config.max_packet_size) = (1000, 1 << 20);
    let (comes, came) = mpsc::channel();
    let running = start_alone(config, |server| {
        server.set_on_conn_start(move |conn| {
            comes.send(Arc::clone(conn)).unwrap();
            Ok(())
        });
    });
    let answered = || {
        let begun = Instant::now();
        let mut peer = running.connect();
        let conn = came.recv_timeout(Duration::from_secs(30)).unwrap();
        let theirs = Arc::clone(&conn);
        let asked = thread::spawn(move || theirs.call(7, "?", 8, Duration::from_secs(10)));
        // It may have been silent for too long, on a busy machine.
        let mut question = [0; 9];
        let asks = peer.stream.read_exact(&mut question);
        assert!(asks.is_err() || question == *frame(7, b"?"));
        let _ = peer.stream.write_all(&frame(8, &vec![7; 1 << 20]));
        let answer = asked.join().unwrap();
        assert!(answer.is_ok() || begun.elapsed() >= Duration::from_secs(1), "{answer:?}");
        answer.ok().map(|answer| (peer, conn, answer))
    };
    let (_peer, conn, answer) = (0..10).find_map(|_| answered()).expect("an answer in time");
    assert_eq!(answer.get_data().len(), 1 << 20);
    assert!(!conn.wait_closed(Duration::from_secs(3)).unwrap());
}
