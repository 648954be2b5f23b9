//! What the tests of the command share.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Ends the process, loudly, if the test takes too long.
pub(crate) fn watchdog() -> Sender<()> {
    let (alive, gone) = mpsc::channel();
    thread::spawn(move || {
        if gone.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("WATCHDOG: not over after a minute");
            std::process::abort();
        }
    });
    alive
}

/// The command in an environment without our variables.
pub(crate) fn zinx() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zinx"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ZINX_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// `zinx serve`, killed at the end of the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What it has said until it listened.
    pub(crate) said: String,
    log: BufReader<ChildStderr>,
}

impl Server {
    /// Starts it, and waits until it says where it can be reached.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut line) = (String::new(), String::new());
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it has ended before it listened: {said}");
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("to talk to it: zinx send ") {
                break rest.split(' ').next().unwrap().to_string();
            }
        };
        Self { child, address, said, log }
    }

    /// Ends it with SIGINT; its exit code, and all that it has said.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, String) {
        let interrupted = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(interrupted.unwrap().success());
        let mut said = std::mem::take(&mut self.said);
        self.log.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended and been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
