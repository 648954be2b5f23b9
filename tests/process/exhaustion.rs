//! What the machine has runs out: stacks, ports, and all at once. A peer that is one too many is refused with a message,
//! no other notices, and all is as before once there is more.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::common::child::{in_child, in_child_after};
use crate::common::coroutines::{LONG, runtime};
use crate::common::short_of_memory::without_room_for_a_thread;
use crate::common::{Peer, config, frame, log_lines, start, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zinx::green::generator::Generator;
use zinx::green::{self, Builder, Event, Greenlet, Pool};
use zinx::zasync_op::AsyncOps;
use zinx::ziface::{IClient, IRequest, IServer};
use zinx::ztimer::TimerScheduler;
use zinx::{Config, new_client_with_config, new_server_with_config, zlog};

#[test]
fn a_stack_for_which_there_is_no_memory_is_an_error_and_the_next_one_is_not() {
    in_child("exhaustion::a_stack_for_which_there_is_no_memory_is_an_error_and_the_next_one_is_not", || {
        runtime();
        let before = green::spawn(green::live_coroutines).get().unwrap();
        let error = Builder::new().stack_size(1 << 47).spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        assert_eq!(green::spawn(green::live_coroutines).get().unwrap(), before);
    });
}

#[test]
fn without_room_for_stacks_connections_are_served_one_after_the_other() {
    in_child("exhaustion::without_room_for_stacks_connections_are_served_one_after_the_other", || {
        log_lines::keep();
        let go_on = Arc::new(Event::new());
        let waits = Arc::clone(&go_on);
        let running = start(config(), |server| {
            let wait = move |request: &dyn IRequest| {
                waits.wait();
                request.get_connection().send_msg(WAIT, "")
            };
            server.add_router(WAIT, wait).unwrap();
        });
        let mut others: Vec<_> = (0..8).map(|_| running.connect()).collect();
        let Some(crowd) = Crowd::fill() else { return };
        // Each worker has a carrier, which is all that connections need that wait for their peers only.
        others.push(running.connect());
        others.iter_mut().for_each(Peer::check_echo);
        assert_eq!(running.server.stats().refused, 0);
        // Handlers that wait keep it, and there is no other.
        for peer in &mut others {
            peer.send(&frame(WAIT, b""));
        }
        wait_until("the line", || !log_lines::with("rides wait for a carrier: ").is_empty());
        let lines = log_lines::with("rides wait for a carrier: ");
        assert!(lines[0].contains("raise vm.max_map_count"), "{lines:?}");
        // With room again, connections are served beside those that wait, without an event.
        crowd.leave();
        running.connect().check_echo();
        go_on.set();
        for peer in &mut others {
            assert_eq!(peer.read_frame(), (WAIT, vec![]));
        }
    });
}

#[test]
fn without_ports_a_connect_is_an_error_and_one_is_made_again_when_a_port_is_free() {
    let name = "exhaustion::without_ports_a_connect_is_an_error_and_one_is_made_again_when_a_port_is_free";
    // A network of its own, of ten ports.
    let few = "ip link set lo up && echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range";
    in_child_after(name, &["unshare", "-rn"], few, || {
        let mut config = config();
        config.tcp_port = 30_000;
        // The healthy client has one of them.
        let running = start(config.clone(), |_| {});
        let mut peers: Vec<_> = (0..9).map(|_| running.connect()).collect();
        let error = TcpStream::connect(("127.0.0.1", 30_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let error = green::run(|| green::TcpStream::connect("127.0.0.1:30000")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let client = new_client_with_config("127.0.0.1", 30_000, config).unwrap();
        let error = client.start().unwrap_err().to_string();
        assert!(error.starts_with("connect 127.0.0.1:30000: "), "{error}");
        peers.iter_mut().for_each(Peer::check_echo);
        peers.pop().unwrap().reset();
        wait_until("a port", || green::run(|| green::TcpStream::connect("127.0.0.1:30000")).is_ok());
        peers.iter_mut().for_each(Peer::check_echo);
    });
}

#[test]
fn with_all_at_their_limits_the_server_refuses_and_recovers() {
    in_child("exhaustion::with_all_at_their_limits_the_server_refuses_and_recovers", || {
        // The disk under the log is full.
        let full = |config: &mut Config| (config.log_dir, config.log_file) = ("/dev".into(), "full".into());
        let mut config = config();
        full(&mut config);
        zlog::init(&config).unwrap();
        config.max_conn = 4;
        let running = start(config, |_| {});
        let mut others = vec![running.connect(), running.connect()];
        others.iter_mut().for_each(Peer::check_echo);
        let refused = || running.server.stats().refused;

        // No stack is left. The fourth connection needs none.
        let Some(crowd) = Crowd::fill() else { return };
        others.push(running.connect());
        others[2].check_echo();
        // There may be no fifth.
        assert_eq!(running.connect().read_to_end(), b"");
        wait_until("its count", || running.server.stats().over_max_conn == 1);
        // No descriptor is left to refuse it with.
        let old = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: old.maximum }).unwrap();
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        files.pop();
        let mut late = TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
        late.write_all(b"?").unwrap();
        wait_until("a refused accept", || refused() > 0);
        others.iter_mut().for_each(Peer::check_echo);

        files.clear();
        crowd.leave();
        drop(late);
        let one = others.pop().unwrap();
        drop(one);
        wait_until("a place", || running.server.get_conn_mgr().len() < 4);
        running.connect().check_echo();
        others.iter_mut().for_each(Peer::check_echo);
    });
}

#[test]
fn what_found_no_room_to_start_starts_when_there_is_some() {
    in_child("exhaustion::what_found_no_room_to_start_starts_when_there_is_some", || {
        runtime();
        let (timers, ops) = (TimerScheduler::new(), AsyncOps::new());
        let mut config = config();
        config.worker_pool_size = 2;
        let server = new_server_with_config(config.clone()).unwrap();
        server.add_router(7, |request: &dyn IRequest| request.get_connection().send_msg(7, "hi")).unwrap();
        let client = new_client_with_config("127.0.0.1", 1, config).unwrap();
        let mut numbers: Generator<u32> = Generator::new(|out| assert_eq!(out.yield_(1), None));
        let mut squares = Pool::new(2).imap(1..=3, |n| n * n);
        let done = Arc::new(Event::new());

        let Some(crowd) = Crowd::fill() else { return };
        std::panic::set_hook(Box::new(|_| {}));
        let panics = |start: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(start)).is_err();
        let tell = Arc::clone(&done);
        timers.create_timer_after(Duration::ZERO, move || tell.set());
        assert!(!done.wait_timeout(Duration::from_millis(100)) && timers.len() == 1, "it has to wait");
        assert!(panics(&mut || assert_eq!(numbers.next(), Some(1))));
        assert!(panics(&mut || drop(squares.next())));
        assert!(ops.process(1, || ()).is_err());
        assert!(server.start().is_err() && client.start().is_err());
        crowd.leave();
        drop(std::panic::take_hook());

        assert!(done.wait_timeout(LONG), "the timer");
        done.clear();
        let tell = Arc::clone(&done);
        ops.process(1, move || tell.set()).unwrap();
        assert!(done.wait_timeout(LONG), "the operation");
        assert_eq!((numbers.next(), numbers.next()), (Some(1), None));
        assert_eq!(squares.map(Result::unwrap).collect::<Vec<_>>(), [1, 4, 9]);
        let refused = client.start().unwrap_err().to_string();
        assert!(refused.contains("connect 127.0.0.1:1"), "{refused}");
        server.start().unwrap();
        let mut peer = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        peer.write_all(&frame(7, b"")).unwrap();
        peer.set_read_timeout(Some(LONG)).unwrap();
        let mut answer = [0; 10];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *frame(7, b"hi"));
        server.stop();
        assert!(server.wait_stopped(LONG));
    });
}

#[test]
fn blocking_work_for_which_there_is_no_thread_is_done_when_there_is_one() {
    in_child("exhaustion::blocking_work_for_which_there_is_no_thread_is_done_when_there_is_one", || {
        runtime();
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        // It has its stack before memory is short.
        let asks = green::spawn(move || {
            theirs.wait();
            green::blocking(|| 7)
        });
        wait_until("it to wait", || asks.coroutine().activity() == WAITS);
        // Timers have their thread then, too.
        green::sleep(Duration::from_millis(1));
        without_room_for_a_thread(|| {
            go.set();
            assert!(!asks.join_timeout(Duration::from_millis(300)));
        });
        assert!(asks.join_timeout(LONG));
        assert_eq!(asks.get().unwrap(), 7);
    });
}

/// As many coroutines as there is room for, that do nothing. They come and go without a rush, for whatever is woken at
/// once is run at once, before any socket is looked at.
struct Crowd(Vec<Greenlet<()>>);

impl Crowd {
    /// `None`, and a line says so, if there is room for more than a test should take.
    fn fill() -> Option<Self> {
        let room = green::max_coroutines();
        if room > 100_000 {
            eprintln!("skipped: there is room for {room} coroutines");
            return None;
        }
        let mut all = Vec::new();
        loop {
            match Builder::new().spawn(|| Event::new().wait()) {
                Ok(one) => all.push(one),
                Err(error) => {
                    assert!(error.to_string().contains("raise vm.max_map_count"), "{error}");
                    return Some(Self(all));
                }
            }
            if all.len() % 100 == 0 {
                wait_until("the last of them to wait", || all[all.len() - 1].coroutine().activity() == WAITS);
            }
        }
    }

    fn leave(self) {
        self.0.iter().for_each(Greenlet::kill);
        wait_until("their stacks", || green::live_coroutines() < 100);
    }
}

/// The message id whose handler waits.
const WAIT: u32 = 3;

const WAITS: &str = "waits for an event";
