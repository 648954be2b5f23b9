//! A Redis of a test's own: a process on a free port, without files.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::port::ReservedPort;
use crate::common::wait_until;

/// A `redis-server`, killed at the end of the test.
pub(crate) struct Redis {
    port: ReservedPort,
    process: Option<Child>,
}

impl Redis {
    /// `None`, with a word, if there is none on this machine.
    pub(crate) fn start() -> Option<Self> {
        let mut redis = Self { port: ReservedPort::new(), process: None };
        redis.run().then_some(redis)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.port.address)
    }

    /// Begins, empty, on the same port as before.
    pub(crate) fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.number().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        let started = command
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => self.process = Some(process),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(std::env::var_os("CI").is_none(), "there is no redis-server");
                let test = std::thread::current().name().unwrap_or("a test").to_string();
                eprintln!("skipped: {test}, for want of redis-server");
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

    /// The last of so many lines.
    fn lines(&self, command: &str, count: usize) -> String {
        let mut stream = TcpStream::connect(self.port.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        writeln!(stream, "{command}\r").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        lines.take(count).last().unwrap()
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
    }
}
