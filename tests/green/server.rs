//! A stream server, on TCP and on Unix sockets: each connection has its handler, is closed when that returns, and fails
//! alone.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::wait_until;
use crate::places::{Abstract, Client, File, Place, Tcp};
use zinx::green::{self, Event, Pool, StreamServer};

/// Runs a test on TCP, on a path and on an abstract name.
macro_rules! everywhere {
    ($holds:ident) => {
        within(60, || {
            $holds::<Tcp>();
            $holds::<File>();
            $holds::<Abstract>();
        })
    };
}

#[test]
fn a_stopped_server_refuses_and_serves_again_after_a_restart() {
    fn holds<P: Place>() {
        let server = P::bind();
        assert!(!server.is_accepting(), "clients can connect, and wait");
        server.start(echo).unwrap();
        for _ in 0..3 {
            assert!(server.is_accepting());
            let mut client = connect::<P>(&server);
            check_echo(&mut client);
            drop(client);
            assert!(server.stop(LONG));
            assert!(server.is_empty() && !server.is_accepting());
            assert_eq!(refusal::<P>(&server), Some(P::REFUSED));
            assert!(server.stop(LONG), "twice is the same as once");
            server.restart().unwrap();
            server.restart().unwrap();
        }
        check_echo(&mut connect::<P>(&server));
        assert_eq!(server.start(echo).unwrap_err().kind(), ErrorKind::AlreadyExists);
        server.stop(LONG);
    }
    everywhere!(holds);
}

#[test]
fn a_full_server_lets_the_next_wait_and_then_serves_it() {
    fn holds<P: Place>() {
        let server = P::bind().max_conns(2);
        server.start(echo).unwrap();
        let (mut first, mut second) = (connect::<P>(&server), connect::<P>(&server));
        check_echo(&mut first);
        check_echo(&mut second);
        let mut third = connect::<P>(&server);
        third.write_all(b"wait").unwrap();
        third.patience(Duration::from_millis(30));
        let waits = third.read(&mut [0; 4]).unwrap_err();
        assert!(matches!(waits.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits}");
        assert_eq!(server.len(), 2);
        drop(first);
        third.patience(LONG);
        let mut answer = [0; 4];
        third.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"wait");
        check_echo(&mut second);
        drop((second, third));
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn a_client_is_closed_when_its_handler_returns_even_if_the_stream_is_kept() {
    fn holds<P: Place>() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&kept);
        let server = P::bind();
        let handler = move |mut stream: P::Stream, _| {
            theirs.lock().unwrap().push(stream.clone());
            stream.write_all(b"bye")
        };
        server.start(handler).unwrap();
        let mut client = connect::<P>(&server);
        // Unread input must not destroy the answer on its way.
        client.write_all(&[7; 10_000]).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "bye");
        drop(client);
        wait_until("no connection is open", || server.is_empty());
        let mut stream = kept.lock().unwrap().pop().unwrap();
        assert!(stream.write_all(b"more").is_err(), "closed for all");
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn a_handler_that_fails_or_panics_ends_nobody_else() {
    fn holds<P: Place>() {
        let server = P::bind();
        let handler = |mut stream: P::Stream, peer| {
            let mut first = [0];
            stream.read_exact(&mut first)?;
            match first[0] {
                b'e' => Err(io::Error::other("on purpose")),
                b'p' => panic!("on purpose"),
                _ => echo(stream, peer),
            }
        };
        server.start(handler).unwrap();
        let mut healthy = connect::<P>(&server);
        healthy.write_all(b"x").unwrap();
        check_echo(&mut healthy);
        for kind in [b"e", b"p"] {
            let mut failing = connect::<P>(&server);
            failing.write_all(kind).unwrap();
            assert_eq!(failing.read(&mut [0; 8]).unwrap(), 0, "closed");
            check_echo(&mut healthy);
        }
        drop(healthy);
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn stop_waits_for_handlers_and_cuts_off_those_that_do_not_end() {
    fn holds<P: Place>() {
        let server = P::bind();
        server.start(echo).unwrap();
        let mut ends = connect::<P>(&server);
        check_echo(&mut ends);
        let theirs = server.clone();
        let stopping = thread::spawn(move || theirs.stop(LONG));
        wait_until("it refuses", || refusal::<P>(&server).is_some());
        check_echo(&mut ends);
        drop(ends);
        assert!(stopping.join().unwrap());

        server.restart().unwrap();
        let mut stays = connect::<P>(&server);
        check_echo(&mut stays);
        assert!(!server.stop(Duration::from_millis(20)));
        assert_eq!(stays.read(&mut [0; 8]).unwrap(), 0, "cut off");
        server.join();
        assert!(server.is_empty());
    }
    everywhere!(holds);
}

#[test]
fn stop_kills_a_handler_that_looks_at_no_socket() {
    fn holds<P: Place>() {
        let (server, begun) = (P::bind(), Arc::new(Event::new()));
        let tells = Arc::clone(&begun);
        let handler = move |_, _| {
            tells.set();
            Event::new().wait();
            Ok(())
        };
        server.start(handler).unwrap();
        let mut client = connect::<P>(&server);
        begun.wait();
        assert!(!server.stop(Duration::ZERO));
        server.join();
        assert!(server.is_empty());
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    }
    everywhere!(holds);
}

#[test]
fn stop_accepting_leaves_connections_alone_and_serve_returns_after_stop() {
    fn holds<P: Place>() {
        let server = P::bind();
        let theirs = server.clone();
        let serving = green::spawn(move || theirs.serve(echo));
        let mut client = connect::<P>(&server);
        check_echo(&mut client);
        server.stop_accepting();
        assert_eq!(refusal::<P>(&server), Some(P::REFUSED));
        check_echo(&mut client);
        assert!(!serving.join_timeout(Duration::from_millis(5)));
        client.finish();
        assert!(server.stop(LONG));
        serving.get().unwrap().unwrap();
    }
    everywhere!(holds);
}

#[test]
fn a_serve_that_is_killed_or_out_of_time_refuses_clients_and_can_go_on_later() {
    fn holds<P: Place>() {
        let server = P::bind();
        let theirs = server.clone();
        let serving = green::spawn(move || theirs.serve(echo));
        let mut client = connect::<P>(&server);
        check_echo(&mut client);
        serving.kill();
        assert!(refusal::<P>(&server).is_some() && !server.is_accepting(), "at once");
        check_echo(&mut client);
        server.restart().unwrap();
        check_echo(&mut connect::<P>(&server));
        drop(client);
        assert!(server.stop(LONG));

        let server = P::bind();
        let theirs = server.clone();
        let late = green::run(move || green::with_timeout(Duration::from_millis(5), || theirs.serve(echo)));
        assert!(late.is_err());
        assert!(refusal::<P>(&server).is_some());
    }
    everywhere!(holds);
}

#[test]
fn a_serve_that_returns_leaves_a_server_alone_that_was_started_again() {
    fn holds<P: Place>() {
        let server = P::bind();
        let (theirs, stopping) = (server.clone(), server.clone());
        let serving = green::spawn(move || theirs.serve(echo));
        check_echo(&mut connect::<P>(&server));
        green::run(move || {
            assert!(stopping.stop(LONG));
            stopping.restart().unwrap();
        });
        serving.get().unwrap().unwrap();
        check_echo(&mut connect::<P>(&server));
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn stop_ends_a_server_that_is_full() {
    fn holds<P: Place>() {
        let (server, release) = (P::bind().max_conns(1), Arc::new(Event::new()));
        let theirs = Arc::clone(&release);
        let handler = move |_, _| {
            theirs.wait();
            Ok(())
        };
        server.start(handler).unwrap();
        let client = connect::<P>(&server);
        wait_until("it is full", || server.len() == 1);
        server.stop_accepting();
        release.set();
        drop(client);
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn a_second_bind_of_a_place_in_use_says_so_and_ends_nothing() {
    fn holds<P: Place>() {
        let server = P::bind();
        server.start(echo).unwrap();
        assert_eq!(P::bind_to(&server.local_addr()).unwrap_err().kind(), ErrorKind::AddrInUse);
        check_echo(&mut connect::<P>(&server));
        assert!(server.stop(LONG));
        let next = P::bind_to(&server.local_addr()).unwrap();
        next.start(echo).unwrap();
        assert_eq!(server.restart().unwrap_err().kind(), ErrorKind::AddrInUse, "taken meanwhile");
        check_echo(&mut connect::<P>(&next));
        assert!(next.stop(LONG));
        server.restart().unwrap();
        check_echo(&mut connect::<P>(&server));
        assert!(server.stop(LONG));
    }
    everywhere!(holds);
}

#[test]
fn servers_of_both_kinds_share_the_places_of_a_pool() {
    within(60, || {
        let pool = Pool::new(1);
        let (tcp, unix) = (Tcp::bind().pool(&pool), File::bind().pool(&pool));
        tcp.start(echo).unwrap();
        unix.start(echo).unwrap();
        let mut first = connect::<Tcp>(&tcp);
        check_echo(&mut first);
        let mut second = connect::<File>(&unix);
        second.write_all(b"wait").unwrap();
        second.patience(Duration::from_millis(30));
        assert!(second.read(&mut [0; 4]).is_err(), "there is no place");
        drop(first);
        second.patience(LONG);
        second.read_exact(&mut [0; 4]).unwrap();
        check_echo(&mut second);
        drop(second);
        assert!(tcp.stop(LONG) && unix.stop(LONG));
    });
}

fn connect<P: Place>(server: &StreamServer<P::Stream>) -> Box<dyn Client> {
    let client = P::client(&server.local_addr()).unwrap();
    client.patience(LONG);
    client
}

/// What a client is told that tries to connect. `None` if it is not refused.
fn refusal<P: Place>(server: &StreamServer<P::Stream>) -> Option<ErrorKind> {
    P::client(&server.local_addr()).err().map(|error| error.kind())
}

fn echo<S: Read + Write, A>(mut stream: S, _: A) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn check_echo(client: &mut Box<dyn Client>) {
    client.write_all(b"still there?").unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still there?");
}
