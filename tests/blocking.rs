//! Work on the pool of threads that needs the pool itself, all its threads being at work.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use common::coroutines::{LONG, within};
use common::{config, start_alone, wait_until};
use zinx::green::{self, Event, StreamServer, TcpListener, TcpStream, bluelet};
use zinx::new_client_with_config;
use zinx::zasync_op::AsyncOps;
use zinx::ziface::{IClient, IServer};

/// Threads of the pool that are at work, at most.
const THREADS: usize = 16;

#[test]
fn blocking_work_within_blocking_work_runs_on_the_same_thread() {
    let same = on_all_threads(|| {
        let here = thread::current().id();
        green::blocking(move || green::blocking(move || thread::current().id() == here))
    });
    assert_eq!(same, [true; THREADS]);
}

#[test]
fn a_panic_within_blocking_work_goes_on_there() {
    let caught = on_all_threads(|| {
        std::panic::catch_unwind(|| green::blocking(|| -> () { panic!("on purpose") })).is_err()
    });
    assert_eq!(caught, [true; THREADS]);
}

#[test]
fn names_are_resolved_and_bound_and_connected_on_the_pool() {
    let outcomes = on_all_threads(|| {
        let found = green::resolve("localhost", 80).is_ok();
        let listener = TcpListener::bind("localhost:0", 16).unwrap();
        let server = StreamServer::bind("localhost:0").unwrap();
        server.start(|mut stream, _| stream.write_all(b"hi")).unwrap();
        let mut said = String::new();
        // "localhost" may be ::1 first: all its addresses are tried.
        let port = server.local_addr().port();
        TcpStream::connect(("localhost", port)).unwrap().read_to_string(&mut said).unwrap();
        let also = bluelet::connect("localhost", port).and_then(|mut conn| conn.recv(2)).unwrap();
        server.stop(LONG);
        found && listener.local_addr().port() > 0 && said == "hi" && also == b"hi"
    });
    assert_eq!(outcomes, [true; THREADS]);
}

#[test]
fn work_that_waits_for_a_coroutine_which_needs_the_pool_gets_its_answer() {
    let answers = on_all_threads(|| green::run(|| green::blocking(|| green::run(|| green::blocking(|| 7)))));
    assert_eq!(answers, [7; THREADS]);
}

#[test]
fn work_that_waits_for_an_asynchronous_operation_sees_it_done() {
    let ops = AsyncOps::new();
    let done = on_all_threads(move || {
        let (done, theirs) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let tell = Arc::clone(&done);
        ops.process(1, move || tell.set()).unwrap();
        let tell = Arc::clone(&theirs);
        ops.process(2, move || tell.set()).unwrap();
        done.wait_timeout(LONG) && theirs.wait_timeout(LONG)
    });
    assert_eq!(done, [true; THREADS]);
}

#[test]
fn a_client_that_starts_on_the_pool_resolves_its_name() {
    let running = start_alone(config(), |_| {});
    let port = running.server.local_addr().unwrap().port();
    let started = on_all_threads(move || {
        let client = new_client_with_config("localhost", port, config()).unwrap();
        let started = client.start();
        client.stop();
        client.wait_stopped(LONG) && started.is_ok()
    });
    assert_eq!(started, [true; THREADS]);
}

#[test]
fn work_that_talks_to_a_server_whose_handlers_need_the_pool_is_answered() {
    let answers = on_all_threads(|| {
        let server = StreamServer::bind("127.0.0.1:0").unwrap();
        server.start(|mut stream, _| stream.write_all(green::blocking(|| b"hi"))).unwrap();
        let mut said = String::new();
        TcpStream::connect(server.local_addr()).unwrap().read_to_string(&mut said).unwrap();
        server.stop(LONG);
        said
    });
    assert_eq!(answers, ["hi"; THREADS]);
}

#[test]
fn threads_started_for_those_that_waited_end_again() {
    on_all_threads(|| green::run(|| green::blocking(|| 7)));
    wait_until("no more threads than are to be at work", || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
        // Other tests of this process use the same pool: each of its threads may wait for one.
        names.filter(|name| name.trim() == "zinx-blocking").count() <= THREADS
    });
}

/// Does `work` on all threads of the pool, begun when all are there, and checks that the pool works on.
fn on_all_threads<T: Send + 'static>(work: impl Fn() -> T + Send + Sync + 'static) -> Vec<T> {
    let (all, work) = (Arc::new(Barrier::new(THREADS)), Arc::new(work));
    let (tell, told) = std::sync::mpsc::channel();
    // One test at a time: two would wait at their barriers for each other's threads.
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    within(60, move || {
        let jobs: Vec<_> = (0..THREADS)
            .map(|_| {
                let (all, work) = (Arc::clone(&all), Arc::clone(&work));
                green::spawn(move || {
                    green::blocking(move || {
                        all.wait();
                        work()
                    })
                })
            })
            .collect();
        let answers = green::joinall(jobs).unwrap();
        assert_eq!(green::run(|| green::blocking(|| 2)), 2, "the pool works on");
        drop(tell.send(answers));
    });
    told.recv_timeout(Duration::from_secs(1)).unwrap()
}

static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
