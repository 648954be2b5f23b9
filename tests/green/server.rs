//! A stream server: each connection has its handler, is closed when that returns, and fails alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::wait_until;
use zinx::green::{self, Event, StreamServer, bluelet};
use zinx::ziface::IClient;

#[test]
fn a_stopped_server_refuses_and_serves_again_after_a_restart() {
    within(60, || {
        let server = bind();
        server.start(echo).unwrap();
        let address = server.local_addr();
        for _ in 0..3 {
            let mut client = connect(address);
            check_echo(&mut client);
            drop(client);
            assert!(server.stop(LONG));
            assert!(server.is_empty());
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert!(server.stop(LONG), "twice is the same as once");
            server.restart().unwrap();
            server.restart().unwrap();
        }
        check_echo(&mut connect(address));
        assert_eq!(server.start(echo).unwrap_err().kind(), ErrorKind::AlreadyExists);
        server.stop(LONG);
    });
}

#[test]
fn a_full_server_lets_the_next_wait_and_then_serves_it() {
    within(60, || {
        let server = bind().max_conns(2);
        server.start(echo).unwrap();
        let (mut first, mut second) = (connect(server.local_addr()), connect(server.local_addr()));
        check_echo(&mut first);
        check_echo(&mut second);
        let mut third = connect(server.local_addr());
        third.write_all(b"wait").unwrap();
        third.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let waits = third.read(&mut [0; 4]).unwrap_err();
        assert!(matches!(waits.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits}");
        assert_eq!(server.len(), 2);
        drop(first);
        third.set_read_timeout(Some(LONG)).unwrap();
        let mut answer = [0; 4];
        third.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"wait");
        check_echo(&mut second);
        drop((second, third));
        assert!(server.stop(LONG));
    });
}

#[test]
fn a_client_is_closed_when_its_handler_returns_even_if_the_stream_is_kept() {
    within(60, || {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&kept);
        let server = bind();
        let handler = move |mut stream: green::TcpStream, _: SocketAddr| {
            theirs.lock().unwrap().push(stream.clone());
            stream.write_all(b"bye")
        };
        server.start(handler).unwrap();
        let mut client = connect(server.local_addr());
        // Unread input must not destroy the answer on its way.
        client.write_all(&[7; 10_000]).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "bye");
        drop(client);
        wait_until("no connection is open", || server.is_empty());
        let stream = kept.lock().unwrap().pop().unwrap();
        assert!((&stream).write_all(b"more").is_err(), "closed for all");
        assert!(server.stop(LONG));
    });
}

#[test]
fn a_handler_that_fails_or_panics_ends_nobody_else() {
    within(60, || {
        let server = bind();
        let handler = |mut stream: green::TcpStream, peer: SocketAddr| {
            let mut first = [0];
            stream.read_exact(&mut first)?;
            match first[0] {
                b'e' => Err(io::Error::other("on purpose")),
                b'p' => panic!("on purpose"),
                _ => echo(stream, peer),
            }
        };
        server.start(handler).unwrap();
        let mut healthy = connect(server.local_addr());
        healthy.write_all(b"x").unwrap();
        check_echo(&mut healthy);
        for kind in [b"e", b"p"] {
            let mut failing = connect(server.local_addr());
            failing.write_all(kind).unwrap();
            assert_eq!(failing.read(&mut [0; 8]).unwrap(), 0, "closed");
            check_echo(&mut healthy);
        }
        drop(healthy);
        assert!(server.stop(LONG));
    });
}

#[test]
fn stop_waits_for_handlers_and_cuts_off_those_that_do_not_end() {
    within(60, || {
        let server = bind();
        server.start(echo).unwrap();
        let mut ends = connect(server.local_addr());
        check_echo(&mut ends);
        let theirs = server.clone();
        let stopping = thread::spawn(move || theirs.stop(LONG));
        wait_until("it refuses", || TcpStream::connect(server.local_addr()).is_err());
        check_echo(&mut ends);
        drop(ends);
        assert!(stopping.join().unwrap());

        server.restart().unwrap();
        let mut stays = connect(server.local_addr());
        check_echo(&mut stays);
        assert!(!server.stop(Duration::from_millis(20)));
        assert_eq!(stays.read(&mut [0; 8]).unwrap(), 0, "cut off");
        server.join();
        assert!(server.is_empty());
    });
}

#[test]
fn stop_accepting_leaves_connections_alone_and_serve_returns_after_stop() {
    within(60, || {
        let server = bind();
        let theirs = server.clone();
        let serving = green::spawn(move || theirs.serve(echo));
        let mut client = connect(server.local_addr());
        check_echo(&mut client);
        server.stop_accepting();
        assert!(TcpStream::connect(server.local_addr()).is_err());
        check_echo(&mut client);
        assert!(!serving.join_timeout(Duration::from_millis(5)));
        client.shutdown(Shutdown::Write).unwrap();
        assert!(server.stop(LONG));
        serving.get().unwrap().unwrap();
    });
}

#[test]
fn a_serve_that_is_killed_or_out_of_time_refuses_clients_and_can_go_on_later() {
    within(60, || {
        let server = bind();
        let theirs = server.clone();
        let serving = green::spawn(move || theirs.serve(echo));
        let mut client = connect(server.local_addr());
        check_echo(&mut client);
        serving.kill();
        assert!(TcpStream::connect(server.local_addr()).is_err(), "at once");
        check_echo(&mut client);
        server.restart().unwrap();
        check_echo(&mut connect(server.local_addr()));
        drop(client);
        assert!(server.stop(LONG));

        let server = bind();
        let address = server.local_addr();
        let late = green::run(move || green::with_timeout(Duration::from_millis(5), || server.serve(echo)));
        assert!(late.is_err());
        assert!(TcpStream::connect(address).is_err());
    });
}

#[test]
fn a_serve_that_returns_leaves_a_server_alone_that_was_started_again() {
    within(60, || {
        let server = bind();
        let (theirs, stopping) = (server.clone(), server.clone());
        let serving = green::spawn(move || theirs.serve(echo));
        check_echo(&mut connect(server.local_addr()));
        green::run(move || {
            assert!(stopping.stop(LONG));
            stopping.restart().unwrap();
        });
        serving.get().unwrap().unwrap();
        check_echo(&mut connect(server.local_addr()));
        assert!(server.stop(LONG));
    });
}

#[test]
fn stop_ends_a_server_that_is_full() {
    within(60, || {
        let (server, release) = (bind().max_conns(1), Arc::new(Event::new()));
        let theirs = Arc::clone(&release);
        let handler = move |_stream: green::TcpStream, _: SocketAddr| {
            theirs.wait();
            Ok(())
        };
        server.start(handler).unwrap();
        let _client = connect(server.local_addr());
        wait_until("it is full", || server.len() == 1);
        server.stop_accepting();
        release.set();
        assert!(server.stop(LONG));
    });
}

#[test]
fn names_resolve_and_a_name_without_address_is_an_error() {
    within(60, || {
        let found = green::run(|| green::resolve("localhost", 80)).unwrap();
        assert!(found.iter().all(|address| address.port() == 80 && address.ip().is_loopback()));
        let again = green::resolve("localhost", 81).unwrap();
        assert_eq!(again.len(), found.len(), "remembered, with another port");
        assert_eq!(green::resolve("::1", 80).unwrap(), ["[::1]:80".parse().unwrap()]);
        assert!(green::resolve("no such name", 80).is_err());
    });
}

#[test]
fn the_zone_of_a_link_local_address_is_kept() {
    within(60, || {
        for port in [80, 81] {
            let found = green::run(move || green::resolve("fe80::1%lo", port)).unwrap();
            let [SocketAddr::V6(address)] = found[..] else { panic!("{found:?}") };
            assert_eq!((address.scope_id(), address.port()), (LOOPBACK, port), "asked, then remembered");
        }
        // The system refuses a link-local address without a zone in another way.
        let refused = green::run(|| bluelet::connect("fe80::1%lo", 9)).unwrap_err();
        assert_ne!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        let client = zinx::new_client_with_config("fe80::1%lo", 9, crate::common::config()).unwrap();
        let refused = client.start().unwrap_err().to_string();
        assert!(!refused.contains("Invalid argument"), "{refused}");
    });
}

/// The number of the interface `lo`.
const LOOPBACK: u32 = 1;

fn bind() -> StreamServer {
    StreamServer::bind("127.0.0.1:0").unwrap()
}

fn echo(mut stream: green::TcpStream, _: SocketAddr) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn check_echo(client: &mut TcpStream) {
    client.write_all(b"still there?").unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still there?");
}
