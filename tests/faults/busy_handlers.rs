//! A handler that computes holds its worker, and nothing else: no heartbeat of any peer, and, while another worker is free, no
//! new connections, timers, time limits and new coroutines.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, LazyLock};
use std::time::Duration;

use zinx::green::{self, Event, StreamServer};
use zinx::prelude::*;
use zinx::ztimer::TimerScheduler;
use zinx::{Config, new_client_with_config};

use super::common::child::in_children;
use super::common::{Peer, Running, config, frame, start_alone, wait_until};

#[test]
fn everybody_hears_heartbeats_on_time_while_a_handler_computes() {
    beside_a_busy_handler(
        "busy_handlers::everybody_hears_heartbeats_on_time_while_a_handler_computes",
        &[1, 2],
        |server| server.start_heart_beat(BEAT).unwrap(),
        |busy| {
            // The one whose handler computes too.
            let all = busy.others.iter_mut().chain([&mut busy.computing]);
            all.for_each(hear_heartbeats);
        },
    );
}

/// What the handler sends leaves when it next waits, and that takes long. No heartbeat waits for it.
#[test]
fn those_whom_the_busy_handler_has_sent_to_hear_heartbeats_on_time() {
    beside_a_handler_of(
        TELL_ALL,
        "busy_handlers::those_whom_the_busy_handler_has_sent_to_hear_heartbeats_on_time",
        &[1, 2],
        |server| {
            server.start_heart_beat(BEAT).unwrap();
            let tell_all = |request: &dyn IRequest| {
                request.get_connection().get_tcp_server().get_conn_mgr().range(&mut |conn| {
                    conn.send_msg(TOLD, "").unwrap();
                    true
                });
                compute();
                Ok(())
            };
            server.add_router(TELL_ALL, tell_all).unwrap();
        },
        |busy| busy.others.iter_mut().for_each(hear_heartbeats),
    );
}

#[test]
fn a_client_in_the_same_process_sends_its_heartbeats_on_time() {
    beside_a_busy_handler(
        "busy_handlers::a_client_in_the_same_process_sends_its_heartbeats_on_time",
        &[1, 2],
        |_| {},
        |busy| hear_heartbeats(&mut busy.of_client),
    );
}

#[test]
fn new_connections_are_served_while_a_handler_computes() {
    beside_a_busy_handler(
        "busy_handlers::new_connections_are_served_while_a_handler_computes",
        &[2],
        |server| server.set_on_conn_start(|conn| conn.send_msg(HELLO, "")),
        |busy| {
            for _ in 0..20 {
                let mut peer = busy.running.connect();
                assert_eq!(peer.read_frame(), (HELLO, vec![]));
                peer.check_echo();
            }
        },
    );
}

#[test]
fn all_others_are_served_while_a_handler_computes() {
    beside_a_busy_handler(
        "busy_handlers::all_others_are_served_while_a_handler_computes",
        &[2],
        |_| {},
        |busy| {
            for _ in 0..100 {
                busy.others.iter_mut().for_each(Peer::check_echo);
            }
        },
    );
}

#[test]
fn frame_timeouts_end_connections_while_a_handler_computes() {
    beside_a_busy_handler(
        "busy_handlers::frame_timeouts_end_connections_while_a_handler_computes",
        &[2],
        |_| {},
        |busy| {
            busy.others.iter_mut().for_each(|peer| peer.send(&frame(ECHO, b"half a frame")[..10]));
            // The handler computes until all are looked at.
            let ended = |peer: &&mut Peer| (&peer.stream).read(&mut [0; 1]).is_ok_and(|n| n == 0);
            let ended = busy.others.iter_mut().filter(ended).count();
            assert_eq!(ended, OTHERS);
        },
    );
}

#[test]
fn timers_ring_while_a_handler_computes() {
    let timers = TimerScheduler::new();
    beside_a_busy_handler(
        "busy_handlers::timers_ring_while_a_handler_computes",
        &[2],
        |_| {},
        |_| {
            let (once, often) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for n in 1..=20 {
                let once = Arc::clone(&once);
                timers.create_timer_after(n * MS, move || count(&once));
            }
            let rings = Arc::clone(&often);
            timers.create_timer_every(10 * MS, move || count(&rings));
            wait_until("all timers", || once.load(Ordering::Acquire) == 20);
            wait_until("one again and again", || often.load(Ordering::Acquire) >= 20);
        },
    );
}

#[test]
fn new_coroutines_begin_while_a_handler_computes_and_their_time_limits_hold() {
    beside_a_busy_handler(
        "busy_handlers::new_coroutines_begin_while_a_handler_computes_and_their_time_limits_hold",
        &[2],
        |_| {},
        |_| {
            let over = Arc::new(AtomicUsize::new(0));
            for _ in 0..20 {
                let over = Arc::clone(&over);
                green::spawn(move || {
                    let limited = green::with_timeout(10 * MS, || Event::new().wait());
                    over.fetch_add(usize::from(limited.is_err()), Ordering::AcqRel);
                });
            }
            wait_until("all time limits", || over.load(Ordering::Acquire) == 20);
        },
    );
}

#[test]
fn a_stream_server_takes_new_connections_while_a_handler_computes() {
    beside_a_busy_handler(
        "busy_handlers::a_stream_server_takes_new_connections_while_a_handler_computes",
        &[2],
        |_| {},
        |busy| {
            for _ in 0..20 {
                let mut stream = TcpStream::connect(busy.streams.local_addr()).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream.read_exact(&mut [0; 2]).unwrap();
            }
        },
    );
}

const ECHO: u32 = super::common::ECHO;
const TELL_ALL: u32 = 2;
const TOLD: u32 = 3;
const HELLO: u32 = 4;
const COMPUTE: u32 = 5;

const OTHERS: usize = 12;
const MS: Duration = Duration::from_millis(1);
const BEAT: Duration = Duration::from_millis(100);

/// Cleared when the handler is to end.
static GO_ON: AtomicBool = AtomicBool::new(true);

/// Reached by the handler and the test, when the one begins to compute.
static COMPUTES: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

fn compute() {
    COMPUTES.wait();
    while GO_ON.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

fn count(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::AcqRel);
}

/// A server of which one handler computes, and the peers beside it.
struct Busy {
    running: Running,
    computing: Peer,
    others: Vec<Peer>,
    /// The other end of a client's connection.
    of_client: Peer,
    streams: StreamServer,
}

/// Runs a test while a handler computes, in processes with so many workers. All that is there from the start has begun
/// before.
fn beside_a_busy_handler(
    name: &str,
    workers: &[usize],
    set_up: impl FnOnce(&Server),
    test: impl FnOnce(&mut Busy),
) {
    beside_a_handler_of(COMPUTE, name, workers, set_up, test);
}

/// As [`beside_a_busy_handler`], with the handler of this message id.
fn beside_a_handler_of(
    msg_id: u32,
    name: &str,
    workers: &[usize],
    set_up: impl FnOnce(&Server),
    test: impl FnOnce(&mut Busy),
) {
    let workers: Vec<_> = workers.iter().map(usize::to_string).collect();
    let envs: Vec<_> = workers.iter().map(|workers| ("ZINX_TEST_WORKERS", workers.as_str())).collect();
    in_children(name, &envs, || {
        let mut config = config();
        (config.frame_timeout_ms, config.heartbeat_max) = (300, 0);
        let mut busy = start(config, set_up);
        busy.computing.send(&frame(msg_id, b""));
        COMPUTES.wait();
        test(&mut busy);
        GO_ON.store(false, Ordering::Release);
    });
}

fn start(config: Config, set_up: impl FnOnce(&Server)) -> Busy {
    let of_clients = config.clone();
    let running = start_alone(config, |server| {
        let run = |_: &dyn IRequest| {
            compute();
            Ok(())
        };
        server.add_router(COMPUTE, run).unwrap();
        set_up(server);
    });
    let (computing, others) = (running.connect(), (0..OTHERS).map(|_| running.connect()).collect());
    wait_until("all connections", || running.server.stats().start_hooks == OTHERS + 1);
    let of_client = client_with_heartbeats(of_clients);
    let streams = StreamServer::bind("127.0.0.1:0").unwrap();
    streams.start(|mut stream, _| stream.write_all(b"hi")).unwrap();
    Busy { running, computing, others, of_client, streams }
}

/// A client that sends heartbeats. Returns the other end of its connection.
fn client_with_heartbeats(config: Config) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = new_client_with_config("127.0.0.1", port, config).unwrap();
    client.start_heart_beat(BEAT).unwrap();
    client.start().unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    Peer { stream }
}

/// Hears ten heartbeats from now on, each within ten seconds: they do not wait for the handler, which waits for this.
fn hear_heartbeats(peer: &mut Peer) {
    let mut heard = 0;
    while heard < 10 {
        let (id, _) = peer.read_frame();
        assert!([99_999, TOLD].contains(&id), "{id}");
        heard += usize::from(id == 99_999);
    }
}
