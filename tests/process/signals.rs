//! A server as a process: the first signal stops it in order, the second at once, and its exit code says which.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::process::{Ended, Process, SLACK};
use crate::common::{frame, shortest, wait_until};
use rustix::process::Signal;

#[test]
fn sigterm_under_load_loses_no_reply_of_the_hook_server() {
    stop_under_load(Signal::TERM);
}

#[test]
fn sigquit_under_load_loses_no_reply_either() {
    stop_under_load(Signal::QUIT);
}

fn stop_under_load(signal: Signal) {
    // Nobody is cut off, however slow the machine.
    let server = Process::hook_server(&[("ZINX_DRAINMS", "60000"), NO_WRITE_TIMEOUT]);
    let answered = Load::start(server.address, Answers::Hook).run_and(|| server.kill(signal));
    let ended = server.end_within(LONG);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let printed = |what: &str| ended.stdout.lines().filter(|line| line.contains(what)).count();
    assert_eq!(printed("======Start======== "), CONNECTIONS);
    assert_eq!(printed("======Stop======== "), CONNECTIONS);
    // What was handled was answered, whole.
    assert_eq!(printed("调用Handle"), CONNECTIONS + answered);
}

#[test]
fn sigterm_under_load_loses_no_reply_of_the_echo_server() {
    let server = Process::bench_echo();
    Load::start(server.address, Answers::Echo).run_and(|| server.kill(Signal::TERM));
    let ended = server.end_within(Duration::from_secs(5) + SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn sighup_and_the_users_signals_under_load_lose_no_message() {
    let server = Process::hook_server(&[]);
    let load = Load::start(server.address, Answers::Hook);
    let answered = Arc::clone(&load.answered);
    let all = load.run_and(|| {
        for (signal, says) in [
            (Signal::HUP, "reload: "),
            (Signal::USR1, "SIGUSR1 is ignored"),
            (Signal::USR2, "SIGUSR2 is ignored"),
        ]
        .repeat(3)
        {
            server.kill(signal);
            server.wait_for(says);
        }
        let end = Instant::now() + LONG;
        while answered.load(Ordering::Relaxed) < CONNECTIONS * REQUESTS {
            assert!(Instant::now() < end, "{} answered", answered.load(Ordering::Relaxed));
            thread::yield_now();
        }
        server.kill(Signal::TERM);
    });
    assert_eq!(all, CONNECTIONS * REQUESTS);
    let ended = server.end_within(Duration::from_secs(5) + SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn sigint_ends_an_idle_server_at_once() {
    let server = Process::hook_server(&[]);
    server.kill(Signal::INT);
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_served_server_chooses_the_runtime_and_hears_signals() {
    for workers in ["1", "3"] {
        let server = Process::hook_server(&[("ZINX_WORKERS", workers), ("ZINX_STACKBYTES", "524288")]);
        server.kill(Signal::TERM);
        let ended = server.end_within(SLACK);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
}

#[test]
fn sigterm_with_a_silent_client_ends_the_server_within_two_seconds() {
    let limit = Duration::from_secs(2);
    let took = shortest(limit, || {
        let server = Process::hook_server(&[]);
        let _silent = connect(server.address);
        wait_until("the start hook", || server.printed().contains("======Start======== 0"));
        let start = Instant::now();
        server.kill(Signal::TERM);
        let ended = server.end_within(SLACK);
        let took = start.elapsed();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let said = ended.stderr.lines().any(|line| line.ends_with(" stopped"));
        assert!(said, "it does not say that it has stopped: {}", ended.stderr);
        took
    });
    assert!(took < limit, "after {took:?}");
}

#[test]
fn drain_deadline_forces_the_stop_and_names_what_was_open() {
    let server = Process::hook_server(&[("ZINX_DRAINMS", "500"), NO_WRITE_TIMEOUT]);
    let peer = fill_until_stuck(&server);
    let start = Instant::now();
    server.kill(Signal::TERM);
    let ended = server.end_within(SLACK);
    assert!(start.elapsed() >= Duration::from_millis(400), "no time to drain: {:?}", start.elapsed());
    forced(&ended, &peer);
}

#[test]
fn second_sigterm_forces_the_stop_at_once() {
    let server = Process::hook_server(&[("ZINX_DRAINMS", "300000"), NO_WRITE_TIMEOUT]);
    let peer = fill_until_stuck(&server);
    server.kill(Signal::TERM);
    // Two signals of one kind that are pending at once are one.
    server.wait_for("stopping");
    server.kill(Signal::TERM);
    let ended = server.end_within(SLACK);
    forced(&ended, &peer);
}

// The load.

const CONNECTIONS: usize = 50;
const REQUESTS: usize = 2000;

/// What the server makes of a request.
#[derive(Clone, Copy)]
enum Answers {
    Hook,
    Echo,
}

impl Answers {
    fn answer(self, request: &[u8]) -> Vec<u8> {
        match self {
            Self::Hook => [frame(1, b"ping\n"), frame(1, request)].concat(),
            Self::Echo => frame(1, request),
        }
    }
}

/// 50 connections that send 2,000 requests each without waiting for an answer, and check every byte that comes back.
struct Load {
    readers: Vec<JoinHandle<usize>>,
    writers: Vec<JoinHandle<()>>,
    answered: Arc<AtomicUsize>,
    middle: mpsc::Receiver<()>,
}

impl Load {
    fn start(address: SocketAddr, answers: Answers) -> Self {
        let (tell, middle) = mpsc::channel();
        let answered = Arc::new(AtomicUsize::new(0));
        let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
        for stream in &mut streams {
            // All have begun before the load does: the server owes each a start and an end.
            stream.write_all(&frame(1, b"begin")).unwrap();
            let expected = answers.answer(b"begin");
            let mut answer = vec![0; expected.len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, expected);
        }
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        for stream in streams {
            let writing = stream.try_clone().unwrap();
            writers.push(thread::spawn(move || send_requests(writing)));
            let (tell, answered) = (tell.clone(), Arc::clone(&answered));
            readers.push(thread::spawn(move || check_answers(stream, answers, &answered, &tell)));
        }
        Self { readers, writers, answered, middle }
    }

    /// Does something in the middle, and returns how many requests were answered in all.
    fn run_and(self, act: impl FnOnce()) -> usize {
        self.middle.recv_timeout(LONG).unwrap();
        act();
        let all: usize = self.readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        self.writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(all, self.answered.load(Ordering::Relaxed));
        eprintln!("{all} of {} requests answered", CONNECTIONS * REQUESTS);
        assert!(all >= CONNECTIONS * REQUESTS / 4);
        all
    }
}

fn send_requests(mut stream: TcpStream) {
    for first in (0..REQUESTS).step_by(20) {
        let frames: Vec<u8> =
            (first..first + 20).flat_map(|request| frame(1, request.to_string().as_bytes())).collect();
        // The server may have ended its side.
        if stream.write_all(&frames).is_err() {
            return;
        }
    }
}

/// Reads to the end of the stream. What comes is whole answers, in order, without a gap. Returns how many.
fn check_answers(
    mut stream: TcpStream,
    answers: Answers,
    answered: &AtomicUsize,
    middle: &mpsc::Sender<()>,
) -> usize {
    let mut buf = vec![0; 64 * 1024];
    let (mut request, mut expected) = (0, Vec::new());
    loop {
        let n = stream.read(&mut buf).unwrap_or_else(|error| panic!("after {request} answers: {error}"));
        if n == 0 {
            assert!(expected.is_empty(), "cut {} bytes before the end of answer {request}", expected.len());
            return request;
        }
        let mut rest = &buf[..n];
        while !rest.is_empty() {
            if expected.is_empty() {
                expected = answers.answer(request.to_string().as_bytes());
            }
            let part = rest.len().min(expected.len());
            assert_eq!(rest[..part], expected[..part], "answer {request}");
            rest = &rest[part..];
            expected.drain(..part);
            if expected.is_empty() {
                request += 1;
                if answered.fetch_add(1, Ordering::Relaxed) + 1 == CONNECTIONS * REQUESTS / 4 {
                    middle.send(()).unwrap();
                }
            }
        }
    }
}

// A peer that never reads.

const NO_WRITE_TIMEOUT: (&str, &str) = ("ZINX_WRITETIMEOUTMS", "0");

/// Sends requests and reads no answer, until the server takes no more: its queue is full, its sender waits.
fn fill_until_stuck(server: &Process) -> TcpStream {
    let mut peer = connect(server.address);
    peer.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = frame(1, &[7; 4000]).repeat(16);
    let mut refused = 0;
    while refused < 3 {
        match peer.write(&requests) {
            Ok(_) => refused = 0,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                refused += 1;
                // A server that a busy machine keeps from running takes nothing either: it has to have run meanwhile.
                server.kill(Signal::USR1);
                server.wait_for("SIGUSR1 is ignored");
            }
            Err(error) => panic!("{error}"),
        }
    }
    peer
}

/// Exit code 1, the connection that was cut off named in the log, and the count in the last line.
fn forced(ended: &Ended, open: &TcpStream) {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let address = open.local_addr().unwrap().to_string();
    let named = ended.stderr.lines().any(|line| line.contains("cut off") && line.contains(&address));
    assert!(named, "{address} is not named: {}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("forced") && last.contains('1'), "{}", ended.stderr);
}

const LONG: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}
