//! A stack overflow ends the process with one line that names the coroutine and with exit code 1: whatever the code was
//! doing, and wherever it ran. Each in a process of its own.
//!
//! `ZINX_TEST_OVERFLOWS` says how often each is done; what goes wrong once in a hundred times needs some hundred.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::process::Process;
use common::{comes_true, config, frame, start_alone};
use rustix::process::{Signal, getpid, kill_process};
use zinx::green::{self, Builder, Runtime};
use zinx::ziface::{IConnection, IRequest};

#[test]
fn a_stack_overflow_in_a_handler_ends_the_process_with_exit_code_1() {
    each_way("a_stack_overflow_in_a_handler_ends_the_process_with_exit_code_1", "\"connection 0\"", |dig| {
        serve(&move |server| {
            let router = move |_: &dyn IRequest| {
                never_ends(dig);
                Ok(())
            };
            server.add_router(DIG, router).unwrap();
        });
    });
}

#[test]
fn a_stack_overflow_in_a_hook_ends_the_process_with_exit_code_1() {
    each_way("a_stack_overflow_in_a_hook_ends_the_process_with_exit_code_1", "\"connection 0\"", |dig| {
        serve(&move |server| {
            server.set_on_conn_start(move |_: &Arc<dyn IConnection>| {
                never_ends(dig);
                Ok(())
            });
        });
    });
}

#[test]
fn a_stack_overflow_in_a_greenlet_ends_the_process_with_exit_code_1() {
    each_way("a_stack_overflow_in_a_greenlet_ends_the_process_with_exit_code_1", "\"digger 协程\"", |dig| {
        start_runtime();
        let digger = Builder::new().name("digger 协程").spawn(move || never_ends(dig)).unwrap();
        digger.join();
    });
}

#[test]
fn a_stack_overflow_in_a_greenlet_with_a_stack_of_its_own_size_ends_the_process_with_exit_code_1() {
    const NAME: &str =
        "a_stack_overflow_in_a_greenlet_with_a_stack_of_its_own_size_ends_the_process_with_exit_code_1";
    each_way(NAME, "\"digger\" has overflowed its stack of 401408 bytes", |dig| {
        start_runtime();
        let owned = [dig as usize; 1000];
        let digger = Builder::new().name("digger").stack_size(400_000).spawn(move || {
            black_box(owned);
            never_ends(dig)
        });
        digger.unwrap().join();
    });
}

#[test]
fn a_stack_overflow_in_a_thread_of_the_pool_ends_the_process_with_exit_code_1() {
    const NAME: &str = "a_stack_overflow_in_a_thread_of_the_pool_ends_the_process_with_exit_code_1";
    each_way(NAME, "a thread of green::blocking, at work for coroutine", |dig| {
        start_runtime();
        let asks =
            Builder::new().name("asks").spawn(move || green::blocking(move || never_ends(dig))).unwrap();
        asks.join();
    });
}

#[test]
fn two_stack_overflows_at_once_are_told_once() {
    const NAME: &str = "two_stack_overflows_at_once_are_told_once";
    each_way(NAME, "\"digger\"", |dig| {
        Runtime { workers: 4, ..Runtime::default() }.start().unwrap();
        let digger = || Builder::new().name("digger").spawn(move || never_ends(dig)).unwrap();
        let _ = green::joinall([digger(), digger(), digger(), digger()]);
    });
}

#[test]
fn a_stack_overflow_ends_the_process_although_nobody_reads_its_stderr() {
    const NAME: &str = "a_stack_overflow_ends_the_process_although_nobody_reads_its_stderr";
    if std::env::var_os(CHILD).is_some() {
        start_runtime();
        return green::spawn(|| {
            fill_stderr();
            never_ends(plain);
        })
        .join();
    }
    let mut child = child(NAME, "").stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < LONG {
        thread::sleep(Duration::from_millis(10));
    }
    let status = child.try_wait().unwrap();
    let _ = child.kill();
    let mut said = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{status:?}");
}

#[test]
fn the_overflow_of_a_thread_of_the_program_s_own_is_left_to_the_standard_library() {
    const NAME: &str = "the_overflow_of_a_thread_of_the_program_s_own_is_left_to_the_standard_library";
    if std::env::var_os(CHILD).is_some() {
        start_runtime();
        green::run(|| ());
        let own = thread::Builder::new().name("own".to_string()).spawn(|| never_ends(plain));
        return drop(own.unwrap().join());
    }
    let (status, said) = end_of(&mut child(NAME, ""));
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}: {said}");
    assert!(said.contains("thread 'own'") && said.contains("has overflowed its stack"), "{said}");
    assert!(!said.contains("zinx: "), "{said}");
}

#[test]
fn a_signal_that_somebody_sends_is_no_overflow() {
    const NAME: &str = "a_signal_that_somebody_sends_is_no_overflow";
    if std::env::var_os(CHILD).is_some() {
        start_runtime();
        // The handler of the standard library swallows the first one.
        let end_of_process = || {
            kill_process(getpid(), Signal::SEGV).unwrap();
            false
        };
        return assert!(!green::run(move || comes_true(LONG, end_of_process)));
    }
    let (status, said) = end_of(&mut child(NAME, ""));
    assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()), "{status}: {said}");
    assert!(!said.contains("overflowed"), "{said}");
}

/// Calls itself until the stack is used up, in one way or another.
type Dig = fn(u64) -> u64;

const WAYS: [(&str, Dig); 7] = [
    ("plain", plain),
    ("allocates", allocates),
    ("formats", formats),
    ("prints", prints),
    ("locks", locks),
    ("yields", yields),
    ("sleeps", sleeps),
];

/// Lets the test `name` overflow a stack in each way; each time the line must have `named` in it.
fn each_way(name: &str, named: &str, overflow: fn(Dig)) {
    if let Ok(way) = std::env::var(CHILD) {
        let (_, dig) = WAYS.into_iter().find(|(of, _)| *of == way).unwrap();
        return overflow(dig);
    }
    let rounds = std::env::var("ZINX_TEST_OVERFLOWS").map_or(1, |rounds| rounds.parse().unwrap());
    let mut slowest = Duration::ZERO;
    for (way, _) in WAYS {
        for round in 0..rounds {
            let start = Instant::now();
            let (status, said) = end_of(child(name, way).env(ROUND, round.to_string()));
            slowest = slowest.max(start.elapsed());
            let told: Vec<_> =
                said.lines().filter(|line| line.contains("has overflowed its stack")).collect();
            assert_eq!(status.code(), Some(1), "{way}, round {round}: {status}, {}", end(&said));
            assert_eq!(told.len(), 1, "{way}, round {round}: {told:?} {}", end(&said));
            assert!(
                told[0].contains("zinx: ") && told[0].contains(named),
                "{way}, round {round}: {}",
                told[0]
            );
        }
    }
    eprintln!("{name}: {} times in each of {} ways, {slowest:?} at most", rounds, WAYS.len());
}

fn child(test: &str, way: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(CHILD, way).env_remove("RUST_BACKTRACE");
    child.stdin(Stdio::null()).stdout(Stdio::null());
    child
}

/// How a program ends, which it must, and what it says.
fn end_of(command: &mut Command) -> (ExitStatus, String) {
    let ended = Process::spawn(command).end_within(LONG);
    (ended.status, ended.stderr)
}

/// The last of what a program has said.
fn end(said: &str) -> &str {
    said.get(said.len().saturating_sub(500)..).unwrap_or(said)
}

/// Serves one peer that sends a message, until that has ended the process.
fn serve(set_up: &dyn Fn(&zinx::Server)) {
    let running = start_alone(config(), set_up);
    let mut peer = running.connect();
    // The start hook may have ended the process.
    let _ = peer.stream.write_all(&frame(DIG, b""));
    let _ = peer.stream.read(&mut [0]);
    // The process ends at any moment; if it does not, the test says so.
    comes_true(LONG, || false);
}

fn start_runtime() {
    Runtime { workers: config().workers, ..Runtime::default() }.start().unwrap();
}

/// Digs from some way down, which differs from round to round, so that the stack ends at different places of the code.
fn never_ends(dig: Dig) -> u64 {
    let round = std::env::var(ROUND).map_or(0, |round| round.parse().unwrap());
    panic!("there is no end to {} calls", from_depth(round % 50, dig));
}

#[inline(never)]
fn from_depth(depth: u64, dig: Dig) -> u64 {
    let frame = black_box([depth; 2]);
    (if depth == 0 { dig(0) } else { from_depth(depth - 1, dig) }) + black_box(frame)[0]
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn plain(depth: u64) -> u64 {
    let frame = black_box([depth; 4]);
    plain(depth + 1) + black_box(frame)[0]
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn allocates(depth: u64) -> u64 {
    let memory: Vec<u8> = black_box(Vec::with_capacity(1500 + depth as usize * 40 % 3000));
    allocates(depth + 1) + black_box(memory).capacity() as u64
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn formats(depth: u64) -> u64 {
    let text = black_box(format!("{depth:?} {:?} {}", [depth; 4], 1.0 / depth as f64));
    formats(depth + 1) + black_box(text).len() as u64
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn prints(depth: u64) -> u64 {
    eprintln!("{depth} {:?}", [depth; 8]);
    prints(depth + 1) + black_box(depth)
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn locks(depth: u64) -> u64 {
    static SEEN: Mutex<Option<HashMap<u64, String>>> = Mutex::new(None);
    let lock = Mutex::new(depth);
    let held = black_box(lock.lock().unwrap());
    SEEN.lock().unwrap().get_or_insert_default().insert(depth, depth.to_string());
    locks(*held + 1) + black_box(*held)
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn yields(depth: u64) -> u64 {
    green::yield_now();
    yields(depth + 1) + black_box(depth)
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn sleeps(depth: u64) -> u64 {
    green::sleep(Duration::from_micros(1));
    sleeps(depth + 1) + black_box(depth)
}

/// Writes to stderr as long as it takes anything.
fn fill_stderr() {
    let stderr = rustix::stdio::stderr();
    rustix::io::ioctl_fionbio(stderr, true).unwrap();
    while rustix::io::write(stderr, &[b'.'; 64]).is_ok() {}
    rustix::io::ioctl_fionbio(stderr, false).unwrap();
}

/// In the environment of a child: the way in which it overflows its stack, and how often that was done before.
const CHILD: &str = "ZINX_TEST_OVERFLOW";
const ROUND: &str = "ZINX_TEST_ROUND";

/// The message id whose handler never stops calling itself.
const DIG: u32 = 7;
const LONG: Duration = Duration::from_secs(60);
