//! Logging to files, as Zinx has it: a logger for the `log` crate, set up by the `Log..` keys of the configuration.
//!
//! The library itself logs through `log`, and any logger will do. This one never holds up who logs: lines go through a
//! bounded queue to a thread of their own; where that falls behind, or the disk is full, lines are left out and counted,
//! and the server goes on.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use log::{LevelFilter, Log, Metadata, Record};

use crate::error::{Error, Result};
use crate::zconf::Config;

mod clock;
mod file;

use file::RotatingFile;

/// Sets up the logger of this process.
///
/// - `LogFile`: the file, in the folder `LogDir`, which is made where it is missing; empty: stderr.
/// - `LogFileSize`: a file that would grow beyond it is set aside under its time (`zinx-2026-01-31T14-05-06.123.log`).
/// - `LogSaveDays`: files set aside are deleted after so many days; there is then a new file each day (UTC).
/// - `LogCons`: what goes to the file goes to stdout too.
/// - `LogIsolationLevel`: 0: everything, 1: no debug, 2: no info, 3: no warnings, 4 and more: nothing.
///
/// A line is `2026/01/31 14:05:06.123 [INFO]server.rs:164: listening on 127.0.0.1:7777`, in UTC. `log::logger().flush()`
/// waits until all before it is written, at most for a second; [`exit`](crate::exit) calls it.
///
/// # Errors
///
/// [`Io`](Error::Io) where the file cannot be opened, [`AlreadyStarted`](Error::AlreadyStarted) where the process has a
/// logger.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> zinx::Result<()> {
/// let config = zinx::Config::load()?;
/// zinx::zlog::init(&config)?;
/// let server = zinx::new_server_with_config(config)?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
pub fn init(config: &Config) -> Result<()> {
    let file = if config.log_file.is_empty() {
        None
    } else {
        let (dir, size, days) = (Path::new(&config.log_dir), config.log_file_size, config.log_save_days);
        Some(RotatingFile::open(dir, &config.log_file, size, days)?)
    };
    let (queue, lines) = sync_channel(MAX_QUEUED);
    let level = level(config.log_isolation_level);
    let logger: &'static Logger = Box::leak(Box::new(Logger { queue, level, left_out: AtomicUsize::new(0) }));
    log::set_logger(logger).map_err(|_| Error::AlreadyStarted { what: "set up a second logger" })?;
    let mut sink = Sink { file, console: config.log_cons };
    let started = std::thread::Builder::new().name("zinx-log".to_string()).spawn(move || {
        for entry in lines {
            sink.take(entry, logger);
        }
    });
    started.map_err(|source| Error::io("start the log thread", source))?;
    log::set_max_level(level);
    Ok(())
}

const fn level(isolation: u32) -> LevelFilter {
    match isolation {
        0 => LevelFilter::Trace,
        1 => LevelFilter::Info,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Error,
        _ => LevelFilter::Off,
    }
}

struct Logger {
    queue: SyncSender<Entry>,
    level: LevelFilter,
    /// Lines for which there was no room since the last that was written.
    left_out: AtomicUsize,
}

enum Entry {
    Line { at: SystemTime, level: log::Level, place: Place, text: String },
    Flush(SyncSender<()>),
}

/// File and line.
type Place = (Option<&'static str>, Option<u32>);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The coroutines below us have little to say that a user of ours can use.
        let foreign = metadata.target().starts_with("may") || metadata.target().starts_with("generator");
        metadata.level() <= if foreign { self.level.min(LevelFilter::Warn) } else { self.level }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let entry = Entry::Line {
            at: SystemTime::now(),
            level: record.level(),
            place: (record.file_static(), record.line()),
            text: record.args().to_string(),
        };
        if self.queue.try_send(entry).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[expect(
        clippy::disallowed_types,
        reason = "who flushes wants to wait, and the log thread is no coroutine"
    )]
    fn flush(&self) {
        let (tell, done): (_, std::sync::mpsc::Receiver<()>) = sync_channel(1);
        if self.queue.try_send(Entry::Flush(tell)).is_ok() {
            // Late or never, there is nothing to be done about it.
            let _ = done.recv_timeout(FLUSH);
        }
    }
}

/// Where the log thread writes.
struct Sink {
    file: Option<RotatingFile>,
    console: bool,
}

impl Sink {
    fn take(&mut self, entry: Entry, logger: &Logger) {
        match entry {
            Entry::Line { at, level, place, text } => {
                let left_out = logger.left_out.swap(0, Ordering::Relaxed);
                self.write(at, &line(at, level, place, &text, left_out));
            }
            // Nobody may wait any more.
            Entry::Flush(tell) => drop(tell.try_send(())),
        }
    }

    fn write(&mut self, at: SystemTime, line: &str) {
        // A stdout or stderr that is closed is no reason to stop.
        match &mut self.file {
            Some(file) => {
                file.write(at, line);
                if self.console {
                    let _ = io::stdout().write_all(line.as_bytes());
                }
            }
            None => drop(io::stderr().write_all(line.as_bytes())),
        }
    }
}

fn line(at: SystemTime, level: log::Level, (file, number): Place, text: &str, left_out: usize) -> String {
    let file = file.and_then(|file| file.rsplit('/').next()).unwrap_or("?");
    let mut line = format!("{} [{level}]{file}:{}: {text}", clock::Stamp::of(at), number.unwrap_or(0));
    if left_out > 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(line, " ({left_out} lines before this one were left out)");
    }
    line.push('\n');
    line
}

/// Lines that wait for the log thread.
const MAX_QUEUED: usize = 8192;

const FLUSH: Duration = Duration::from_secs(1);
