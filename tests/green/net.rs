//! Coroutine sockets, and the one runtime of a process.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crate::common::coroutines::{LONG, bind, echo_once, runtime, within};
use crate::common::port::ReservedPort;
use zinx::green::{self, Runtime, TcpListener, TcpStream, bluelet};
use zinx::ziface::IClient;

#[test]
fn a_second_bind_of_a_port_fails() {
    within(30, || {
        let reserved = ReservedPort::new();
        let address = reserved.address;
        let first = TcpListener::bind(address, 16).unwrap();
        let second = TcpListener::bind(address, 16).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        drop(first);
        TcpListener::bind(address, 16).unwrap();
    });
}

#[test]
fn bind_takes_text_and_tries_every_address() {
    within(30, || {
        let taken = bind();
        for listener in [
            TcpListener::bind("127.0.0.1:0", 16),
            TcpListener::bind("localhost:0".to_string(), 16),
            TcpListener::bind(("127.0.0.1", 0), 16),
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 16),
            TcpListener::bind(Addresses(vec![taken.local_addr(), ([127, 0, 0, 1], 0).into()]), 16),
        ] {
            let listener = listener.unwrap();
            assert!(listener.local_addr().ip().is_loopback());
            assert_ne!(listener.local_addr().port(), taken.local_addr().port());
        }
        let none = TcpListener::bind(Addresses(Vec::new()), 16).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn accept_gives_the_peers_address_also_of_a_peer_that_has_gone() {
    within(30, || {
        let listener = bind();
        let here = TcpStream::connect(listener.local_addr()).unwrap();
        let gone = TcpStream::connect(listener.local_addr()).unwrap();
        let addresses = [here.local_addr().unwrap(), gone.local_addr().unwrap()];
        socket2::SockRef::from(&gone).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(gone);
        let accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
        assert_eq!([accepted[0].1, accepted[1].1], addresses);
        let error = accepted[1].0.peer_addr().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected, "it has gone");
    });
}

#[test]
fn connect_tries_every_address() {
    within(30, || {
        let closed = ReservedPort::new();
        let refused = closed.address;
        let open = bind();
        let addresses = Addresses(vec![refused, refused, open.local_addr()]);
        let stream = green::run(move || TcpStream::connect(addresses).map(|stream| stream.peer_addr()));
        assert_eq!(stream.unwrap().unwrap(), open.local_addr());

        let error = green::run(move || TcpStream::connect(refused)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect(Addresses(Vec::new())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "also on a thread");
    });
}

#[test]
fn streams_carry_bytes_between_coroutines() {
    within(30, || {
        let (address, echo) = echo_once();
        let answer = green::run(move || -> io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(address)?;
            let mut writing = stream.clone();
            let writer = green::spawn(move || {
                let result = writing.write_all(&pattern());
                writing.shutdown_write();
                result
            });
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            writer.get().map_err(io::Error::other)??;
            Ok(answer)
        });
        assert!(answer.unwrap() == pattern());
        assert!(echo.join_timeout(LONG));
    });
}

#[test]
fn an_interrupted_accept_ends() {
    within(30, || {
        let listener = Arc::new(bind());
        let theirs = Arc::clone(&listener);
        let accepting = green::spawn(move || theirs.accept().map(drop));
        listener.interrupt();
        assert_eq!(accepting.get().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
    });
}

#[test]
fn another_runtime_than_the_one_that_runs_is_an_error() {
    within(30, || {
        let have = runtime();
        have.start().unwrap();
        Runtime::default().start().unwrap();
        let other = Runtime { workers: have.workers + 1, ..Runtime::default() };
        assert!(matches!(other.start(), Err(zinx::Error::RuntimeMismatch { what: "Workers", .. })));
        let other = Runtime { stack_bytes: have.stack_bytes * 2, ..Runtime::default() };
        assert!(matches!(other.start(), Err(zinx::Error::RuntimeMismatch { what: "StackBytes", .. })));
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

/// What a name with several addresses resolves to.
struct Addresses(Vec<SocketAddr>);

impl ToSocketAddrs for Addresses {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.0.clone().into_iter())
    }
}

/// More than the socket buffers hold.
fn pattern() -> Vec<u8> {
    (0..4_000_000u32).map(|n| (n % 251) as u8).collect()
}

/// The number of the interface `lo`.
const LOOPBACK: u32 = 1;
