//! The demos, as a user runs them: each server and its client in processes of their own, compared line by line.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block nobody's worker"
)]

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

#[test]
fn echo() {
    let expected = "==> Recv Msg: ID=1, data=b\"hello\"\n\
                    ==> Recv Msg: ID=1, data=b\"zinx\"\n\
                    ==> Recv Msg: ID=1, data=b\"\"\n";
    check("echo", &[], expected);
}

#[test]
fn connection() {
    let one = |id: u32| {
        format!(
            "==> Recv Msg: ID=1, data=\"conn id {id}, from my own address\"\n\
             ==> Recv Msg: ID=2, data=\"bye\"\nclosed by the server\n"
        )
    };
    check("connection", &[], &[one(0), one(1)].concat());
}

#[test]
fn router() {
    let three = "==> Recv Msg: ID=1, data=b\"before ping ...\"\n\
                 ==> Recv Msg: ID=1, data=b\"ping...ping...ping\"\n\
                 ==> Recv Msg: ID=1, data=b\"after ping ...\"\n";
    check("router", &[], &three.repeat(2));
}

#[test]
fn globalobj() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/globalobj/conf/zinx.json");
    let told = "b\"zinx chapter 4 demo V0.4, MaxConn 3, MaxPacketSize";
    let expected = format!("64 bytes: {told} 64\"\n65 bytes: closed by the server\n");
    check("globalobj", &[("ZINX_CONFIG_FILE_PATH", file)], &expected);
    let expected = format!("64 bytes: {told} 4096\"\n65 bytes: {told} 4096\"\n");
    check("globalobj", &[("ZINX_CONFIG_FILE_PATH", file), ("ZINX_MAXPACKETSIZE", "4096")], &expected);
}

#[test]
fn datapack() {
    let expected = "a frame: 04 00 00 00 01 00 00 00 70 69 6e 67\n\
                    ==> Recv Msg: ID=1, data=b\"4 bytes: PING\"\n\
                    ==> Recv Msg: ID=1, data=b\"4 bytes: PONG\"\n\
                    ==> Recv Msg: ID=1, data=b\"10 bytes: CUT IN TWO\"\n";
    check("datapack", &[], expected);
}

#[test]
fn property() {
    let expected = "first: ID=1, data=b\"message 1 of guest 0\"\n\
                    second: ID=1, data=b\"message 1 of guest 1\"\n\
                    first: ID=1, data=b\"message 2 of guest 0\"\n\
                    first: ID=2, data=b\"forgotten\"\n\
                    first: ID=1, data=b\"message 3 of somebody\"\n";
    check("property", &[], expected);
}

#[test]
fn hook() {
    let reply = |n: u32| {
        format!(
            "==> Recv Msg: ID=1, data=b\"ping\\n\"\n==> Recv Msg: ID=1, data=b\"Zinx client message {n}\"\n"
        )
    };
    let begin = "==> Recv Msg: ID=202, data=b\"DoConnection BEGIN\"\n";
    check("hook", &[], &format!("{begin}{}{}{}", reply(1), reply(2), reply(3)));
}

#[test]
fn msghandler() {
    let both = "==> Recv Msg: ID=0, data=b\"ping...ping...ping\"\n\
                ==> Recv Msg: ID=1, data=b\"Hello Zinx Router\"\n";
    check("msghandler", &[], &both.repeat(2));
}

#[test]
fn read_write() {
    let lines = [(0, "ping 1"), (0, "ping 2"), (0, "ping 3"), (1, "Hello"), (1, "Zinx"), (1, "Router")];
    let expected: String =
        lines.iter().map(|(id, data)| format!("==> Recv Msg: ID={id}, data=b\"{data}\"\n")).collect();
    check("read_write", &[], &expected);
}

#[test]
fn connmanager() {
    let expected = "first: b\"conn id 0, 1 open\"\n\
                    second: b\"conn id 1, 2 open\"\n\
                    first: b\"conn id 0, 2 open\"\n";
    check("connmanager", &[], expected);
}

#[test]
fn connmanager_closes_one_connection_too_many() {
    let expected = "first: b\"conn id 0, 1 open\"\n\
                    second: closed by the server\n\
                    first: b\"conn id 0, 1 open\"\n";
    check("connmanager", &[("ZINX_MAXCONN", "1")], expected);
}

/// Runs a demo's server and client; the client must print `expected`, and the server end well when told to.
fn check(demo: &str, settings: &[(&str, &str)], expected: &str) {
    let deadline = Instant::now() + LIMIT;
    let mut server = Running::spawn(
        example(&format!("{demo}_server"))
            .envs(settings.iter().copied())
            .env("ZINX_TCPPORT", "0")
            .stdout(Stdio::null()),
    );
    let address = server.address(deadline);
    let mut client = Running::spawn(example(&format!("{demo}_client")).arg(address).stdout(Stdio::piped()));
    // A demo prints less than a pipe holds, so it can end before anyone reads.
    let status = client.wait(deadline);
    let mut printed = String::new();
    client.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, expected);
    assert!(status.success(), "client: {status}");
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    let status = server.wait(deadline);
    assert_eq!(status.code(), Some(0), "server: {status}");
}

/// An example program: `cargo test` builds them beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program: PathBuf = profile.join("examples").join(name);
    assert!(program.exists(), "{} is missing: run cargo build --examples", program.display());
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A process that does not outlive its test.
struct Running {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Running {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, said) = mpsc::channel();
        thread::spawn(move || listen(stderr, &tell));
        Self { child, said }
    }

    /// The address the server says it listens on.
    fn address(&self, deadline: Instant) -> String {
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once("listening on ") {
                        return address.trim().to_string();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no address within {LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before it listened"),
            }
        }
    }

    fn wait(&mut self, deadline: Instant) -> ExitStatus {
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("still running after {LIMIT:?}: {:?}", self.said.try_iter().collect::<Vec<_>>());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where the process has ended and been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes lines on until the process ends; also shown where the test fails.
fn listen(stderr: ChildStderr, tell: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(io::Result::ok) {
        eprintln!("{line}");
        // Nobody may listen any more: the pipe is emptied all the same.
        let _ = tell.send(line);
    }
}

/// The longest one demo may take.
const LIMIT: Duration = Duration::from_secs(20);
