//! The client: connecting, losing the connection, connecting again, stopping; errors are values throughout.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::coroutines::runtime;
use crate::common::port::ReservedPort;
use crate::common::{ECHO, Running, Watchdog, config, start, start_alone, wait_until};
use zinx::green;
use zinx::ziface::{CloseReason, IClient, IConnection, IRequest, IServer};
use zinx::znet::Reconnect;
use zinx::{Client, Error, new_client_with_config};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_client_talks_through_hooks_and_routers_in_order() {
    let running = start(config(), |_| {});
    let (client, received) = echo_client(&running);
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(ECHO, "from the hook"));
    client.start().unwrap();
    wait_until("the hook's echo", || !received.lock().unwrap().is_empty());
    let conn = client.conn().unwrap();
    for n in 0..2000 {
        conn.send_msg(ECHO, format!("message {n}")).unwrap();
    }
    wait_until("all echoes", || received.lock().unwrap().len() == 2001);
    let received = received.lock().unwrap();
    assert_eq!(received[0], "from the hook");
    assert!((0..2000).all(|n| received[n + 1] == format!("message {n}")));
    assert_eq!(conn.get_remote_addr(), running.server.local_addr().unwrap());
    stop(&client);
}

#[test]
fn a_host_name_is_resolved() {
    let running = start(config(), |_| {});
    let client = client("localhost", port(&running));
    client.start().unwrap();
    assert!(client.conn().unwrap().is_alive());
    stop(&client);
}

#[test]
fn a_name_that_does_not_exist_is_an_error() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let client = client("no-such-host.invalid", 7777);
    client.set_dial_timeout(Duration::from_secs(20));
    let error = client.start().unwrap_err().to_string();
    assert!(error.starts_with("connect no-such-host.invalid:7777: "), "{error}");
}

#[test]
fn where_nobody_listens_start_fails_and_restart_succeeds_later() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let port = ReservedPort::new();
    let client = client("127.0.0.1", port.number());
    let error = client.start().unwrap_err();
    assert!(
        matches!(&error, Error::Io { what, .. } if *what == format!("connect {}", port.address)),
        "{error}"
    );
    assert_eq!(client.get_err_chan().try_get().unwrap().to_string(), error.to_string());
    assert!(client.wait_stopped(SOON) && client.conn().is_none());
    assert!(matches!(client.start(), Err(Error::Stopped)));

    let running = start_at(&port);
    client.restart().unwrap();
    assert!(client.conn().unwrap().is_alive());
    stop(&client);
    drop(running);
}

#[test]
fn a_server_that_does_not_answer_costs_the_dial_timeout() {
    let hole = BlackHole::new();
    let client = client("127.0.0.1", hole.port());
    client.set_dial_timeout(Duration::from_millis(300));
    let begun = Instant::now();
    let error = client.start().unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
        "{error}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn stop_calls_off_a_connect_under_way() {
    let hole = BlackHole::new();
    let client = client("127.0.0.1", hole.port());
    client.set_dial_timeout(Duration::from_secs(3600));
    let theirs = client.clone();
    let starting = thread::spawn(move || theirs.start());
    wait_until("the connect", || hole.has_a_caller());
    stop(&client);
    assert!(matches!(starting.join().unwrap(), Err(Error::Stopped)));
}

#[test]
fn a_client_starts_and_stops_once() {
    let running = start(config(), |_| {});
    let (client, _) = echo_client(&running);
    client.start().unwrap();
    assert!(matches!(client.start(), Err(Error::AlreadyStarted { what: "start" })));
    let conn = client.conn().unwrap();
    stop(&client);
    stop(&client);
    assert_eq!(conn.get_close_reason(), Some(CloseReason::ClientStopped));
    assert!(client.conn().is_none());
    assert!(matches!(client.start(), Err(Error::Stopped)));
}

#[test]
fn without_reconnect_a_lost_connection_ends_the_client() {
    let running = start(config(), |server| {
        server
            .add_router(2, |request: &dyn IRequest| {
                request.get_connection().stop();
                Ok(())
            })
            .unwrap();
    });
    let (client, _) = echo_client(&running);
    client.start().unwrap();
    let conn = client.conn().unwrap();
    conn.send_msg(2, "").unwrap();
    assert!(client.wait_stopped(SOON));
    assert_eq!(conn.get_close_reason(), Some(CloseReason::PeerClosed));
}

#[test]
fn what_was_sent_before_stop_arrives() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let running = start(config(), move |server| {
        server
            .add_router(2, move |_: &dyn IRequest| {
                counted.fetch_add(1, Ordering::AcqRel);
                Ok(())
            })
            .unwrap();
    });
    let (client, _) = echo_client(&running);
    client.start().unwrap();
    let conn = client.conn().unwrap();
    for _ in 0..10_000 {
        conn.send_msg(2, [7; 100].as_slice()).unwrap();
    }
    stop(&client);
    assert_eq!(conn.get_unsent().messages, 0);
    wait_until("all messages", || seen.load(Ordering::Acquire) == 10_000);
}

#[test]
fn a_reconnecting_client_finds_a_server_that_comes_late_and_one_that_comes_back() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let port = ReservedPort::new();
    let client = client("127.0.0.1", port.number());
    client.set_reconnect(quick());
    client.start().unwrap();
    assert!(client.conn().is_none() || client.wait_connected(Duration::ZERO).is_none());
    wait_until("an attempt that fails", || !client.get_err_chan().is_empty());
    for _ in 0..2 {
        let running = start_at(&port);
        let conn = client.wait_connected(SOON).unwrap();
        drop(running);
        assert!(conn.wait_closed(SOON).unwrap());
    }
    stop(&client);
}

#[test]
fn a_client_gives_up_after_so_many_attempts() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client("127.0.0.1", listener.local_addr().unwrap().port());
    client.set_reconnect(Reconnect { attempts: 4, ..quick() });
    let accepted = thread::spawn(move || {
        let mut accepted = 0;
        listener.set_nonblocking(false).unwrap();
        while accepted < 4 {
            drop(listener.accept().unwrap());
            accepted += 1;
        }
        accepted
    });
    client.start().unwrap();
    assert!(client.wait_stopped(SOON));
    assert_eq!(accepted.join().unwrap(), 4);
}

#[test]
fn attempts_that_fail_count_however_short_the_longest_pause_is() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let port = ReservedPort::new();
    let client = client("127.0.0.1", port.number());
    let (first_pause, longest_pause) = (Duration::ZERO, Duration::ZERO);
    client.set_reconnect(Reconnect { first_pause, longest_pause, attempts: 3 });
    client.start().unwrap();
    assert!(client.wait_stopped(SOON));
    assert_eq!(std::iter::from_fn(|| client.get_err_chan().try_get().ok()).count(), 3);
}

#[test]
fn a_restart_within_a_pause_makes_one_connection_and_no_more() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let port = ReservedPort::new();
    let client = client("127.0.0.1", port.number());
    let long = Duration::from_secs(60);
    client.set_reconnect(Reconnect { first_pause: long, longest_pause: long, attempts: 0 });
    client.start().unwrap();
    wait_until("an attempt that fails", || !client.get_err_chan().is_empty());
    let _running = start_at(&port);
    client.restart().unwrap();
    client.wait_connected(SOON).unwrap().stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn after_a_restart_the_pause_of_a_lost_connection_is_a_whole_one() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let port = ReservedPort::new();
    let running = start_at(&port);
    let client = client("127.0.0.1", port.number());
    let long = Duration::from_secs(600);
    client.set_reconnect(Reconnect { first_pause: long, longest_pause: long, attempts: 2 });
    client.start().unwrap();
    client.restart().unwrap();
    wait_until("a second connection", || client.conn().is_some_and(|conn| conn.get_conn_id() == 1));
    let conn = client.conn().unwrap();
    drop(running);
    assert!(conn.wait_closed(SOON).unwrap());
    // A second failure would be the last.
    assert!(!client.wait_stopped(Duration::from_millis(300)), "there was no pause");
    stop(&client);
}

#[test]
fn a_connection_the_program_stops_is_not_made_again() {
    let running = start(config(), |_| {});
    let (client, _) = echo_client(&running);
    client.set_reconnect(quick());
    client.start().unwrap();
    client.conn().unwrap().stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn restart_makes_a_new_connection_also_from_a_handler() {
    let running = start(config(), |_| {});
    let hooks = Arc::new(AtomicUsize::new(0));
    let client = client("127.0.0.1", port(&running));
    let (counted, theirs) = (Arc::clone(&hooks), client.clone());
    client.set_on_conn_stop(move |_| {
        counted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    });
    client.add_router(ECHO, move |_: &dyn IRequest| theirs.restart()).unwrap();
    client.start().unwrap();
    let first = client.conn().unwrap();
    first.send_msg(ECHO, "restart, please").unwrap();
    wait_until("a second connection", || client.conn().is_some_and(|conn| conn.get_conn_id() == 1));
    assert_eq!(first.get_close_reason(), Some(CloseReason::ClientStopped));
    client.restart().unwrap();
    wait_until("a third connection", || client.conn().is_some_and(|conn| conn.get_conn_id() == 2));
    stop(&client);
    assert_eq!(hooks.load(Ordering::Acquire), 3);
    client.restart().unwrap();
    assert_eq!(client.conn().unwrap().get_conn_id(), 3);
    stop(&client);
}

#[test]
fn a_client_with_a_worker_pool_restarts_too() {
    let running = start(config(), |_| {});
    let mut pooled = config();
    pooled.worker_pool_size = 2;
    let client = new_client_with_config("127.0.0.1", port(&running), pooled).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    client
        .add_router(ECHO, move |_: &dyn IRequest| {
            counted.fetch_add(1, Ordering::AcqRel);
            Ok(())
        })
        .unwrap();
    client.start().unwrap();
    for round in 1..=3 {
        client.conn().unwrap().send_msg(ECHO, "hello").unwrap();
        wait_until("the echo", || seen.load(Ordering::Acquire) == round);
        stop(&client);
        client.restart().unwrap();
    }
    stop(&client);
}

#[test]
fn a_client_works_on_a_coroutine_too() {
    let running = start(config(), |_| {});
    let (client, received) = echo_client(&running);
    let theirs = client.clone();
    green::run(move || {
        theirs.start().unwrap();
        theirs.conn().unwrap().send_msg(ECHO, "hello").unwrap();
    });
    wait_until("the echo", || received.lock().unwrap().len() == 1);
    stop(&client);
}

#[test]
fn stopping_its_server_view_stops_the_client() {
    let running = start(config(), |_| {});
    let (client, _) = echo_client(&running);
    client.start().unwrap();
    let server = client.conn().unwrap().get_tcp_server();
    assert!(matches!(server.start(), Err(Error::AlreadyStarted { .. })));
    assert_eq!((server.local_addr(), server.get_conn_mgr().len()), (None, 1));
    server.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_start_that_is_killed_or_out_of_time_stops_its_client() {
    runtime();
    let silent = BlackHole::new();
    for kill in [true, false] {
        let client = client("127.0.0.1", silent.port());
        client.set_dial_timeout(Duration::MAX);
        let theirs = client.clone();
        let starting = green::spawn(move || {
            let limit = if kill { Duration::MAX } else { Duration::from_millis(50) };
            green::with_timeout(limit, || theirs.start()).is_err()
        });
        if kill {
            wait_until("the connect", || silent.has_a_caller());
            assert!(!starting.ready());
            starting.kill();
        } else {
            assert!(starting.get().unwrap());
        }
        assert!(client.wait_stopped(SOON));
    }
}

fn client(host: &str, port: u16) -> Client {
    new_client_with_config(host, port, config()).unwrap()
}

/// A client that notes what comes back.
fn echo_client(running: &Running) -> (Client, Arc<Mutex<Vec<String>>>) {
    let client = client("127.0.0.1", port(running));
    let received = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&received);
    client
        .add_router(ECHO, move |request: &dyn IRequest| {
            noted.lock().unwrap().push(String::from_utf8_lossy(request.get_data()).into_owned());
            Ok(())
        })
        .unwrap();
    (client, received)
}

fn stop(client: &Client) {
    client.stop();
    assert!(client.wait_stopped(SOON), "the client has not stopped");
}

fn quick() -> Reconnect {
    let (first_pause, longest_pause) = (Duration::from_millis(5), Duration::from_millis(50));
    Reconnect { first_pause, longest_pause, ..Reconnect::default() }
}

fn port(running: &Running) -> u16 {
    running.server.local_addr().unwrap().port()
}

fn start_at(port: &ReservedPort) -> Running {
    let mut config = config();
    config.tcp_port = port.number();
    start_alone(config, |_| {})
}

const FILLERS: usize = 3;

/// A listener whose backlog is full: the system drops what else knocks.
struct BlackHole {
    listener: socket2::Socket,
    _fillers: Vec<socket2::Socket>,
    _watchdog: Watchdog,
}

impl BlackHole {
    fn new() -> Self {
        let stream = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = stream();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fillers = (0..FILLERS).map(|_| {
            let filler = stream();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address);
            filler
        });
        let _fillers = fillers.collect();
        Self { listener, _fillers, _watchdog: Watchdog::start(Duration::from_secs(60)) }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }

    /// Whether someone beside the fillers knocks: a line of state 02 (a SYN sent) with our port as its peer's.
    fn has_a_caller(&self) -> bool {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let peer = format!(":{:04X}", self.port());
        let calling = table.lines().filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (fields.get(2)?.ends_with(&peer) && *fields.get(3)? == "02").then_some(())
        });
        // All fillers but the first, which has its place, knock too.
        calling.count() >= FILLERS
    }
}
