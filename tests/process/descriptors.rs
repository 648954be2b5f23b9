//! Descriptors run out: the server rests, serves those it has, and goes on as soon as one is free. And a child process gets none
//! of them.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::child::{in_child, open_files};
use crate::common::phone::{Phone, WHOLE};
use crate::common::port::ReservedPort;
use crate::common::process::{Process, SLACK};
use crate::common::{ECHO, Peer, comes_true, config, frame, shortest, start, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zinx::green::on_terminate;
use zinx::new_client_with_config;
use zinx::ziface::{IClient, IServer};

#[test]
fn without_descriptors_the_server_rests_and_serves_again_when_one_is_free() {
    in_child("descriptors::without_descriptors_the_server_rests_and_serves_again_when_one_is_free", || {
        let mut config = config();
        config.max_conn = 10;
        let running = start(config, |_| {});
        let mut before = running.connect();
        before.check_echo();
        let old = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: old.maximum }).unwrap();
        let (mut files, refused) = (Vec::new(), || running.server.stats().refused);
        let took = shortest(SOON, || {
            // The healthy client and this one; the late one of an earlier attempt has given its descriptor back.
            wait_until("two connections", || running.server.get_conn_mgr().len() == 2);
            while let Ok(file) = File::open("/dev/null") {
                files.push(file);
            }
            // The last descriptor is the client's: none is left to accept with.
            files.pop();
            let (earlier, address) = (refused(), running.server.local_addr().unwrap());
            let mut late = Peer { stream: TcpStream::connect(address).unwrap() };
            late.stream.set_read_timeout(Some(SLACK)).unwrap();
            late.send(&frame(ECHO, b"late"));
            wait_until("a refused accept", || refused() > earlier);
            let (first, begun) = (refused(), Instant::now());
            thread::sleep(Duration::from_secs(1));
            let more = (refused() - first) as f64 / begun.elapsed().as_secs_f64();
            assert!(more < 50.0, "{more} accepts refused in a second: no pause between them");
            before.check_echo();
            files.truncate(files.len() - 2);
            let start = Instant::now();
            assert_eq!(late.read_frame(), (ECHO, b"late".to_vec()));
            start.elapsed()
        });
        assert!(took < SOON, "after {took:?}");
    });
}

#[test]
fn a_child_process_inherits_no_descriptor_of_a_server() {
    in_child("descriptors::a_child_process_inherits_no_descriptor_of_a_server", || {
        let before = open_in_a_child();
        let running = start(config(), |_| {});
        let client =
            new_client_with_config("127.0.0.1", running.server.local_addr().unwrap().port(), config());
        let client = client.unwrap();
        client.start().unwrap();
        let mut peer = running.connect();
        peer.check_echo();
        let _signals = on_terminate().unwrap();
        assert!(open_files() > 10);
        assert_eq!(open_in_a_child(), before);
        client.stop();
        assert!(client.wait_stopped(Duration::from_secs(10)));
    });
}

/// The descriptors that a child process has. Those of this process's parents are among them.
fn open_in_a_child() -> String {
    let list = Command::new("sh").args(["-c", "echo /proc/$$/fd/*"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.split_whitespace().map(|fd| fd.rsplit_once('/').unwrap().1).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_reserved_port_refuses_although_children_are_started_all_the_time() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        for _ in 0..5_000 {
            let port = ReservedPort::new();
            let refused = TcpStream::connect(port.address).map(drop).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        done.store(true, Ordering::Relaxed);
    });
    let port = ReservedPort::new();
    let mut config = config();
    config.tcp_port = port.number();
    start(config, |_| {}).connect().check_echo();
}

#[test]
fn without_descriptors_the_server_takes_no_cpu_and_a_close_of_its_own_ends_the_rest() {
    let server = Process::hook_server_with_files(40, &[]);
    let mut streams: Vec<_> = (0..60).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    server.wait_for("refused: ");
    let cpu = server.least_cpu_per_cent(3);
    eprintln!("{cpu:.1} % while none is free");
    assert!(cpu < 5.0, "{cpu:.1} % of a processor while none is free");

    // They are accepted in the order in which they came. No answer within three seconds is none, on a busy machine too.
    let accepted = streams.iter_mut().position(|stream| !answered_within(stream, SOON));
    let accepted = accepted.expect("all accepted");
    let took = shortest(SOON, || {
        let start = Instant::now();
        streams.remove(0);
        assert!(answered_within(&mut streams[accepted - 1], SLACK));
        start.elapsed()
    });
    eprintln!("served {took:?} after one was free");
    assert!(took < SOON, "after {took:?}");
}

/// The longest that a free descriptor is not noticed.
const SOON: Duration = Duration::from_secs(3);

/// Whether the hook server answers a request in time.
fn answered_within(stream: &mut TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).unwrap();
    stream.write_all(&frame(1, b"hello")).unwrap();
    let mut answer = [frame(1, b"ping\n"), frame(1, b"hello")].concat();
    stream.read_exact(&mut answer).is_ok()
}

#[test]
fn too_few_descriptors_for_max_conn_are_said_at_the_start_with_what_to_set() {
    let server = Process::hook_server_with_files(500, &[("ZINX_MAXCONN", "1000")]);
    let lines = server.said();
    let expected = "MaxConn is 1000 but only 500 files may be open: set ulimit -n 1064";
    assert!(lines.iter().any(|line| line.ends_with(expected)), "{lines:?}");
}

#[test]
fn connections_that_are_away_ask_for_no_descriptors() {
    let server = Process::hook_server_with_files(500, &[("ZINX_MAXCONN", "1000"), ("ZINX_RESUMEMS", "1000")]);
    let lines = server.said();
    let expected = "MaxConn is 1000 but only 500 files may be open: set ulimit -n 1064";
    assert!(lines.iter().any(|line| line.ends_with(expected)), "{lines:?}");
}

#[test]
fn what_is_asked_for_is_enough_for_max_conn_connections_beside_as_many_that_are_away() {
    let env = [
        ("ZINX_MAXCONN", "100"),
        ("ZINX_RESUMEMS", "60000"),
        ("ZINX_MAXAWAYPERADDRESS", "100"),
        ("ZINX_WORKERS", "2"),
    ];
    let server = Process::hook_server_with_files(264, &env);
    assert!(!server.said().iter().any(|line| line.contains("ulimit")), "{:?}", server.said());
    let mut away: Vec<_> = (0..100).map(|_| Phone::open(server.address)).collect();
    away.iter_mut().for_each(|phone| phone.lose(false));
    let mut here: Vec<_> = (0..100).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert!(here.iter_mut().all(|stream| answered_within(stream, SLACK)));
    // A peer that comes back needs a place of its own for a moment.
    drop(here.pop());
    assert!(comes_true(SLACK, || away[0].resume_cut(WHOLE).is_ok()));
}

#[test]
fn too_few_memory_maps_are_said_at_the_start_with_what_to_set() {
    let env = [("ZINX_MAXCONN", "16000000"), ("ZINX_WORKERPOOLSIZE", "1"), ("ZINX_WORKERMODE", "Bind")];
    let server = Process::hook_server(&env);
    let lines = server.said();
    let told = lines.iter().find(|line| line.contains("set sysctl vm.max_map_count="));
    assert!(told.is_some_and(|line| line.contains("16000256 stacks may be needed")), "{lines:?}");
}
