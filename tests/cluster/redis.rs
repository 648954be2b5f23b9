//! A Redis of a test's own: a process on a free port, without files.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::port::ReservedPort;
use crate::common::wait_until;

/// A `redis-server`, killed at the end of the test.
pub(crate) struct Redis {
    port: ReservedPort,
    args: Vec<String>,
    /// Where it keeps its data, if it does, and the time that it believes in.
    folder: PathBuf,
    /// The library that lies to it about the time.
    clock: Option<PathBuf>,
    process: Option<Child>,
}

impl Redis {
    /// `None`, with a word, if there is none on this machine.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[]).start_it()
    }

    /// As [`start`](Self::start). What it has said is kept when it is killed.
    pub(crate) fn start_with_data() -> Option<Self> {
        Self::with(&["--appendonly", "yes", "--appendfsync", "no"]).start_it()
    }

    /// As [`start`](Self::start), as a replica.
    pub(crate) fn start_as_replica_of(&self) -> Option<Self> {
        Self::with(&["--replicaof", "127.0.0.1", &self.port.number().to_string()]).start_it()
    }

    /// As [`start`](Self::start). It answers those alone who know the password.
    pub(crate) fn start_with_password(password: &str) -> Option<Self> {
        Self::with(&["--requirepass", password]).start_it()
    }

    /// As [`start`](Self::start). It speaks TLS alone, with the server's certificate of the tests.
    #[cfg(feature = "tls")]
    pub(crate) fn start_with_tls() -> Option<Self> {
        let mut redis = Self::with(&["--port", "0", "--tls-auth-clients", "no"]);
        let tls_port = redis.port.number().to_string();
        redis.args.extend(["--tls-port".to_string(), tls_port]);
        for (setting, file) in [
            ("--tls-cert-file", "server.pem"),
            ("--tls-key-file", "server.key"),
            ("--tls-ca-cert-file", "ca.pem"),
        ] {
            redis.args.extend([setting.to_string(), pem(file)]);
        }
        redis.start_it()
    }

    /// As [`start`](Self::start), with a clock that can [jump](Self::jump). `None`, with a word, also without a C compiler.
    pub(crate) fn start_with_clock() -> Option<Self> {
        let mut redis = Self::with(&[]);
        let library = redis.folder.join("clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jumping_clock.c");
        let mut compiler = Command::new("cc");
        match compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status() {
            Ok(status) => assert!(status.success(), "cc: {status}"),
            Err(_) => {
                skipped("cc");
                return None;
            }
        }
        redis.clock = Some(library);
        redis.jump(0);
        redis.start_it()
    }

    fn with(args: &[&str]) -> Self {
        let port = ReservedPort::new();
        let name = format!("redis-{}-{}", std::process::id(), port.number());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let args = args.iter().map(ToString::to_string).collect();
        Self { port, args, folder, clock: None, process: None }
    }

    fn start_it(mut self) -> Option<Self> {
        self.run().then_some(self)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.port.address)
    }

    /// From now on its clock differs from the true time by so many seconds.
    pub(crate) fn jump(&self, seconds: i64) {
        // In place: it has the file mapped.
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let mut clock = options.open(self.folder.join("clock")).unwrap();
        clock.write_all(&seconds.to_ne_bytes()).unwrap();
    }

    /// Begins on the same port as before, empty unless it keeps its data.
    pub(crate) fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.number().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--repl-diskless-sync-delay", "0"]).args(&self.args);
        if let Some(library) = &self.clock {
            command.env("LD_PRELOAD", library).env("ZINX_TEST_CLOCK", self.folder.join("clock"));
        }
        let started = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => self.process = Some(process),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skipped("redis-server");
                return false;
            }
            Err(error) => panic!("{error}"),
        }
        wait_until("Redis", || TcpStream::connect(self.port.address).is_ok());
        true
    }

    /// Ends it at once; all that it holds is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// The answer to a command that is one line.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.lines(command, 1)
    }

    /// The answer to a command that is a text, behind the line of its length.
    pub(crate) fn ask_for_text(&self, command: &str) -> String {
        self.lines(command, 2)
    }

    /// The answer to a command that is a text of many lines.
    pub(crate) fn ask_for_all(&self, command: &str) -> String {
        let stream = asked(self.port.address, command);
        let (mut stream, mut len) = (BufReader::new(stream), String::new());
        stream.read_line(&mut len).unwrap();
        let mut text = vec![0; len.trim()[1..].parse().unwrap()];
        stream.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Whether it is a replica that is up to date, or nearly so.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.lines("ROLE", 8) == "connected"
    }

    /// The last of so many lines.
    fn lines(&self, command: &str, count: usize) -> String {
        lines_of(self.port.address, command, count)
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It ends also while it is paused.
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Of the answer to a command, the last of so many lines.
pub(crate) fn lines_of(address: SocketAddr, command: &str, count: usize) -> String {
    let lines = BufReader::new(asked(address, command)).lines().map(Result::unwrap);
    lines.take(count).last().unwrap()
}

/// The words of an answer that is a list of them.
pub(crate) fn words_of(address: SocketAddr, command: &str) -> Vec<String> {
    let mut lines = BufReader::new(asked(address, command)).lines().map(Result::unwrap);
    let count: usize = lines.next().unwrap().trim_start_matches('*').parse().unwrap_or_default();
    // Each stands behind its length.
    lines.take(2 * count).skip(1).step_by(2).collect()
}

fn asked(address: SocketAddr, command: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    writeln!(stream, "{command}\r").unwrap();
    stream
}

/// A file of the test certificates.
#[cfg(feature = "tls")]
pub(crate) fn pem(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    folder.join(name).display().to_string()
}

/// Says that a test was skipped, and why. On a machine that is to run all of them, it fails.
fn skipped(program: &str) {
    assert!(std::env::var_os("CI").is_none(), "there is no {program}");
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    eprintln!("skipped: {test}, for want of {program}");
}
