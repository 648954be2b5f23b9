//! Servers in processes of their own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::resident_kib_of;
use super::port::ReservedPort;

/// What a busy machine may take for what takes no time.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// A server in a process of its own, killed at the end of the test.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The lines of stderr, as they come.
    lines: mpsc::Receiver<String>,
    /// Those that have been read.
    heard: Mutex<Vec<String>>,
    /// What it has printed so far.
    printed: Arc<Mutex<String>>,
    stdout: Option<JoinHandle<()>>,
}

/// How a process has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// Without what was read before.
    pub(crate) stderr: String,
}

impl Process {
    /// The hook demo's server, with settings from the environment, once it listens.
    pub(crate) fn hook_server(env: &[(&str, &str)]) -> Self {
        Self::listening(hook_command().envs(env.iter().copied()))
    }

    /// The hook demo's server, when no more than so many files may be open.
    pub(crate) fn hook_server_with_files(files: usize, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\"")]).arg(example("hook_server"));
        Self::listening(command.env("ZINX_HOST", "127.0.0.1").envs(env.iter().copied()))
    }

    /// A server on a free port, once it says that it listens.
    pub(crate) fn listening(command: &mut Command) -> Self {
        let mut server = Self::spawn(command.env("ZINX_TCPPORT", "0").env("RUST_LOG", "info,may=warn"));
        let line = server.wait_for("listening on ");
        server.address = line.split_once("listening on ").unwrap().1.trim().parse().unwrap();
        server
    }

    /// The echo server without logging, once it listens.
    pub(crate) fn bench_echo() -> Self {
        let port = ReservedPort::new();
        let mut server = Self::spawn(Command::new(example("bench_echo")).arg(port.number().to_string()));
        server.address = port.address;
        let start = Instant::now();
        // It does not say when it listens.
        while TcpStream::connect(port.address).is_err() {
            if start.elapsed() >= LONG || server.child.try_wait().unwrap().is_some() {
                let _ = server.child.kill();
                panic!("it does not listen: {:?}", server.lines.iter().collect::<Vec<_>>());
            }
            thread::yield_now();
        }
        server
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stderr, stdout) = (child.stderr.take().unwrap(), child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                // The test may have ended.
                let _ = send.send(line.unwrap());
            }
        });
        let printed = Arc::new(Mutex::new(String::new()));
        let prints = Arc::clone(&printed);
        let stdout = thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = String::from_utf8(line.unwrap()).unwrap();
                *prints.lock().unwrap() += &(line + "\n");
            }
        });
        Self {
            child,
            address: ([0, 0, 0, 0], 0).into(),
            lines,
            heard: Mutex::default(),
            printed,
            stdout: Some(stdout),
        }
    }

    /// The lines of stderr that have been waited for, and those before them.
    pub(crate) fn said(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The next line of stderr that has this in it.
    pub(crate) fn wait_for(&self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("it has not said {what:?}"));
            self.heard.lock().unwrap().push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    /// What it has printed on its standard output so far, in whole lines.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// The share of one processor that it takes, in per cent, over this time.
    fn cpu_per_cent(&self, over: Duration) -> f64 {
        let id = self.child.id().to_string();
        let (before, start) = (processor_time(&id), Instant::now());
        thread::sleep(over);
        100.0 * (processor_time(&id) - before).as_secs_f64() / start.elapsed().as_secs_f64()
    }

    /// The least it takes of a processor in one of several seconds: what a busy machine adds now and then does not count.
    pub(crate) fn least_cpu_per_cent(&self, seconds: usize) -> f64 {
        let each = (0..seconds).map(|_| self.cpu_per_cent(Duration::from_secs(1)));
        each.fold(f64::INFINITY, f64::min)
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// How many descriptors it has.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> usize {
        resident_kib_of(&self.child.id().to_string())
    }

    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end_within(mut self, limit: Duration) -> Ended {
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
        self.stdout.take().unwrap().join().unwrap();
        Ended { status, stdout: self.printed(), stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts the hook demo's server.
pub(crate) fn hook_command() -> Command {
    let mut command = Command::new(example("hook_server"));
    command.env("ZINX_HOST", "127.0.0.1");
    command
}

/// An example program: `cargo test` builds them beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "{} is missing: run cargo build --examples", program.display());
    program
}

const LONG: Duration = Duration::from_secs(60);

/// The user and system time so far of a process: its id, or `self`.
pub(crate) fn processor_time(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in brackets, may have spaces in it.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
