//! `gevent.socket`, and `gevent.server`.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::green::{
    self, DatagramServer, Event, Pool, Queue, StreamServer, TcpListener, TcpStream, UdpSocket, UnixDatagram,
    UnixListener, UnixStream,
};

use super::common::coroutines::LONG;
use super::common::port::ReservedPort;
use super::{Count, SHORT, comes_true, test, until_it, waiting};

const AWAITS: &str = "waits for a socket";

/// A name that nothing else has, in the file system or not.
fn name(is_abstract: bool) -> PathBuf {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let name = format!("zinx-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    if is_abstract { format!("\0{name}").into() } else { std::env::temp_dir().join(name) }
}

fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn udp_datagrams_come_whole_with_their_sender() {
    test(|| {
        let ((one, from), (other, to)) = (udp(), udp());
        let receiver = waiting(move || {
            let mut buf = [0; 16];
            let first = other.recv_from(&mut buf).unwrap();
            let empty = other.recv_from(&mut buf).unwrap();
            let cut = other.recv_from(&mut buf[..3]).unwrap();
            let next = other.recv_from(&mut buf).unwrap();
            (first, empty, cut, next, buf[..5].to_vec())
        });
        until_it(receiver.coroutine(), AWAITS);
        assert_eq!(one.send_to(b"hello", to).unwrap(), 5);
        for data in [&b""[..], b"too long", b"after"] {
            assert_eq!(one.send_to(data, to).unwrap(), data.len());
        }
        let (first, empty, (cut, _), next, last) = receiver.get().unwrap();
        assert_eq!((first, empty), ((5, from), (0, from)));
        assert!(cut == 3 || cut == 8, "the rest of it is lost: {cut}");
        assert_eq!((next, last), ((5, from), b"after".to_vec()));
        assert_eq!(one.send_to(&vec![0; 70_000], to).unwrap_err().raw_os_error(), Some(90));
    });
}

#[test]
fn a_connected_udp_socket_hears_its_peer_alone() {
    test(|| {
        let ((one, at_one), (other, at_other), (stranger, _)) = (udp(), udp(), udp());
        one.connect(at_other).unwrap();
        stranger.send_to(b"not heard", at_one).unwrap();
        other.send_to(b"heard", at_one).unwrap();
        let mut buf = [0; 16];
        assert_eq!(one.recv(&mut buf).unwrap(), 5);
        assert_eq!(one.send(b"back").unwrap(), 4);
        assert_eq!(other.recv_from(&mut buf).unwrap(), (4, at_one));
        assert!(other.send(b"to whom").is_err());
        // This one hears its peer alone too: for others nobody is at its port, and nobody gets that meanwhile.
        let (deaf, at_deaf) = udp();
        deaf.connect(at_other).unwrap();
        one.connect(at_deaf).unwrap();
        one.send(b"?").unwrap();
        assert_eq!(one.recv(&mut buf).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(format!("{one:?}").contains("127.0.0.1"));
        let taken = UdpSocket::bind(at_other).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_receive_that_is_killed_or_late_loses_no_datagram() {
    test(|| {
        let ((one, _), (other, to)) = (udp(), udp());
        let theirs = other.clone();
        let victim = waiting(move || theirs.recv(&mut [0; 8]));
        victim.kill();
        let theirs = other.clone();
        let late = green::spawn(move || green::with_timeout(SHORT, || theirs.recv(&mut [0; 8])).is_err());
        assert!(late.get().unwrap());
        one.send_to(b"x", to).unwrap();
        assert_eq!(other.recv(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn unix_streams_meet_at_a_path_or_an_abstract_name() {
    test(|| {
        for is_abstract in [true, false] {
            let path = name(is_abstract);
            let missing = UnixStream::connect(&path).unwrap_err().kind();
            assert_eq!(missing, if is_abstract { ErrorKind::ConnectionRefused } else { ErrorKind::NotFound });
            let listener = Arc::new(UnixListener::bind(&path, 4).unwrap());
            assert_eq!(listener.local_addr().unwrap(), path);
            assert_eq!(path.exists(), !is_abstract);
            assert_eq!(UnixListener::bind(&path, 4).unwrap_err().kind(), ErrorKind::AddrInUse);
            let accepting = Arc::clone(&listener);
            let echo = waiting(move || {
                let mut stream = accepting.accept().unwrap();
                let mut data = Vec::new();
                stream.read_to_end(&mut data).unwrap();
                stream.write_all(&data).unwrap();
            });
            until_it(echo.coroutine(), AWAITS);
            let mut stream = UnixStream::connect(&path).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), path);
            assert_eq!(stream.local_addr().unwrap(), PathBuf::new());
            stream.write_all(&[7; 300_000]).unwrap();
            stream.shutdown_write();
            let mut data = Vec::new();
            stream.read_to_end(&mut data).unwrap();
            assert_eq!(data, [7; 300_000]);
            echo.get().unwrap();
            let accepting = Arc::clone(&listener);
            let waits = waiting(move || accepting.accept().map(drop));
            listener.close();
            listener.close();
            assert_eq!(waits.get().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
            assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            let _ = std::fs::remove_file(&path);
        }
    });
}

#[test]
fn a_full_backlog_is_waited_for() {
    test(|| {
        let path = name(true);
        let listener = UnixListener::bind(&path, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let theirs = path.clone();
        let second = waiting(move || UnixStream::connect(&theirs).map(drop));
        assert!(!second.join_timeout(SHORT));
        drop(listener.accept().unwrap());
        second.get().unwrap().unwrap();
        // The second still stands in the backlog.
        let late = green::spawn(move || green::with_timeout(SHORT, || UnixStream::connect(&path)).is_err());
        assert!(late.get().unwrap());
    });
}

#[test]
fn a_socketpair_is_two_ends_of_one_stream() {
    test(|| {
        let (mut one, mut other) = green::socketpair().unwrap();
        let reader = waiting(move || {
            let mut said = String::new();
            other.read_to_string(&mut said).map(|_| said)
        });
        until_it(reader.coroutine(), AWAITS);
        one.write_all(b"through the pair").unwrap();
        drop(one);
        assert_eq!(reader.get().unwrap().unwrap(), "through the pair");
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!((one.local_addr().unwrap(), one.peer_addr().unwrap()), (PathBuf::new(), PathBuf::new()));
        let waits = waiting(move || (&other).read(&mut [0; 8]));
        one.shutdown();
        assert_eq!(waits.get().unwrap().unwrap(), 0);
        assert!((&one).write(b"x").is_err());
    });
}

#[test]
fn unix_datagrams_have_addresses_too() {
    test(|| {
        for is_abstract in [true, false] {
            let (at_one, at_other) = (name(is_abstract), name(is_abstract));
            let (one, other) = (UnixDatagram::bind(&at_one).unwrap(), UnixDatagram::bind(&at_other).unwrap());
            assert_eq!(one.local_addr().unwrap(), at_one);
            assert_eq!(one.send_to(b"ping", &at_other).unwrap(), 4);
            let mut buf = [0; 16];
            assert_eq!(other.recv_from(&mut buf).unwrap(), (4, at_one.clone()));
            let nameless = UnixDatagram::unbound().unwrap();
            nameless.connect(&at_other).unwrap();
            assert_eq!(nameless.send(b"who").unwrap(), 3);
            assert_eq!(other.recv_from(&mut buf).unwrap(), (3, PathBuf::new()));
            assert!(one.send_to(b"x", name(is_abstract)).is_err());
            assert!(UnixDatagram::bind(&at_one).is_err());
            for path in [at_one, at_other] {
                let _ = std::fs::remove_file(path);
            }
        }
        let (one, other) = UnixDatagram::pair().unwrap();
        let reader = waiting(move || other.recv(&mut [0; 16]));
        assert_eq!(one.send(b"hi").unwrap(), 2);
        assert_eq!(reader.get().unwrap().unwrap(), 2);
    });
}

#[test]
fn a_datagram_for_a_full_receiver_waits_for_room() {
    test(|| {
        let path = name(true);
        let (receiver, sent) = (UnixDatagram::bind(&path).unwrap(), Count::default());
        let counts = sent.clone();
        let sender = waiting(move || {
            let socket = UnixDatagram::unbound().unwrap();
            for _ in 0..1000 {
                socket.send_to(b"x", &path).unwrap();
                counts.up();
            }
        });
        comes_true(|| sender.coroutine().activity() == "sleeps");
        assert!(sent.get() < 1000);
        for _ in 0..1000 {
            receiver.recv(&mut [0; 4]).unwrap();
        }
        sender.get().unwrap();
    });
}

#[test]
fn connect_has_a_time_limit() {
    test(|| {
        let reserved = ReservedPort::new();
        let address = reserved.address;
        let listener = TcpListener::bind(address, 4).unwrap();
        let stream = TcpStream::connect_timeout(address, LONG).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(listener);
        let refused = TcpStream::connect_timeout(address, LONG).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // A listener whose backlog is full takes no more: the connect is not answered.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let waits = move || TcpStream::connect_timeout(address, SHORT);
        let held: Vec<_> = (0..4).map(|_| waits()).collect();
        let late = held.into_iter().find_map(Result::err).unwrap();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        let begun = Instant::now();
        assert_eq!(green::run(waits).map(drop).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() < LONG);
        assert!(TcpStream::connect_timeout("no such name.invalid:1", LONG).is_err());
    });
}

#[test]
fn an_address_that_does_not_answer_holds_up_none_that_does() {
    test(|| {
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let _held: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(silent, SHORT)).collect();
        let listener = TcpListener::bind("127.0.0.1:0", 4).unwrap();
        let reserved = ReservedPort::new();
        let closed = reserved.address;
        let addresses = [closed, silent, listener.local_addr()];
        struct Several([SocketAddr; 3]);
        impl std::net::ToSocketAddrs for Several {
            type Iter = std::array::IntoIter<SocketAddr, 3>;

            fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
                Ok(self.0.into_iter())
            }
        }
        let begun = Instant::now();
        let stream = TcpStream::connect(Several(addresses)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr());
        assert!(begun.elapsed() < LONG / 2);
        let failed = TcpStream::connect(Several([closed; 3])).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_datagram_server_answers_each_from_its_own_coroutine() {
    test(|| {
        let server = DatagramServer::bind("127.0.0.1:0").unwrap().max_handlers(2);
        assert_eq!(server.socket().local_addr().unwrap(), server.local_addr());
        let (open, waits) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let gate = Arc::clone(&open);
        waits.set();
        server
            .start(move |socket, data, peer| {
                match &data[..] {
                    b"wait" => gate.wait(),
                    b"panic" => std::panic::resume_unwind(Box::new("on purpose")),
                    b"fail" => return Err(ErrorKind::Other.into()),
                    _ => {}
                }
                socket.send_to(&data.to_ascii_uppercase(), peer).map(drop)
            })
            .unwrap();
        assert_eq!(server.start(|_, _, _| Ok(())).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let (client, _) = udp();
        for data in ["panic", "fail", "wait", "hello"] {
            client.send_to(data.as_bytes(), server.local_addr()).unwrap();
        }
        let mut buf = [0; 16];
        assert_eq!(client.recv_from(&mut buf).unwrap(), (5, server.local_addr()));
        assert_eq!(&buf[..5], b"HELLO", "one that waits holds up no other");
        open.set();
        assert_eq!(client.recv(&mut buf).unwrap(), 4);
        assert!(server.stop(LONG) && server.stop(LONG));
        client.send_to(b"kept", server.local_addr()).unwrap();
        server.start(|socket, data, peer| socket.send_to(&data, peer).map(drop)).unwrap();
        assert_eq!(client.recv(&mut buf).unwrap(), 4, "the system keeps what comes meanwhile");
        server.stop(LONG);
    });
}

#[test]
fn a_datagram_server_that_is_stopped_kills_what_is_left() {
    test(|| {
        let (server, begun) = (DatagramServer::bind("127.0.0.1:0").unwrap(), Arc::new(Event::new()));
        let tells = Arc::clone(&begun);
        let theirs = server.clone();
        let serving = waiting(move || {
            theirs.serve(move |_, _, _| {
                tells.set();
                green::sleep(LONG);
                Ok(())
            })
        });
        let (client, _) = udp();
        comes_true(|| {
            client.send_to(b"x", server.local_addr()).unwrap();
            begun.is_set()
        });
        let stopped = Instant::now();
        assert!(!server.stop(SHORT));
        assert!(stopped.elapsed() < LONG / 2);
        serving.get().unwrap().unwrap();
    });
}

#[test]
fn a_datagram_server_serves_a_unix_socket_too() {
    test(|| {
        for is_abstract in [true, false] {
            let (at, ours) = (name(is_abstract), name(is_abstract));
            let server = DatagramServer::bind_unix(&at).unwrap();
            assert_eq!(
                (server.local_addr(), server.socket().local_addr().unwrap()),
                (at.clone(), at.clone())
            );
            server
                .start(|socket, data, peer| socket.send_to(&data.to_ascii_uppercase(), peer).map(drop))
                .unwrap();
            let client = UnixDatagram::bind(&ours).unwrap();
            client.send_to(b"hello", &at).unwrap();
            let mut buf = [0; 16];
            assert_eq!(client.recv_from(&mut buf).unwrap(), (5, at.clone()));
            assert_eq!(&buf[..5], b"HELLO");
            // Nobody is there to be answered: the handler fails, and the server goes on.
            UnixDatagram::unbound().unwrap().send_to(b"nobody", &at).unwrap();
            client.send_to(b"again", &at).unwrap();
            assert_eq!(client.recv(&mut buf).unwrap(), 5);
            assert!(format!("{server:?}").contains("zinx-"));
            assert_eq!(DatagramServer::bind_unix(&at).unwrap_err().kind(), ErrorKind::AddrInUse);
            assert!(server.clone().stop(LONG));
            for path in [at, ours] {
                let _ = std::fs::remove_file(path);
            }
        }
    });
}

/// `spawn=Pool(n)`.
#[test]
fn servers_share_the_places_of_a_pool_and_their_handlers_are_its_members() {
    test(|| {
        let (pool, open, begun) = (Pool::new(2), Arc::new(Event::new()), Count::default());
        let handler = || {
            let (gate, counts) = (Arc::clone(&open), begun.clone());
            move || {
                counts.up();
                gate.wait();
                Ok(())
            }
        };
        let (one, other) = (handler(), handler());
        let first = StreamServer::bind("127.0.0.1:0").unwrap().pool(&pool);
        let second = StreamServer::bind("127.0.0.1:0").unwrap().pool(&pool);
        let datagrams = DatagramServer::bind("127.0.0.1:0").unwrap().pool(&pool);
        first.start(move |_, _| one()).unwrap();
        second.start(move |_, _| other()).unwrap();
        let third = handler();
        datagrams.start(move |_, _, _| third()).unwrap();
        let _a = TcpStream::connect(first.local_addr()).unwrap();
        let _b = TcpStream::connect(second.local_addr()).unwrap();
        comes_true(|| begun.get() == 2);
        comes_true(|| pool.len() == 2);
        assert!(pool.is_full() && pool.free_count() == 0);
        let (client, _) = udp();
        client.send_to(b"waits for a place", datagrams.local_addr()).unwrap();
        let _c = TcpStream::connect(first.local_addr()).unwrap();
        assert!(!pool.join_timeout(SHORT));
        assert_eq!(begun.get(), 2, "the others wait for a place");
        // Stopped, a server ends its own handlers, and nobody else's.
        assert!(!second.stop(Duration::ZERO));
        comes_true(|| begun.get() == 3);
        open.set();
        comes_true(|| begun.get() == 4);
        assert!(first.stop(LONG) && datagrams.stop(LONG));
        pool.join();
        assert_eq!((pool.len(), pool.free_count()), (0, 2));
    });
}

#[test]
fn a_server_without_a_peer_takes_no_place_of_a_shared_pool() {
    test(|| {
        let pool = Pool::new(1);
        let servers = [(); 3].map(|()| StreamServer::bind("127.0.0.1:0").unwrap().pool(&pool));
        servers.iter().for_each(|server| server.start(|mut stream, _| stream.write_all(b"hello")).unwrap());
        for server in servers.iter().chain(servers.iter().rev()) {
            let mut said = String::new();
            TcpStream::connect(server.local_addr()).unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "hello");
        }
        comes_true(|| pool.free_count() == 1);
    });
}

#[test]
fn a_pool_that_is_killed_ends_the_handlers_of_its_servers_which_go_on() {
    test(|| {
        let (pool, begun) = (Pool::new(1), Count::default());
        let server = StreamServer::bind("127.0.0.1:0").unwrap().pool(&pool);
        let counts = begun.clone();
        server
            .start(move |_, _| {
                counts.up();
                Event::new().wait();
                Ok(())
            })
            .unwrap();
        for n in 1..=2 {
            let mut client = TcpStream::connect(server.local_addr()).unwrap();
            comes_true(|| begun.get() == n && pool.len() == 1);
            pool.kill();
            assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
        }
        server.stop(LONG);
    });
}

#[test]
fn a_stream_server_serves_stops_and_serves_again() {
    test(|| {
        let port = ReservedPort::new();
        let server = StreamServer::bind(port.address).unwrap().backlog(8).unwrap().max_conns(1);
        server.start(|mut stream, _| stream.write_all(b"hello")).unwrap();
        let said = |server: &StreamServer| {
            let mut said = String::new();
            TcpStream::connect(server.local_addr())
                .and_then(|mut stream| stream.read_to_string(&mut said))?;
            Ok::<_, std::io::Error>(said)
        };
        assert_eq!(said(&server).unwrap(), "hello");
        server.stop_accepting();
        server.stop_accepting();
        assert_eq!(said(&server).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        server.restart().unwrap();
        server.restart().unwrap();
        assert_eq!(said(&server).unwrap(), "hello");
        assert!(server.stop(LONG));
        server.restart().unwrap();
        assert_eq!(said(&server).unwrap(), "hello");
        assert!(server.stop(LONG) && server.is_empty());
    });
}

#[test]
fn a_stream_server_that_is_full_lets_others_wait_and_then_serves_them() {
    test(|| {
        let (server, begun) = (StreamServer::bind("127.0.0.1:0").unwrap().max_conns(1), Count::default());
        let open = Arc::new(Queue::<()>::unbounded());
        let (gate, counts) = (Arc::clone(&open), begun.clone());
        server
            .start(move |_, _| {
                counts.up();
                gate.get();
                Ok(())
            })
            .unwrap();
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(server.local_addr()).unwrap()).collect();
        for n in 1..=3 {
            comes_true(|| begun.get() == n);
            assert_eq!(server.len(), 1);
            open.put(()).unwrap();
            let mut client = &clients[n - 1];
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "closed when the handler returns");
            client.shutdown_write();
        }
        assert!(server.stop(LONG));
    });
}

#[test]
fn stop_of_a_stream_server_kills_the_handlers_that_are_left() {
    test(|| {
        let (server, ended, begun) =
            (StreamServer::bind("127.0.0.1:0").unwrap(), Count::default(), Arc::new(Event::new()));
        struct Ends(Count);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.up();
            }
        }
        let (counts, tells) = (ended.clone(), Arc::clone(&begun));
        server
            .start(move |_, _| {
                let _ends = Ends(counts.clone());
                tells.set();
                // It looks at no socket.
                Event::new().wait();
                Ok(())
            })
            .unwrap();
        let client = TcpStream::connect(server.local_addr()).unwrap();
        begun.wait();
        let stopped = Instant::now();
        assert!(!server.stop(Duration::ZERO));
        assert_eq!(ended.get(), 1);
        assert!(stopped.elapsed() < LONG / 2);
        assert_eq!((&client).read(&mut [0; 1]).unwrap_or(0), 0);
        server.join();
    });
}

#[test]
fn getaddrinfo_answers_off_the_workers() {
    test(|| {
        let found = green::resolve("localhost", 80).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert_eq!(green::resolve("127.0.0.1", 1).unwrap(), [SocketAddr::from(([127, 0, 0, 1], 1))]);
    });
}
