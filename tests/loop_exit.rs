//! A program in which all that is left waits for each other is told so, and no other program is: gevent's `LoopExit`.
//!
//! Each case is a process of its own, without the test harness: its threads could wake others, for all that is known. All
//! cases run at once, with one worker and with two.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the cases have threads of their own, and this program watches over processes"
)]

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::{
    self, AsyncResult, Barrier, Builder, Channel, Event, Group, Queue, RLock, Runtime, Semaphore,
    StreamServer, bluelet,
};

/// A name, and what its process does. A case that returns has passed.
const CASES: [(&str, fn()); 16] = [
    ("two_that_hold_what_the_other_waits_for_are_named", two_that_hold_what_the_other_waits_for),
    ("a_thread_that_waits_for_nobody_is_told", || deadlocks(|| Event::new().wait(), &[])),
    ("each_kind_of_wait_is_named", each_kind_of_wait),
    ("a_wait_for_several_things_counts", a_wait_for_several_things),
    ("work_that_was_done_before_makes_no_difference", work_that_was_done_before),
    ("the_program_goes_on_after_it", the_program_goes_on),
    ("every_thread_that_waits_is_told", every_thread_that_waits),
    ("one_that_sleeps_may_wake_others", one_that_sleeps),
    ("one_that_computes_may_wake_others", one_that_computes),
    ("a_thread_may_wake_others", a_thread),
    ("a_process_may_wake_others", a_process),
    ("blocking_work_may_wake_others", blocking_work),
    ("a_signal_may_wake_others", a_signal),
    ("a_client_may_wake_others", a_client),
    ("a_time_limit_ends_a_wait", a_time_limit),
    ("a_wait_that_may_not_unwind_is_left_alone", a_wait_while_unwinding),
];

fn main() -> ExitCode {
    if let Ok(case) = std::env::var(CASE) {
        let workers = std::env::var(WORKERS).unwrap().parse().unwrap();
        Runtime { workers, ..Runtime::default() }.start().unwrap();
        let (_, run) = CASES.iter().find(|(name, _)| *name == case).unwrap();
        run();
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    let mut children = Vec::new();
    for (name, _) in CASES.into_iter().filter(|(name, _)| is_wanted(name)) {
        for workers in ["1", "2"] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.env(CASE, name).env(WORKERS, workers).stdin(Stdio::null()).stderr(Stdio::piped());
            children.push((name, workers, child.spawn().unwrap()));
        }
    }
    println!("running {} tests", children.len());
    let end = Instant::now() + LIMIT;
    let mut failed = 0;
    for (name, workers, mut child) in children {
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let late = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let ok = !late && output.status.success();
        println!("test {name} ({workers}) ... {}", if ok { "ok" } else { "FAILED" });
        if !ok {
            failed += 1;
            println!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
    }
    println!("test result: {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// Runs a wait that never ends, and checks what it is told: these words, and a line for each coroutine that is left.
fn deadlocks<T>(wait: impl FnOnce() -> T, named: &[&str]) {
    let payload = catch_unwind(AssertUnwindSafe(wait)).err().expect("it is told of the deadlock");
    let said = payload.downcast_ref::<String>().expect("words");
    let mut lines = said.lines();
    assert!(lines.next().unwrap().starts_with("LoopExit: this wait would never end"), "{said}");
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), named.len(), "{said}");
    for words in named {
        assert!(lines.iter().any(|line| line.ends_with(words)), "{words}: {said}");
    }
}

/// Waits for an event that is set late by what `begin` begins, which must not be taken for a deadlock. On a busy machine it may be
/// set before this waits: then it is begun again.
fn in_time<T>(begin: impl Fn(Arc<Event>) -> T) {
    let shows = || {
        let event = Arc::new(Event::new());
        let _kept = begin(Arc::clone(&event));
        let begun = Instant::now();
        event.wait();
        begun.elapsed() > LATE / 2
    };
    assert!((0..3).any(|_| shows()), "it was over too soon to show anything");
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> green::Greenlet<T> {
    Builder::new().name(name).spawn(body).unwrap()
}

fn two_that_hold_what_the_other_waits_for() {
    let (one, other) = (Arc::new(RLock::new(())), Arc::new(RLock::new(())));
    let both = Arc::new(Barrier::new(2));
    let crossing = |mine: &Arc<RLock>, theirs: &Arc<RLock>| {
        let (mine, theirs, both) = (Arc::clone(mine), Arc::clone(theirs), Arc::clone(&both));
        move || {
            let _mine = mine.acquire();
            both.wait().unwrap();
            let _theirs = theirs.acquire();
        }
    };
    let first = spawn("first", crossing(&one, &other));
    let _second = spawn("second", crossing(&other, &one));
    deadlocks(|| first.join(), &["\"first\" waits for a lock", "\"second\" waits for a lock"]);
}

fn each_kind_of_wait() {
    let full = Queue::bounded(1);
    full.put(0).unwrap();
    let empty = Arc::new(Queue::<u32>::unbounded());
    let never = Arc::new(spawn("event", || Event::new().wait()));
    let (theirs, also_theirs) = (Arc::clone(&empty), Arc::clone(&never));
    spawn("item", move || theirs.get());
    spawn("coroutine", move || also_theirs.join());
    spawn("room", move || full.put(1));
    spawn("partner", || Channel::<u32>::new().get());
    spawn("permit", || Semaphore::new(0).acquire());
    spawn("value", || AsyncResult::<u32>::new().wait());
    spawn("barrier", || Barrier::new(2).wait());
    spawn("condition", || green::Condition::new(()).acquire().wait());
    spawn("group", || {
        let group = Group::new();
        group.spawn(Builder::new().name("member"), || Event::new().wait()).unwrap();
        group.join();
    });
    let expected = [
        "\"event\" waits for an event",
        "\"item\" waits for an item of a queue",
        "\"coroutine\" waits for the end of a coroutine",
        "\"room\" waits for room in a queue",
        "\"partner\" waits for the other side of a channel",
        "\"permit\" waits for a permit",
        "\"value\" waits for a value",
        "\"barrier\" waits at a barrier",
        "\"condition\" waits for a condition",
        "\"group\" waits for the end of a group",
        "\"member\" waits for an event",
    ];
    deadlocks(|| empty.get(), &expected);
}

fn a_wait_for_several_things() {
    let (one, other) = (Event::new(), Queue::<u32>::unbounded());
    spawn("several", || green::wait_any(&[&Event::new(), &Event::new()]));
    deadlocks(|| green::wait_any(&[&one, &other]), &["\"several\" waits for the first of several"]);
}

/// A timer, a socket and a thread that have been there leave nothing behind that would be taken for a way out.
fn work_that_was_done_before() {
    green::run(|| green::sleep(Duration::from_millis(5)));
    let (mut one, mut other) = green::socketpair().unwrap();
    green::run(move || {
        let reader = green::spawn(move || std::io::Read::read(&mut other, &mut [0; 1]).unwrap());
        green::yield_now();
        std::io::Write::write_all(&mut one, b"x").unwrap();
        assert_eq!(reader.get().unwrap(), 1);
    });
    thread::spawn(|| ()).join().unwrap();
    assert!(green::with_timeout(Duration::from_millis(5), || Event::new().wait()).is_err());
    deadlocks(|| green::run(|| Event::new().wait()), &["\"\" waits for an event"]);
}

fn the_program_goes_on() {
    let stuck = spawn("stuck", || Event::new().wait());
    deadlocks(|| stuck.join(), &["\"stuck\" waits for an event"]);
    assert!(!stuck.ready());
    stuck.kill();
    assert_eq!(green::run(|| green::spawn(|| 7).get().unwrap()), 7);
    deadlocks(|| Event::new().wait(), &[]);
}

fn every_thread_that_waits() {
    let both = Arc::new(Barrier::new(3));
    let at_barrier = Arc::clone(&both);
    let other = thread::spawn(move || {
        deadlocks(|| at_barrier.wait(), &["\"stuck\" waits for an event"]);
    });
    let _stuck = spawn("stuck", || Event::new().wait());
    deadlocks(|| both.wait(), &["\"stuck\" waits for an event"]);
    other.join().unwrap();
}

fn one_that_sleeps() {
    spawn("stuck", || Event::new().wait());
    in_time(|event| {
        spawn("sleeper", move || {
            green::sleep(LATE);
            event.set();
        })
    });
}

fn one_that_computes() {
    in_time(|event| {
        spawn("computer", move || {
            let end = Instant::now() + LATE;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            event.set();
        })
    });
}

fn a_thread() {
    spawn("stuck", || Event::new().wait());
    in_time(|event| {
        thread::spawn(move || {
            thread::sleep(LATE);
            event.set();
        })
    });
}

fn a_process() {
    in_time(|event| {
        spawn("reader", move || {
            let mut child = Command::new("sh");
            child.args(["-c", &format!("sleep {}; echo done", LATE.as_secs())]).stdout(Stdio::piped());
            let mut child = child.spawn().unwrap();
            let said = bluelet::read(child.stdout.take().unwrap(), None).unwrap();
            assert_eq!(said, b"done\n");
            event.set();
            child.wait().unwrap();
        })
    });
}

fn blocking_work() {
    in_time(|event| {
        spawn("waits for work", move || {
            green::blocking(|| thread::sleep(LATE));
            event.set();
        })
    });
}

fn a_signal() {
    in_time(|event| {
        let handler = green::signal(10, move || event.set()).unwrap();
        let mut child = Command::new("sh");
        child.args(["-c", &format!("sleep {}; kill -USR1 {}", LATE.as_secs(), std::process::id())]);
        (handler, Reaped(child.spawn().unwrap()))
    });
}

/// The client is this case in a process of its own, with an address in its environment.
fn a_client() {
    if let Ok(address) = std::env::var(ADDRESS) {
        thread::sleep(LATE);
        drop(TcpStream::connect(address).unwrap());
        return;
    }
    in_time(|event| {
        let server = StreamServer::bind("127.0.0.1:0").unwrap();
        server
            .start(move |_, _| {
                event.set();
                Ok(())
            })
            .unwrap();
        let mut client = Command::new(std::env::current_exe().unwrap());
        let client = client.env(ADDRESS, server.local_addr().to_string()).spawn().unwrap();
        (Reaped(client), server)
    });
}

/// A process that is waited for in the end, and must succeed.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

fn a_time_limit() {
    spawn("stuck", || Event::new().wait());
    assert!(!Event::new().wait_timeout(LATE));
    assert!(green::with_timeout(LATE, || Event::new().wait()).is_err());
}

/// A second panic would end the process. So the thread waits on, until something else ends that.
fn a_wait_while_unwinding() {
    struct Waits(Arc<Event>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    let waits = thread::spawn(move || {
        let _waits = Waits(event);
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    thread::sleep(LATE);
    theirs.set();
    assert_eq!(waits.join().unwrap_err().downcast_ref(), Some(&"on purpose"));
}

const CASE: &str = "ZINX_LOOP_EXIT_CASE";
const WORKERS: &str = "ZINX_LOOP_EXIT_WORKERS";
const ADDRESS: &str = "ZINX_LOOP_EXIT_ADDRESS";

/// Longer than it takes to find out that nothing will run any more.
const LATE: Duration = Duration::from_secs(3);

/// The longest all of it may take.
const LIMIT: Duration = Duration::from_secs(120);
