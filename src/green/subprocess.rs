//! Processes of other programs, as Python's `subprocess` has them: nothing here holds a worker, and nothing leaves a zombie.
//!
//! A process is described by the standard library's [`Command`], with [`Stdio`] for `PIPE` and `DEVNULL`.
//!
//! ```
//! use std::process::Command;
//! use zinx::green::{self, subprocess};
//!
//! let said = green::run(|| {
//!     let mut echo = Command::new("echo");
//!     echo.arg("hello");
//!     subprocess::check_output(echo)
//! });
//! assert_eq!(said.unwrap(), b"hello\n");
//! ```

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Builder, ScopeError, blocking, bluelet, scope, sleep, wait_read, wait_read_timeout};

/// A process that was started. Dropped, it lets the process go on, which is waited for when it ends.
///
/// [`bluelet::read`] and [`write`](super::bluelet::write) read and write its pipes without holding a
/// worker.
///
/// # Examples
///
/// ```
/// use std::process::{Command, Stdio};
/// use zinx::green::subprocess::Popen;
///
/// let mut cat = Command::new("cat");
/// cat.stdin(Stdio::piped()).stdout(Stdio::piped());
/// let output = Popen::new(cat)?.communicate(b"meow")?;
/// assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"meow"[..], Some(0)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "fork_and_watch")]
pub struct Popen {
    /// Its input, if that is piped. Dropped, it ends.
    pub stdin: Option<ChildStdin>,
    /// Its output, if that is piped.
    pub stdout: Option<ChildStdout>,
    /// Its errors, if those are piped.
    pub stderr: Option<ChildStderr>,
    child: Option<Child>,
    /// Readable once the process has ended.
    pidfd: Option<OwnedFd>,
    pid: u32,
    status: Option<ExitStatus>,
}

impl Popen {
    /// Starts a process, off the workers. If that is cut short, by a kill or a time limit, it is not started, or killed.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such program, and those of the system.
    pub fn new(command: Command) -> io::Result<Self> {
        Owned::start(command).map(Owned::let_go)
    }

    /// Blocks its thread.
    fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).inspect_err(|_| {
            // Nobody would know of it. It ends at once, so waiting for that takes no time.
            let _ = child.kill().and_then(|()| child.wait());
        })?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            pid: child.id(),
            child: Some(child),
            pidfd: Some(pidfd),
            status: None,
        })
    }

    /// The number of the process.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// How it has ended, without waiting; `None` while it runs.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        if let (None, Some(child)) = (self.status, &mut self.child) {
            self.status = child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits until it has ended. Any number of times. A process that waits for its input to end is not helped by that: drop
    /// [`stdin`](Self::stdin) first.
    ///
    /// # Errors
    ///
    /// Those of the system; `WouldBlock` in a destructor that runs while its coroutine unwinds.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.poll()? {
                return Ok(status);
            }
            self.pidfd.as_ref().map_or(Ok(()), wait_read)?;
        }
    }

    /// As [`wait`](Self::wait), at most for `timeout`. `None` if it still runs.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some(pidfd) = &self.pidfd
        {
            wait_read_timeout(pidfd, timeout)?;
        }
        self.poll()
    }

    /// Its exit code, or, if a signal ended it, the negative number of that, as in Python. `None` before it was waited for.
    pub fn returncode(&self) -> Option<i32> {
        let status = self.status?;
        status.code().or_else(|| status.signal().map(|signal| -signal))
    }

    /// Sends a signal, by number. Nothing happens to a process that has ended: its number may be another's, and is not used.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no such signal, and those of the system.
    pub fn send_signal(&mut self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?;
        match &self.pidfd {
            Some(pidfd) if self.status.is_none() => match pidfd_send_signal(pidfd, signal) {
                Err(rustix::io::Errno::SRCH) => Ok(()),
                sent => Ok(sent?),
            },
            _ => Ok(()),
        }
    }

    /// Asks it to end: SIGTERM.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    pub fn terminate(&mut self) -> io::Result<()> {
        self.send_signal(Signal::TERM.as_raw())
    }

    /// Ends it: SIGKILL.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    pub fn kill(&mut self) -> io::Result<()> {
        self.send_signal(Signal::KILL.as_raw())
    }

    /// Writes `input`, reads output and errors to their ends, all at the same time, and waits for the end. What is not piped
    /// is left alone. A process that does not read all of its input is no error.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn communicate(&mut self, input: &[u8]) -> io::Result<Output> {
        let (stdin, stdout, stderr) = (self.stdin.take(), self.stdout.take(), self.stderr.take());
        let input = input.to_vec();
        let streams = scope(|scope| {
            let writer = scope.spawn(move || match stdin.map(|stdin| bluelet::write(stdin, input)) {
                Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                _ => Ok(()),
            });
            let errors = scope.spawn(move || read_all(stderr.map(|pipe| bluelet::read(pipe, None))));
            let output = read_all(stdout.map(|pipe| bluelet::read(pipe, None)))?;
            writer.join();
            Ok((output, errors.get().unwrap_or_default()))
        });
        let (stdout, stderr) = streams.map_err(|error| match error {
            ScopeError::Error(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }
}

impl Drop for Popen {
    fn drop(&mut self) {
        if !matches!(self.poll(), Ok(None)) {
            return;
        }
        if let (Some(mut child), Some(pidfd)) = (self.child.take(), self.pidfd.take()) {
            let reap = move || {
                while matches!(child.try_wait(), Ok(None)) {
                    if wait_read(&pidfd).is_err() {
                        // There is no descriptor to wait with.
                        sleep(RETRY);
                    }
                }
            };
            if let Err(error) = Builder::new().name("process").shielded().detach(reap) {
                log::error!("process {} is not waited for: {error}", self.pid);
            }
        }
    }
}

/// Runs a process and waits for its end. If the wait is cut short, by a kill or a time limit, the process is killed.
///
/// # Errors
///
/// As [`Popen::new`].
pub fn call(command: Command) -> io::Result<ExitStatus> {
    Owned::start(command)?.process().wait()
}

/// As [`call`], and wants it to succeed.
///
/// # Errors
///
/// [`CheckError`].
pub fn check_call(command: Command) -> Result<(), CheckError> {
    let status = call(command).map_err(CheckError::Io)?;
    check(Output { status, stdout: Vec::new(), stderr: Vec::new() }).map(drop)
}

/// As [`check_call`], and returns what it has printed.
///
/// # Errors
///
/// [`CheckError`].
pub fn check_output(mut command: Command) -> Result<Vec<u8>, CheckError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let output = Owned::start(command).and_then(|mut owned| owned.process().communicate(b""));
    check(output.map_err(CheckError::Io)?)
}

/// Runs a process with this input, and returns how it has ended and what it has printed. If the wait is cut short, the process
/// is killed.
///
/// # Errors
///
/// As [`Popen::new`].
#[doc(alias("getoutput", "getstatusoutput"))]
pub fn run(mut command: Command, input: &[u8]) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Owned::start(command)?.process().communicate(input)
}

fn check(output: Output) -> Result<Vec<u8>, CheckError> {
    let Output { status, stdout, .. } = output;
    if status.success() { Ok(stdout) } else { Err(CheckError::Failed { status, stdout }) }
}

fn read_all(read: Option<io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    read.unwrap_or_else(|| Ok(Vec::new()))
}

/// A process of a call. Dropped while it runs, it is killed.
struct Owned(Option<Popen>);

impl Owned {
    /// Starts it. A caller that is gone by then has it not started, and one that goes meanwhile has it killed.
    fn start(command: Command) -> io::Result<Self> {
        let caller = Arc::new(());
        let wanted = Arc::downgrade(&caller);
        let started = blocking(move || match wanted.strong_count() {
            0 => Err(io::ErrorKind::Interrupted.into()),
            _ => Popen::start(command).map(|process| Self(Some(process))),
        });
        drop(caller);
        started
    }

    const fn process(&mut self) -> &mut Popen {
        self.0.as_mut().expect("taken by `let_go` alone")
    }

    fn let_go(mut self) -> Popen {
        self.0.take().expect("taken here alone")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0
            && matches!(process.poll(), Ok(None))
        {
            let _ = process.kill();
        }
    }
}

/// Between two looks whether a process has ended, if it cannot be waited for.
const RETRY: Duration = Duration::from_millis(50);

/// Why [`check_call`] or [`check_output`] failed.
#[doc(alias = "CalledProcessError")]
#[derive(Debug)]
#[doc(alias = "TimeoutExpired")]
pub enum CheckError {
    /// It could not be started, or not be read.
    Io(io::Error),
    /// It has ended otherwise than with 0.
    Failed {
        /// How it has ended.
        status: ExitStatus,
        /// What it has printed.
        stdout: Vec<u8>,
    },
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Failed { status, .. } => write!(f, "the process failed: {status}"),
        }
    }
}

impl std::error::Error for CheckError {}
