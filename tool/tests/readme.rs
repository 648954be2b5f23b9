//! The commands of the READMEs, run as their reader runs them, and what they are said to print.

#![expect(clippy::disallowed_methods, reason = "tests are plain threads: they block nobody's worker")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

#[test]
fn the_first_screen_of_the_readme_prints_what_it_says() {
    let _watchdog = watchdog();
    let mut server = Server::start();
    let sent =
        Command::new(env!("CARGO_BIN_EXE_zinx")).args(["send", &server.address, "1", "hello"]).output();
    let printed = String::from_utf8(sent.unwrap().stdout).unwrap();
    for readme in ["README.md", "README.zh-CN.md"] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(readme)).unwrap();
        assert!(text.contains("cargo run --release -- send 127.0.0.1:7777 1 hello\n"), "{readme}");
        let (_, said) = text.split_once("```text\n").unwrap();
        assert_eq!(printed, said.split_once("```").unwrap().0, "{readme}");
    }
    let interrupted = Command::new("kill").args(["-INT", &server.child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let mut log = String::new();
    server.log.read_to_string(&mut log).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0), "{log}");
    assert!(log.trim_end().ends_with("ZinxServerApp stopped"), "{log}");
}

/// Ends the process, loudly, where the test takes too long.
fn watchdog() -> Sender<()> {
    let (alive, gone) = mpsc::channel();
    thread::spawn(move || {
        if gone.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("WATCHDOG: not over after a minute");
            std::process::abort();
        }
    });
    alive
}

/// `zinx serve` on a free port, killed at the end of the test.
struct Server {
    child: Child,
    address: String,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zinx"));
        command.current_dir(env!("CARGO_TARGET_TMPDIR")).env("ZINX_TCPPORT", "0");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it has ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_string();
            }
        };
        Self { child, address, log }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail where it has ended and been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
