//! A server as a process: signals, exit codes, and what it says when it cannot start.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

// SIGTERM.

#[test]
fn sigterm_under_load_loses_no_reply_of_the_hook_server() {
    let server = Process::hook_server(&[("ZINX_TCPPORT", "0")]);
    let answered = Load::start(server.address, Answers::Hook).run_and(|| server.kill(Signal::TERM));
    let ended = server.end_within(Duration::from_secs(5) + SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let printed = |what: &str| ended.stdout.lines().filter(|line| line.contains(what)).count();
    assert_eq!(printed("======Start"), CONNECTIONS);
    assert_eq!(printed("======End"), CONNECTIONS);
    assert_eq!(printed("is lost"), CONNECTIONS);
    // What was handled was answered, whole.
    assert_eq!(printed("recv from client"), answered);
}

#[test]
fn sigterm_under_load_loses_no_reply_of_the_echo_server() {
    let server = Process::bench_echo();
    Load::start(server.address, Answers::Echo).run_and(|| server.kill(Signal::TERM));
    let ended = server.end_within(Duration::from_secs(5) + SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn sigint_ends_an_idle_server_at_once() {
    let server = Process::hook_server(&[("ZINX_TCPPORT", "0")]);
    server.kill(Signal::INT);
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn sigterm_with_a_silent_client_ends_the_server_within_two_seconds() {
    let server = Process::hook_server(&[("ZINX_TCPPORT", "0")]);
    let mut silent = connect(server.address);
    silent.read_exact(&mut vec![0; Answers::Hook.greeting().len()]).unwrap();
    let start = Instant::now();
    server.kill(Signal::TERM);
    let ended = server.end_within(SLACK);
    assert!(start.elapsed() < Duration::from_secs(2), "after {:?}", start.elapsed());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.ends_with("stopped"), "the last line is not that it has stopped: {}", ended.stderr);
}

#[test]
fn drain_deadline_forces_the_stop_and_names_what_was_open() {
    let server = Process::hook_server(&[("ZINX_TCPPORT", "0"), ("ZINX_DRAINMS", "500"), NO_WRITE_TIMEOUT]);
    let peer = fill_until_stuck(server.address);
    let start = Instant::now();
    server.kill(Signal::TERM);
    let ended = server.end_within(SLACK);
    assert!(start.elapsed() >= Duration::from_millis(400), "no time to drain: {:?}", start.elapsed());
    forced(&ended);
    drop(peer);
}

#[test]
fn second_sigterm_forces_the_stop_at_once() {
    let server = Process::hook_server(&[("ZINX_TCPPORT", "0"), ("ZINX_DRAINMS", "300000"), NO_WRITE_TIMEOUT]);
    let peer = fill_until_stuck(server.address);
    server.kill(Signal::TERM);
    // Two signals of one kind that are pending at once are one.
    server.wait_for("stopping");
    server.kill(Signal::TERM);
    let ended = server.end_within(SLACK);
    forced(&ended);
    drop(peer);
}

// Starts that fail.

#[test]
fn port_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server =
        Process::spawn(hook_command().env("ZINX_TCPPORT", address.port().to_string()).env("RUST_LOG", "off"));
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(&address.to_string()), "{}", ended.stderr);
}

#[test]
fn bad_configuration_names_file_line_key_and_what_was_expected() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("signals-bad-zinx.yaml");
    std::fs::write(&file, "Name: fine\nTcpPort: 0\nMaxConn: many\nDrainMs: -1\n").unwrap();
    let server = Process::spawn(hook_command().env("ZINX_CONFIG_FILE_PATH", &file).env("RUST_LOG", "off"));
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let file = file.display();
    assert!(lines[0].starts_with(&format!("{file}:3: MaxConn: ")), "{}", lines[0]);
    assert!(lines[0].contains("many") && lines[0].contains("expected a whole number"), "{}", lines[0]);
    assert!(lines[1].starts_with(&format!("{file}:4: DrainMs: ")), "{}", lines[1]);
    assert!(lines[1].contains("-1") && lines[1].contains("expected"), "{}", lines[1]);
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
    fn greeting(self) -> Vec<u8> {
        match self {
            Self::Hook => frame(202, b"DoConnection BEGIN"),
            Self::Echo => Vec::new(),
        }
    }

    fn answer(self, request: usize) -> Vec<u8> {
        let data = request.to_string();
        match self {
            Self::Hook => [frame(1, b"ping\n"), frame(1, data.as_bytes())].concat(),
            Self::Echo => frame(1, data.as_bytes()),
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
            // All have begun before any asks: the server owes each a start and an end.
            let mut greeting = vec![0; answers.greeting().len()];
            stream.read_exact(&mut greeting).unwrap();
            assert_eq!(greeting, answers.greeting());
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
                expected = answers.answer(request);
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
fn fill_until_stuck(address: SocketAddr) -> TcpStream {
    let mut peer = connect(address);
    peer.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = frame(1, &[7; 4000]).repeat(16);
    loop {
        match peer.write(&requests) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return peer,
            Err(error) => panic!("{error}"),
        }
    }
}

fn forced(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("forced") && last.contains('1'), "{}", ended.stderr);
}

// Processes.

const LONG: Duration = Duration::from_secs(60);

/// What a busy machine may take for what takes no time.
const SLACK: Duration = Duration::from_secs(10);

/// A server in a process of its own, killed at the end of the test.
struct Process {
    child: Child,
    address: SocketAddr,
    /// The lines of stderr, as they come.
    lines: mpsc::Receiver<String>,
    stdout: Option<JoinHandle<String>>,
}

struct Ended {
    status: ExitStatus,
    stdout: String,
    /// Without what was read before.
    stderr: String,
}

impl Process {
    fn hook_server(env: &[(&str, &str)]) -> Self {
        let mut server = Self::spawn(hook_command().envs(env.iter().copied()).env("RUST_LOG", "info"));
        let line = server.wait_for("listening on ");
        server.address = line.split_once("listening on ").unwrap().1.trim().parse().unwrap();
        server
    }

    fn bench_echo() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self::spawn(Command::new(example("bench_echo")).arg(free.port().to_string()));
        server.address = free;
        let start = Instant::now();
        // It does not say when it listens.
        while TcpStream::connect(free).is_err() {
            assert!(start.elapsed() < LONG, "it does not listen");
            thread::yield_now();
        }
        server
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stderr, mut stdout) = (child.stderr.take().unwrap(), child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                // The test may have ended.
                let _ = send.send(line.unwrap());
            }
        });
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, address: ([0, 0, 0, 0], 0).into(), lines, stdout: Some(stdout) }
    }

    /// The next line of stderr that has this in it.
    fn wait_for(&self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("it has not said {what:?}"));
            if line.contains(what) {
                return line;
            }
        }
    }

    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end_within(mut self, limit: Duration) -> Ended {
        let end = Instant::now() + limit;
        let mut stderr = String::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => stderr = stderr + &line + "\n",
                // It has closed its stderr: it ends.
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("not ended within {limit:?}: {stderr}"),
            }
        }
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        Ended { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hook_command() -> Command {
    let mut command = Command::new(example("hook_server"));
    command.env("ZINX_HOST", "127.0.0.1");
    command
}

fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(name)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn frame(id: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [&len.to_le_bytes(), &id.to_le_bytes(), data].concat()
}
