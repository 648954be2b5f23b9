//! Peers that say nothing, and many of one address, leave places for others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use zinx::ziface::{CloseReason, IClient, IMessage, IServer};
use zinx::{Config, new_client_with_config};

use crate::common::{Peer, Running, config, frame, start_alone, wait_until};

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
    running.connect().check_echo();
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
    let running = start_alone(config, |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    let theirs = Arc::clone(&conn);
    let asked = thread::spawn(move || theirs.call(7, "?", 8, Duration::from_secs(10)));
    assert_eq!(peer.read_frame(), (7, b"?".to_vec()));
    peer.send(&frame(8, &vec![7; 1 << 20]));
    assert_eq!(asked.join().unwrap().unwrap().get_data().len(), 1 << 20);
    assert!(!conn.wait_closed(Duration::from_secs(3)).unwrap());
}
