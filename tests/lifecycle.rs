//! A server from its start to its stop: each once, and what is said if that is impossible.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::child::in_child;
use common::coroutines::runtime;
use common::in_time::unless_late;
use common::port::ReservedPort;
use common::{ECHO, config, log_lines, start, start_alone, wait_until};
use rustix::process::Signal;
use zinx::green::{self, AsyncResult, Queue};
use zinx::ziface::{CloseReason, IContext, IRequest, IServer};
use zinx::{Config, Error, new_server_with_config};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn stopping_a_server_twice_is_stopping_it_once() {
    let port = ReservedPort::new();
    let running = start_alone(at(&port), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    running.server.stop();
    running.server.stop();
    assert_eq!(peer.read_to_end(), b"");
    let addr = peer.addr();
    drop(peer);
    assert!(running.server.wait_stopped(LONG));
    running.server.stop();
    wait_closed(running.server.local_addr().unwrap());
    assert_eq!(running.stop_hooks(addr), 1);
}

/// Waits until nobody listens there. A child that another test is starting may have inherited the listener, for a moment.
fn wait_closed(address: SocketAddr) {
    wait_until("the port to be closed", || TcpStream::connect(address).is_err());
}

/// A configuration with a port that nobody else takes, also when the server has stopped.
fn at(port: &ReservedPort) -> Config {
    let mut config = config();
    config.tcp_port = port.number();
    config
}

#[test]
fn a_server_stopped_before_its_start_cannot_start() {
    let server = new_server_with_config(config()).unwrap();
    assert!(!server.wait_stopped(Duration::from_millis(1)));
    server.stop();
    assert!(server.wait_stopped(LONG));
    assert!(matches!(server.start(), Err(Error::Stopped)));
    assert!(matches!(server.serve(), Err(Error::Stopped)));
    assert_eq!(server.local_addr(), None);
}

#[test]
fn starting_a_server_twice_is_an_error() {
    let running = start_alone(config(), |_| {});
    assert!(matches!(running.server.start(), Err(Error::AlreadyStarted { .. })));
    let late = running.server.add_router(3, |_: &dyn IRequest| Ok(()));
    assert!(matches!(late, Err(Error::AlreadyStarted { .. })));
    running.connect().check_echo();
    running.server.stop();
    assert!(running.server.wait_stopped(LONG));
    assert!(matches!(running.server.start(), Err(Error::Stopped)));
}

#[test]
fn serve_returns_when_the_server_stops() {
    let server = new_server_with_config(config()).unwrap();
    let theirs = server.clone();
    let serving = thread::spawn(move || theirs.serve());
    let mut address = None;
    wait_until("the address", || {
        address = server.local_addr();
        address.is_some()
    });
    let peer = TcpStream::connect(address.unwrap()).unwrap();
    server.stop();
    drop(peer);
    wait_until("the end of serve", || serving.is_finished());
    assert!(serving.join().unwrap().is_ok());
}

#[test]
fn serve_goes_on_with_a_server_that_was_started_and_hears_signals() {
    in_child("serve_goes_on_with_a_server_that_was_started_and_hears_signals", || {
        let mut config = config();
        config.handle_signals = true;
        let running = start_alone(config, |_| {});
        let mut peer = running.connect();
        peer.check_echo();
        let server = running.server.clone();
        let serving = thread::spawn(move || server.serve());
        wait_until("SIGTERM to be caught", || catches(Signal::TERM));
        peer.check_echo();
        rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
        wait_until("the end of serve", || serving.is_finished());
        serving.join().unwrap().unwrap();
        assert_eq!(peer.read_to_end(), b"");
        assert!(matches!(running.server.serve(), Err(Error::Stopped)), "it has been served");
    });
}

/// Whether this process has a handler for a signal, and hears it.
fn catches(signal: Signal) -> bool {
    let mut tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: &std::path::Path| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
    if !tasks.any(|task| name(&task.unwrap().path()).trim() == "zinx-signals") {
        return false;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn serve_returns_at_once_if_the_started_server_has_stopped_meanwhile() {
    let running = start_alone(config(), |_| {});
    running.server.stop();
    assert!(running.server.wait_stopped(LONG));
    running.server.serve().unwrap();
    assert!(matches!(running.server.serve(), Err(Error::Stopped)));
}

#[test]
fn a_serve_that_is_killed_or_out_of_time_stops_its_server() {
    runtime();
    for kill in [true, false] {
        let port = ReservedPort::new();
        let server = new_server_with_config(at(&port)).unwrap();
        let theirs = server.clone();
        let serving = green::spawn(move || {
            let limit = if kill { Duration::MAX } else { Duration::from_millis(50) };
            green::with_timeout(limit, || theirs.serve()).is_err()
        });
        // On a busy machine the time may be over before it has started.
        wait_until("the start", || server.local_addr().is_some() || serving.ready());
        if kill {
            serving.kill();
        } else {
            assert!(serving.get().unwrap());
        }
        assert!(server.wait_stopped(Duration::from_secs(10)));
        wait_closed(port.address);
    }
}

#[test]
fn a_start_that_fails_leaves_nothing_behind_and_may_be_tried_again() {
    // In a process of its own: what other tests begin is counted, too.
    in_child("a_start_that_fails_leaves_nothing_behind_and_may_be_tried_again", start_after_a_failure);
}

fn start_after_a_failure() {
    runtime();
    for workers in [0, 2] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config();
        config.tcp_port = taken.local_addr().unwrap().port();
        config.worker_pool_size = workers;
        let server = new_server_with_config(config).unwrap();
        server
            .add_router(ECHO, |request: &dyn IRequest| request.get_connection().send_msg(ECHO, "hi"))
            .unwrap();
        let before = green::spawn(green::live_coroutines).get().unwrap();
        server.start().unwrap_err();
        wait_until("no coroutines", || green::spawn(green::live_coroutines).get().unwrap() <= before);
        drop(taken);
        // Another program may have it for a moment.
        wait_until("a start", || server.start().is_ok());
        let mut peer = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        peer.write_all(&common::frame(ECHO, b"")).unwrap();
        let mut answer = [0; 10];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[8..], b"hi");
        server.stop();
        assert!(server.wait_stopped(Duration::from_secs(10)));
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config();
    config.tcp_port = address.port();
    let error = new_server_with_config(config).unwrap().start().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn two_servers_cannot_share_a_port() {
    let running = start(config(), |_| {});
    let mut config = config();
    config.tcp_port = running.server.local_addr().unwrap().port();
    let second = new_server_with_config(config).unwrap();
    assert!(matches!(second.start(), Err(Error::Io { .. })));
}

#[test]
fn a_repeated_router_is_an_error() {
    let server = new_server_with_config(config()).unwrap();
    server.add_router(5, |_: &dyn IRequest| Ok(())).unwrap();
    let again = server.add_router(5, |_: &dyn IRequest| Ok(()));
    assert!(matches!(again, Err(Error::RepeatedRouter { msg_id: 5 })), "{again:?}");
}

// Tasks beside the connections.

/// Sets its flag when it is dropped: the task that owns it has ended.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_task_runs_from_the_start_of_the_server_to_its_stop() {
    let ended = Arc::new(AtomicBool::new(false));
    let ends = Ends(Arc::clone(&ended));
    let running = start_alone(config(), |server| {
        let (room, theirs) = (server.get_group("room"), server.clone());
        let clock = move |context: &dyn IContext| {
            let _ends = ends;
            assert!(theirs.local_addr().is_some() && context.reason().is_none(), "the server listens");
            while !context.wait_done_timeout(Duration::from_millis(5)) {
                room.broadcast(9, "tick")?;
            }
            assert_eq!(context.reason(), Some(CloseReason::ServerStopped));
            Ok(())
        };
        server.spawn("room clock", clock).unwrap();
        assert!(!green::dump().contains("room clock"), "it begins with the server");
        server.set_on_conn_start(|conn| conn.join_group("room"));
    });
    let mut peer = running.connect();
    for _ in 0..3 {
        assert_eq!(peer.read_frame(), (9, b"tick".to_vec()));
    }
    let named = |name: &str| green::dump().lines().any(|line| line.contains(&format!("{name:?} waits for")));
    wait_until("its line in the dump", || named("room clock"));
    // Given to a running server, a task begins at once.
    let second = Arc::new(AtomicBool::new(false));
    let ends = Ends(Arc::clone(&second));
    running
        .server
        .spawn("second", move |context| {
            let _ends = ends;
            context.wait_done();
            Ok(())
        })
        .unwrap();
    wait_until("the second task", || named("second"));
    running.server.stop();
    assert!(running.server.wait_stopped(LONG));
    assert!(ended.load(Ordering::Acquire) && second.load(Ordering::Acquire), "stopped without its tasks");
    let late = running.server.spawn("late", |_| Ok(()));
    assert!(matches!(late, Err(Error::Stopped)), "{late:?}");
}

#[test]
fn connections_that_close_may_still_need_a_task_which_is_killed_at_the_drain_deadline() {
    log_lines::keep();
    // On a busy machine the task may be killed before it has answered.
    unless_late(DRAIN, stop_with_a_task_that_is_needed);
    let killed = "WARN killed at the drain deadline: task \"doubles forever\"";
    let lines = log_lines::with("task \"doubles forever\"");
    assert!(!lines.is_empty() && lines.iter().all(|line| line == killed), "{lines:?}");
}

const DRAIN: Duration = Duration::from_millis(1500);

fn stop_with_a_task_that_is_needed() {
    let mut config = config();
    config.drain_ms = DRAIN.as_millis() as u64;
    let questions = Arc::new(Queue::<(u64, Arc<AsyncResult<u64, ()>>)>::unbounded());
    let ended = Arc::new(AtomicBool::new(false));
    let (asked, ends) = (Arc::clone(&questions), Ends(Arc::clone(&ended)));
    let running = start_alone(config, |server| {
        // It does not look at its context.
        let double = move |_: &dyn IContext| {
            let _ends = ends;
            while let Some((number, answer)) = questions.get() {
                answer.set(number * 2);
            }
            Ok(())
        };
        server.spawn("doubles forever", double).unwrap();
        server.set_on_conn_stop(move |conn| {
            let answer = Arc::new(AsyncResult::new());
            asked.put((21, Arc::clone(&answer)))?;
            conn.send_msg(9, answer.get().unwrap().to_string())
        });
    });
    let mut peer = running.connect();
    peer.check_echo();
    let start = Instant::now();
    running.server.stop();
    assert_eq!(peer.read_frame(), (9, b"42".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
    drop(peer);
    running.server.serve().unwrap();
    assert!(ended.load(Ordering::Acquire) && start.elapsed() >= Duration::from_millis(1400));
}

#[test]
fn a_second_signal_kills_the_tasks_at_once() {
    in_child("a_second_signal_kills_the_tasks_at_once", || {
        let mut config = config();
        (config.handle_signals, config.drain_ms) = (true, 3_600_000);
        let ended = Arc::new(AtomicBool::new(false));
        let ends = Ends(Arc::clone(&ended));
        let running = start_alone(config, |server| {
            let sleeps = move |_: &dyn IContext| -> zinx::Result<()> {
                let _ends = ends;
                loop {
                    green::sleep(Duration::from_millis(1));
                }
            };
            server.spawn("sleeps forever", sleeps).unwrap();
        });
        let context = running.server.context();
        let first = thread::spawn(move || {
            wait_until("SIGTERM to be caught", || catches(Signal::TERM));
            rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
            assert!(context.wait_done_timeout(LONG));
            rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
        });
        running.server.serve().unwrap();
        first.join().unwrap();
        assert!(ended.load(Ordering::Acquire));
    });
}

#[test]
fn an_error_and_a_panic_of_a_task_are_logged_and_the_server_goes_on() {
    log_lines::keep();
    let running = start(config(), |server| {
        server.spawn("reporter", |_| Err("no database".into())).unwrap();
        server.spawn("panics", |_| panic!("words of a task")).unwrap();
    });
    wait_until("both lines", || {
        !log_lines::with("no database").is_empty() && !log_lines::with("words of a task").is_empty()
    });
    assert_eq!(log_lines::with("no database"), ["WARN task \"reporter\": no database"]);
    assert!(log_lines::with("words of a task")[0].contains("\"panics\" panicked: words of a task"));
    running.connect().check_echo();
}
