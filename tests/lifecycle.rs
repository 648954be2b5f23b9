//! A connection and a server from their beginning to their end: hooks, panics, closes, resets.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::{Event, Queue};
use zinx::ziface::{CloseReason, IConnection, IRequest, IServer};
use zinx::{Config, Error, Server, new_server_with_config};

// Faults.

#[test]
fn reset_during_a_handler_ends_its_sending_with_an_error() {
    within(30, || {
        let (errors, reasons) = (Arc::new(Queue::bounded(4)), Arc::new(Queue::bounded(4)));
        let (theirs, ended) = (Arc::clone(&errors), Arc::clone(&reasons));
        let running = Running::start(|server| {
            server
                .add_router(1, move |request: &dyn IRequest| {
                    loop {
                        if let Err(error) = request.get_connection().send_msg(1, &[7; 1000]) {
                            theirs.put(error.to_string()).unwrap();
                            return Ok(());
                        }
                    }
                })
                .unwrap();
            server.set_on_conn_stop(move |conn| {
                ended.put(conn.get_close_reason()).map_err(|_| Error::ConnectionClosed)
            });
        });
        let mut peer = running.connect();
        peer.send(1, b"");
        peer.recv();
        peer.reset();
        assert_eq!(errors.get_timeout(LONG).unwrap(), Error::ConnectionClosed.to_string());
        let reason = reasons.get_timeout(LONG).unwrap();
        assert!(matches!(reason, Some(CloseReason::Failed { .. })), "{reason:?}");
        let stats = running.stop();
        assert_eq!((stats.start_hooks, stats.stop_hooks), (1, 1));
        assert!(reasons.is_empty());
    });
}

#[test]
fn ten_thousand_resets_leave_hooks_paired_and_no_descriptor() {
    alone_within(120, || {
        // The runtime has its descriptors from here on.
        Running::start(echo).connect().echo(b"warm");
        let before = open_files();
        let running = Running::start(echo);
        let mut healthy = running.connect();
        for n in 0..10_000 {
            running.connect().reset();
            if n % 1000 == 0 {
                healthy.echo(b"beside");
            }
        }
        // Connections are accepted in order: once this one is answered, all before it have begun.
        running.connect().echo(b"last");
        healthy.echo(b"beside");
        drop(healthy);
        let stats = running.stop();
        assert_eq!((stats.accepted, stats.start_hooks, stats.stop_hooks), (10_002, 10_002, 10_002));
        assert_eq!(stats.refused, 0);
        assert_eq!(open_files(), before);
    });
}

#[test]
fn panic_in_a_handler_ends_that_connection_only() {
    within(30, || {
        let reasons = Arc::new(Queue::bounded(4));
        let theirs = Arc::clone(&reasons);
        let running = Running::start(|server| {
            echo(server);
            server.add_router(2, |_: &dyn IRequest| -> zinx::Result<()> { panic!("on purpose") }).unwrap();
            server.set_on_conn_stop(move |conn| {
                theirs.put(conn.get_close_reason()).unwrap();
                Ok(())
            });
        });
        let (mut healthy, mut victim) = (running.connect(), running.connect());
        healthy.echo(b"before");
        victim.echo(b"before");
        victim.send(1, b"due");
        victim.send(2, b"");
        assert_eq!(victim.recv(), (1, b"due".to_vec()));
        assert_eq!(victim.rest(), b"");
        assert_eq!(reasons.get_timeout(LONG).unwrap(), Some(CloseReason::HandlerPanicked { msg_id: 2 }));
        healthy.echo(b"after");
        running.connect().echo(b"new");
        assert_eq!(running.server.stats().handler_panics, 1);
        drop(healthy);
        let stats = running.stop();
        assert_eq!((stats.start_hooks, stats.stop_hooks), (3, 3));
    });
}

#[test]
fn panics_in_hooks_are_contained_and_the_clean_up_runs() {
    within(30, || {
        let closed = Arc::new(Queue::bounded(4));
        let theirs = Arc::clone(&closed);
        let running = Running::start(|server| {
            echo(server);
            server.set_on_conn_start(|conn| {
                assert_ne!(conn.get_conn_id(), 0, "on purpose");
                Ok(())
            });
            server.set_on_conn_stop(move |conn| {
                theirs.put(Arc::clone(conn)).unwrap();
                panic!("on purpose")
            });
        });
        assert_eq!(running.connect().rest(), b"", "the start hook panics, the connection ends");
        let first = closed.get_timeout(LONG).unwrap();
        assert!(first.wait_closed(LONG).unwrap());
        assert_eq!(first.get_close_reason(), Some(CloseReason::StartHookFailed));

        let mut second = running.connect();
        second.echo(b"the server lives");
        second.finish();
        assert_eq!(second.rest(), b"", "the stop hook panics, the end of stream comes all the same");
        let second = closed.get_timeout(LONG).unwrap();
        assert!(second.wait_closed(LONG).unwrap());
        assert_eq!(second.get_close_reason(), Some(CloseReason::PeerClosed));

        assert!(running.server.get_conn_mgr().is_empty());
        running.connect().echo(b"and goes on");
        let stats = running.stop();
        assert_eq!((stats.start_hooks, stats.stop_hooks, stats.hook_panics), (3, 3, 4));
    });
}

#[test]
fn an_error_of_the_start_hook_closes_the_connection() {
    within(30, || {
        let running = Running::start(|server| {
            echo(server);
            server.set_on_conn_start(|_| Err(Error::other("not today")));
        });
        let mut peer = running.connect();
        assert_eq!(peer.rest(), b"");
        assert_eq!(running.stop().stop_hooks, 1);
    });
}

// Closes.

#[test]
fn sending_after_the_close_is_an_error_at_once() {
    within(30, || {
        let (running, conns) = running_that_hands_out_connections();
        let _peer = running.connect();
        let conn = conns.get_timeout(LONG).unwrap();
        assert!(conn.is_alive());
        conn.abort();
        assert!(conn.wait_closed(LONG).unwrap());
        assert!(!conn.is_alive());
        assert_eq!(conn.get_close_reason(), Some(CloseReason::Aborted));
        let start = Instant::now();
        for result in [conn.send_msg(1, "late"), conn.send_buff_msg(1, "late"), conn.try_send_msg(1, "late")]
        {
            assert!(matches!(result, Err(Error::ConnectionClosed)), "{result:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn three_closes_at_once_run_the_stop_hook_once() {
    within(60, || {
        let (running, conns) = running_that_hands_out_connections();
        for round in 1..=100 {
            let mut peer = running.connect();
            let conn = conns.get_timeout(LONG).unwrap();
            let barrier = Barrier::new(4);
            thread::scope(|scope| {
                for closer in 0..3 {
                    let (conn, barrier) = (&conn, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        if closer == round % 4 { conn.abort() } else { conn.stop() }
                    });
                }
                barrier.wait();
                peer.finish();
            });
            assert!(conn.wait_closed(LONG).unwrap());
            assert_eq!(running.server.stats().stop_hooks, round);
        }
        let stats = running.stop();
        assert_eq!((stats.start_hooks, stats.stop_hooks), (100, 100));
    });
}

#[test]
fn waiting_for_the_own_close_is_an_error() {
    within(30, || {
        let answers = Arc::new(Queue::bounded(4));
        let asked = |answers: &Arc<Queue<zinx::Result<bool>>>| {
            let theirs = Arc::clone(answers);
            move |conn: &Arc<dyn IConnection>| {
                theirs.put(conn.wait_closed(LONG)).unwrap();
                Ok(())
            }
        };
        let in_handler = asked(&answers);
        let running = Running::start(|server| {
            server.set_on_conn_start(asked(&answers));
            server.set_on_conn_stop(asked(&answers));
            server.add_router(1, move |request: &dyn IRequest| in_handler(request.get_connection())).unwrap();
        });
        let mut peer = running.connect();
        peer.send(1, b"");
        peer.finish();
        assert_eq!(peer.rest(), b"");
        for _ in 0..3 {
            let answer = answers.get_timeout(LONG).unwrap();
            assert!(matches!(answer, Err(Error::WouldDeadlock { .. })), "{answer:?}");
        }
    });
}

#[test]
fn waiting_for_the_close_of_an_open_connection_times_out() {
    within(30, || {
        let (running, conns) = running_that_hands_out_connections();
        let _peer = running.connect();
        let conn = conns.get_timeout(LONG).unwrap();
        assert!(!conn.wait_closed(Duration::from_millis(5)).unwrap());
        assert_eq!(conn.get_close_reason(), None);
    });
}

#[test]
fn requests_read_before_a_stop_are_all_answered() {
    within(30, || {
        let running = Running::start(|server| {
            server
                .add_router(1, |request: &dyn IRequest| {
                    request.get_connection().stop();
                    request.get_connection().send_msg(1, request.get_data())
                })
                .unwrap();
        });
        let mut peer = running.connect();
        let requests: Vec<u8> = (0..100u32).flat_map(|n| frame(1, &n.to_le_bytes())).collect();
        peer.0.write_all(&requests).unwrap();
        assert_eq!(peer.rest(), requests);
    });
}

// Hooks.

#[test]
fn hooks_frame_the_handlers() {
    within(30, || {
        let (steps, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Event::new()));
        let note = |steps: &Arc<Mutex<Vec<String>>>| {
            let steps = Arc::clone(steps);
            move |step: &str| steps.lock().unwrap().push(step.to_string())
        };
        let (start, handler, stop) = (note(&steps), note(&steps), note(&steps));
        let theirs = Arc::clone(&sent);
        let running = Running::start(|server| {
            server.set_on_conn_start(move |_| {
                assert!(theirs.wait_timeout(LONG));
                start("start");
                Ok(())
            });
            server.set_on_conn_stop(move |_| {
                stop("stop");
                Ok(())
            });
            server
                .add_router(1, move |request: &dyn IRequest| {
                    zinx::green::yield_now();
                    handler(std::str::from_utf8(request.get_data()).unwrap());
                    Ok(())
                })
                .unwrap();
        });
        let mut peer = running.connect();
        for request in ["1", "2", "3"] {
            peer.send(1, request.as_bytes());
        }
        peer.finish();
        sent.set();
        assert_eq!(peer.rest(), b"");
        assert_eq!(*steps.lock().unwrap(), ["start", "1", "2", "3", "stop"]);
    });
}

#[test]
fn last_words_of_the_stop_hook_are_delivered() {
    within(30, || {
        let running = Running::start(|server| {
            echo(server);
            server.set_on_conn_stop(|conn| {
                assert!(conn.is_alive());
                for _ in 0..500 {
                    conn.send_msg(9, &[9; 1000])?;
                }
                conn.send_msg(10, "bye")
            });
        });
        let mut peer = running.connect();
        peer.send(1, b"request");
        peer.finish();
        assert_eq!(peer.recv(), (1, b"request".to_vec()));
        for _ in 0..500 {
            assert_eq!(peer.recv(), (9, vec![9; 1000]));
        }
        assert_eq!(peer.recv(), (10, b"bye".to_vec()));
        assert_eq!(peer.rest(), b"");
        let stats = running.stop();
        assert_eq!((stats.unsent_messages, stats.unsent_bytes), (0, 0));
    });
}

#[test]
fn last_words_are_delivered_also_when_the_server_stops() {
    within(30, || {
        let running = Running::start(|server| {
            echo(server);
            server.set_on_conn_stop(|conn| conn.send_msg(10, "bye"));
        });
        let mut peer = running.connect();
        peer.echo(b"begun");
        running.server.stop();
        assert_eq!(peer.recv(), (10, b"bye".to_vec()));
        assert_eq!(peer.rest(), b"");
        drop(peer);
        running.stop();
    });
}

// State.

#[test]
fn properties_hold_values_of_any_type() {
    #[derive(Debug, PartialEq)]
    struct Player {
        name: String,
    }
    within(30, || {
        let (running, conns) = running_that_hands_out_connections();
        let _peer = running.connect();
        let conn = conns.get_timeout(LONG).unwrap();
        assert!(conn.get_property("player").is_none());
        conn.set_property("player", Arc::new(Player { name: "ann".to_string() }));
        conn.set_property("score", Arc::new(7u64));
        conn.set_property("closure", Arc::new(Mutex::new(vec!["any", "type"])));
        assert_eq!(conn.get_property_as::<Player>("player").unwrap().name, "ann");
        assert_eq!(conn.get_property_as::<u64>("score").as_deref(), Some(&7));
        assert_eq!(conn.get_property_as::<u32>("score"), None, "another type");
        assert!(conn.get_property_as::<Mutex<Vec<&str>>>("closure").is_some());
        conn.set_property("score", Arc::new("text"));
        assert_eq!(conn.get_property_as::<&str>("score").as_deref(), Some(&"text"));
        conn.remove_property("score");
        conn.remove_property("score");
        assert!(conn.get_property("score").is_none());
        conn.abort();
        assert!(conn.wait_closed(LONG).unwrap());
        assert!(conn.get_property_as::<Player>("player").is_some(), "also past the end");
    });
}

#[test]
fn a_property_may_use_its_connection_when_dropped() {
    struct Guard(Arc<dyn IConnection>, Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            assert!(self.0.get_property("other").is_some());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    within(30, || {
        let (running, conns) = running_that_hands_out_connections();
        let _peer = running.connect();
        let conn = conns.get_timeout(LONG).unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        conn.set_property("other", Arc::new(()));
        for _ in 0..2 {
            conn.set_property("guard", Arc::new(Guard(Arc::clone(&conn), Arc::clone(&dropped))));
        }
        conn.remove_property("guard");
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn ids_count_from_zero_and_are_never_reused() {
    within(30, || {
        let (running, conns) = running_that_hands_out_connections();
        for id in 0..5 {
            let mut peer = running.connect();
            let conn = conns.get_timeout(LONG).unwrap();
            assert_eq!(conn.get_conn_id(), id);
            assert_eq!(conn.get_remote_addr(), peer.0.local_addr().unwrap());
            assert_eq!(conn.get_local_addr(), running.address());
            assert!(running.server.get_conn_mgr().get(id).is_some());
            peer.finish();
            assert!(conn.wait_closed(LONG).unwrap());
            assert!(running.server.get_conn_mgr().get(id).is_none());
        }
    });
}

// Servers.

#[test]
fn stopping_a_server_twice_is_stopping_it_once() {
    within(30, || {
        let running = Running::start(echo);
        let mut peer = running.connect();
        peer.echo(b"begun");
        running.server.stop();
        running.server.stop();
        assert_eq!(peer.rest(), b"");
        drop(peer);
        assert!(running.server.wait_stopped(LONG));
        running.server.stop();
        assert!(TcpStream::connect(running.address()).is_err(), "the port is closed");
        assert_eq!(running.stop().stop_hooks, 1);
    });
}

#[test]
fn a_server_stopped_before_its_start_cannot_start() {
    within(30, || {
        let server = new_server_with_config(config()).unwrap();
        assert!(!server.wait_stopped(Duration::from_millis(1)));
        server.stop();
        assert!(server.wait_stopped(LONG));
        assert!(matches!(server.start(), Err(Error::Stopped)));
        assert!(matches!(server.serve(), Err(Error::Stopped)));
        assert_eq!(server.local_addr(), None);
    });
}

#[test]
fn starting_a_server_twice_is_an_error() {
    within(30, || {
        let running = Running::start(echo);
        assert!(matches!(running.server.start(), Err(Error::AlreadyStarted { .. })));
        let late = running.server.add_router(3, |_: &dyn IRequest| Ok(()));
        assert!(matches!(late, Err(Error::AlreadyStarted { .. })));
        running.connect().echo(b"still there");
        running.server.stop();
        assert!(running.server.wait_stopped(LONG));
        assert!(matches!(running.server.start(), Err(Error::Stopped)));
    });
}

#[test]
fn serve_returns_when_the_server_stops() {
    within(30, || {
        let server = new_server_with_config(config()).unwrap();
        let theirs = server.clone();
        let serving = thread::spawn(move || theirs.serve());
        // Stopped before or after its start: either is an end.
        let address = loop {
            if let Some(address) = server.local_addr() {
                break address;
            }
            thread::yield_now();
        };
        let peer = Peer::connect(address);
        server.stop();
        drop(peer);
        assert!(serving.join().unwrap().is_ok());
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    within(30, || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut config = config();
        config.tcp_port = address.port();
        let error = new_server_with_config(config).unwrap().start().unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

#[test]
fn two_servers_cannot_share_a_port() {
    within(30, || {
        let running = Running::start(echo);
        let mut config = config();
        config.tcp_port = running.address().port();
        let second = new_server_with_config(config).unwrap();
        assert!(matches!(second.start(), Err(Error::Io { .. })));
        running.connect().echo(b"the first goes on");
    });
}

#[test]
fn a_repeated_router_is_an_error() {
    within(30, || {
        let server = new_server_with_config(config()).unwrap();
        server.add_router(5, |_: &dyn IRequest| Ok(())).unwrap();
        let again = server.add_router(5, |_: &dyn IRequest| Ok(()));
        assert!(matches!(again, Err(Error::RepeatedRouter { msg_id: 5 })), "{again:?}");
    });
}

// Helpers.

const LONG: Duration = Duration::from_secs(20);

/// Lets one test be alone in the process: it counts descriptors.
static PROCESS: RwLock<()> = RwLock::new(());

/// Runs a test, and fails it where it takes longer than this.
fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    run(seconds, test);
}

/// As [`within`], while no other test of this file runs.
fn alone_within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let _alone = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    run(seconds, test);
}

fn run(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        let _done = done;
        test();
    });
    // Nothing is sent: the channel closes when the test ends, also by a panic.
    let late = ended.recv_timeout(Duration::from_secs(seconds)) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!late, "not done within {seconds} s");
    if let Err(payload) = running.join() {
        std::panic::resume_unwind(payload);
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.tcp_port = 0;
    config.handle_signals = false;
    if let Ok(workers) = std::env::var("ZINX_TEST_WORKERS") {
        config.workers = workers.parse().unwrap();
    }
    config
}

fn echo(server: &Server) {
    server
        .add_router(1, |request: &dyn IRequest| request.get_connection().send_msg(1, request.get_data()))
        .unwrap();
}

/// An echo server whose start hook hands out the connections.
fn running_that_hands_out_connections() -> (Running, Arc<Queue<Arc<dyn IConnection>>>) {
    let conns = Arc::new(Queue::bounded(8));
    let theirs = Arc::clone(&conns);
    let running = Running::start(|server| {
        echo(server);
        server.set_on_conn_start(move |conn| {
            theirs.put(Arc::clone(conn)).unwrap();
            Ok(())
        });
    });
    (running, conns)
}

/// A server that stops at the end of the test.
struct Running {
    server: Server,
}

impl Running {
    fn start(set_up: impl FnOnce(&Server)) -> Self {
        let server = new_server_with_config(config()).unwrap();
        set_up(&server);
        server.start().unwrap();
        Self { server }
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addr().unwrap()
    }

    fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Stops the server, waits for its end, and returns what it has counted.
    fn stop(self) -> zinx::znet::Stats {
        self.server.stop();
        assert!(self.server.wait_stopped(LONG), "the server has not stopped");
        self.server.stats()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop();
        let stopped = self.server.wait_stopped(LONG);
        assert!(stopped || thread::panicking(), "the server has not stopped");
    }
}

/// A raw client.
struct Peer(TcpStream);

impl Peer {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, id: u32, data: &[u8]) {
        self.0.write_all(&frame(id, data)).unwrap();
    }

    fn recv(&mut self) -> (u32, Vec<u8>) {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).unwrap();
        let (len, id) = head.split_at(4);
        let mut data = vec![0; u32::from_le_bytes(len.try_into().unwrap()) as usize];
        self.0.read_exact(&mut data).unwrap();
        (u32::from_le_bytes(id.try_into().unwrap()), data)
    }

    fn echo(&mut self, data: &[u8]) {
        self.send(1, data);
        assert_eq!(self.recv(), (1, data.to_vec()));
    }

    /// All that comes until the end of the stream.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Sends the end of stream.
    fn finish(&mut self) {
        // It may have ended from the other side already.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Ends the connection with a reset.
    fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn frame(id: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [&len.to_le_bytes(), &id.to_le_bytes(), data].concat()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
