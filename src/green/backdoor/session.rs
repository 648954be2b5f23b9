//! A session: reads lines, has them answered, and knows when to hang up.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commands::{self, Answer};
use crate::green::{Coroutine, Exit, TcpStream, Until, wait_read_timeout, wait_write_timeout};

/// What the program says about its sessions.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) banner: Option<Cow<'static, str>>,
    pub(super) stats: Option<Arc<Stats>>,
    pub(super) max_sessions: usize,
    pub(super) idle: Duration,
}

pub(super) type Stats = dyn Fn() -> String + Send + Sync;

impl Default for Settings {
    fn default() -> Self {
        Self { banner: None, stats: None, max_sessions: 4, idle: Duration::from_secs(600) }
    }
}

pub(super) struct Session {
    stream: TcpStream,
    settings: Settings,
    peer: SocketAddr,
    /// Read, and not yet a whole line.
    typed: Vec<u8>,
}

impl Session {
    pub(super) const fn new(stream: TcpStream, settings: Settings, peer: SocketAddr) -> Self {
        Self { stream, settings, peer, typed: Vec::new() }
    }

    /// Talks until one of the two has had enough.
    pub(super) fn run(mut self) {
        if let Err(error) = self.talk() {
            // The person should know why, if there is one.
            let _ = self.say(&format!("{error}\n"));
            log::info!("the backdoor hangs up on {}: {error}", self.peer);
        }
    }

    fn talk(&mut self) -> io::Result<()> {
        let banner = self.settings.banner.clone();
        self.say(&banner.map_or_else(default_banner, |banner| format!("{banner}\n")))?;
        loop {
            self.say(PROMPT)?;
            let Some(line) = self.line()? else { return Ok(()) };
            if line.contains(" HTTP/") {
                // A browser that was made to send this. What comes behind it would be taken for commands.
                return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no web server"));
            }
            match commands::answer(&line, self.settings.stats.as_deref()) {
                Answer::Text(text) => self.say(&text)?,
                Answer::Trace(coroutine) => self.trace(&coroutine)?,
                Answer::Quit => return Ok(()),
            }
        }
    }

    /// The next line, without its end; `None` at the end of stream.
    fn line(&mut self) -> io::Result<Option<String>> {
        let until = Until::after(self.settings.idle);
        loop {
            let end = self.typed.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(self.typed.len()) > MAX_LINE_BYTES {
                let words = format!("a line has at most {MAX_LINE_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
            if let Some(end) = end {
                let line: Vec<_> = self.typed.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim().to_string()));
            }
            if !self.has_input(until.left().unwrap_or(Duration::MAX))? {
                let words = format!("no line for {:?}", self.settings.idle);
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            let mut buf = [0; 512];
            match (&self.stream).read(&mut buf)? {
                0 => return Ok(None),
                n => self.typed.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// Prints what a coroutine does whenever that has changed, until it ends, a line is typed or the time is up.
    fn trace(&mut self, coroutine: &Coroutine) -> io::Result<()> {
        let (begun, until) = (Instant::now(), Until::after(TRACE));
        self.say(&format!("looks every {} ms for {} s; Enter ends it\n", LOOK.as_millis(), TRACE.as_secs()))?;
        let mut last = "";
        loop {
            let exit = coroutine.exit();
            let now = exit.map_or_else(|| coroutine.activity(), exit_in_words);
            if now != last {
                last = now;
                self.say(&format!("{:8.3} s  {now}\n", begun.elapsed().as_secs_f64()))?;
            }
            if exit.is_some() || until.is_over() {
                return Ok(());
            }
            if !self.typed.is_empty() || self.has_input(LOOK)? {
                // At the end of stream too: the next read finds it there.
                return self.line().map(drop);
            }
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            if !wait_write_timeout(&self.stream, PATIENCE)? {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not read"));
            }
            let sent = (&self.stream).write(left)?;
            left = &left[sent..];
        }
        Ok(())
    }

    fn has_input(&self, timeout: Duration) -> io::Result<bool> {
        wait_read_timeout(&self.stream, timeout)
    }
}

fn default_banner() -> String {
    format!("zinx backdoor, process {}: type help\n", std::process::id())
}

const fn exit_in_words(exit: Exit) -> &'static str {
    match exit {
        Exit::Returned => "has returned",
        Exit::Panicked => "has panicked",
        Exit::Killed => "was killed",
    }
}

const PROMPT: &str = ">>> ";

const MAX_LINE_BYTES: usize = 1024;

/// How long an answer may stand still that the peer does not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a trace goes on, and how often it looks.
const TRACE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);
