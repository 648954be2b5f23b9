//! bluelet's names: lines are bounded, errors are values, and `run` waits for all it has spawned.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::port::ReservedPort;
use crate::common::wait_until;
use zinx::green::bluelet::{self, Connection, Listener, MAX_LINE_BYTES};
use zinx::green::{self, Event, Failed};

#[test]
fn run_waits_for_the_calls_linked_to_what_was_spawned() {
    within(30, || {
        let called = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&called);
        let child = bluelet::run(move || {
            let linked = Arc::new(Event::new());
            let waits = Arc::clone(&linked);
            let child = bluelet::spawn(move || waits.wait());
            child.link(move |_| {
                green::sleep(Duration::from_millis(20));
                counts.fetch_add(1, Ordering::Relaxed);
            });
            linked.set();
            child
        });
        assert!(child.ready());
        assert_eq!(called.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn run_waits_for_all_that_was_spawned_and_returns_what_its_root_does() {
    within(30, || {
        let ended = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&ended);
        let value = bluelet::run(move || {
            for n in 0..10 {
                let ended = Arc::clone(&theirs);
                bluelet::spawn(move || {
                    bluelet::sleep(Duration::from_millis(n));
                    bluelet::spawn(move || ended.fetch_add(1, Ordering::AcqRel));
                });
            }
            bluelet::call(|| 7)
        });
        assert_eq!((value, ended.load(Ordering::Acquire)), (7, 10));
    });
}

#[test]
fn run_waits_for_its_own_and_not_for_those_of_another_run() {
    within(30, || {
        let (go, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, began) = (Arc::clone(&go), Arc::clone(&begun));
        let other = std::thread::spawn(move || {
            bluelet::run(move || {
                bluelet::spawn(move || theirs.wait());
                began.set();
            });
        });
        assert!(begun.wait_timeout(LONG));
        assert_eq!(bluelet::run(|| bluelet::spawn(|| 7).get().unwrap()), 7);
        assert!(!other.is_finished());
        go.set();
        other.join().unwrap();
    });
}

#[test]
fn a_killed_green_thread_is_no_longer_waited_for() {
    within(30, || {
        bluelet::run(|| {
            let begun = Arc::new(Event::new());
            let began = Arc::clone(&begun);
            let endless = bluelet::spawn(move || {
                began.set();
                bluelet::sleep(LONG * 100);
            });
            begun.wait();
            bluelet::kill(&endless);
            bluelet::kill(&endless);
            bluelet::join(&endless);
            assert!(matches!(endless.get(), Err(Failed::Killed)));
            // Killed before it begins, most likely: it is waited for no longer either.
            bluelet::kill(&bluelet::spawn(|| bluelet::sleep(LONG * 100)));
        });
    });
}

#[test]
fn a_line_ends_with_its_terminator_however_it_is_cut() {
    within(30, || {
        let (mut conn, mut peer) = pair();
        for byte in b"one\r\ntwo\r\n\r\nrest" {
            peer.write_all(&[*byte]).unwrap();
        }
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(conn.readline("\r\n").unwrap(), b"one\r\n");
        assert_eq!(conn.readline("\r\n").unwrap(), b"two\r\n");
        assert_eq!(conn.readline("\r\n").unwrap(), b"\r\n");
        assert_eq!(conn.recv(2).unwrap(), b"re", "what a line has left over");
        assert_eq!(conn.readline("\r\n").unwrap(), b"st", "what is left at the end, without terminator");
        assert_eq!(conn.readline("\r\n").unwrap(), b"");
        assert_eq!(conn.recv(16).unwrap(), b"");
        assert_eq!(conn.readline("").unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_line_is_bounded_and_what_was_read_of_it_stays() {
    within(30, || {
        let (mut conn, mut peer) = pair();
        peer.write_all(b"12345678\n123456789\n").unwrap();
        assert_eq!(conn.readline_max("\n", 9).unwrap(), b"12345678\n", "exactly as long as allowed");
        assert_eq!(conn.readline_max("\n", 9).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(conn.recv(64).unwrap(), b"123456789\n");

        let sending =
            std::thread::spawn(move || peer.write_all(&vec![b'x'; 2 * MAX_LINE_BYTES]).map(|()| peer));
        assert_eq!(conn.readline("\n").unwrap_err().kind(), ErrorKind::InvalidData);
        let mut left = 2 * MAX_LINE_BYTES;
        while left > 0 {
            left -= conn.recv(4096).unwrap().len();
        }
        drop(sending.join().unwrap().unwrap());
    });
}

#[test]
fn a_closed_connection_answers_with_errors() {
    within(30, || {
        let (mut conn, mut peer) = pair();
        conn.sendall("hello").unwrap();
        assert!(conn.send(b"!").unwrap() > 0);
        conn.close();
        conn.close();
        for outcome in [conn.recv(1).map(drop), conn.sendall("x"), conn.readline("\n").map(drop)] {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotConnected);
        }
        let mut said = String::new();
        peer.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello!");
    });
}

#[test]
fn a_closed_listener_ends_the_accept_that_waits() {
    within(30, || {
        let listener = Arc::new(Listener::new("127.0.0.1", 0).unwrap());
        let theirs = Arc::clone(&listener);
        let accepting = bluelet::spawn(move || theirs.accept().map(drop));
        assert!(!accepting.join_timeout(Duration::from_millis(5)));
        listener.close();
        listener.close();
        assert_eq!(accepting.get().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
        let refused = TcpStream::connect(listener.local_addr()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_server_that_is_killed_or_out_of_time_refuses_clients() {
    within(30, || {
        let reserved = ReservedPort::new();
        let port = reserved.number();
        let serving = bluelet::spawn(move || bluelet::server("127.0.0.1", port, |_| Ok(())));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("the server", || TcpStream::connect(address).is_ok());
        bluelet::kill(&serving);
        assert!(TcpStream::connect(address).is_err(), "at once");

        let reserved = ReservedPort::new();
        let port = reserved.number();
        let soon = Duration::from_millis(20);
        let late =
            green::run(move || green::with_timeout(soon, || bluelet::server("127.0.0.1", port, |_| Ok(()))));
        assert!(late.is_err());
        Listener::new("127.0.0.1", port).unwrap();
    });
}

#[test]
fn a_peer_that_has_gone_before_it_is_accepted_is_accepted_with_its_address() {
    within(30, || {
        let listener = Listener::new("127.0.0.1", 0).unwrap();
        let gone = TcpStream::connect(listener.local_addr()).unwrap();
        let address = gone.local_addr().unwrap();
        socket2::SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
        drop(gone);
        let mut conn = listener.accept().unwrap();
        assert_eq!(conn.addr(), address);
        assert_eq!(conn.recv(1).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn read_and_write_take_whatever_can_be_read_and_written() {
    within(30, || {
        let (mut conn, mut peer) = pair();
        bluelet::write(&mut peer, "all of it").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(conn.recv(3).unwrap(), b"all");
        let mut text = &b"all of it"[..];
        assert_eq!(bluelet::read(&mut text, Some(3)).unwrap(), b"all");
        assert_eq!(bluelet::read(&mut text, None).unwrap(), b" of it");
        assert_eq!(bluelet::read(&mut text, Some(3)).unwrap(), b"");
    });
}

#[test]
fn connecting_to_nobody_is_an_error() {
    within(30, || {
        let listener = Listener::new("127.0.0.1", 0).unwrap();
        let port = listener.local_addr().port();
        let taken = Listener::new("127.0.0.1", port).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        listener.close();
        let closed = ReservedPort::new();
        let port = closed.number();
        let refused = bluelet::run(move || bluelet::connect("127.0.0.1", port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

/// A connection of ours, and its peer on a plain socket.
fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let conn: io::Result<Connection> = bluelet::connect("localhost", port);
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    (conn.unwrap(), peer)
}
