//! Logging to files, as Zinx has it: a logger for the `log` crate, set up by the `Log..` keys of the configuration.
//!
//! The library itself logs through `log`, and any logger will do. This one never holds up the caller: lines go through a
//! bounded queue to a thread of their own; if that falls behind, or the disk is full, lines are left out and counted,
//! and the server goes on.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use log::{Log, Metadata, Record};

use crate::error::{Error, Result};
use crate::log_line::is_unprintable;
use crate::zconf::Config;

mod clock;
mod file;
mod filter;

use file::RotatingFile;
use filter::Filter;

/// Sets up the logger of this process.
///
/// - `LogFile`: the file, in the folder `LogDir`, which is made if it is missing; empty: stderr.
/// - `LogFileSize`: a file that would grow beyond it is set aside under its time (`zinx-2026-01-31T14-05-06.123.log`).
/// - `LogSaveDays`: files set aside are deleted after so many days; there is then a new file each day (UTC).
/// - `LogCons`: what goes to the file goes to stdout too.
/// - `LogIsolationLevel`: 0: everything but trace, 1: no debug, 2: no info, 3: no warnings, 4 and more: nothing. The
///   environment variable `RUST_LOG` comes before it, as [`env_logger`] reads it: `info,zinx::tutorial=trace`.
///
/// A line is `2026/01/31 14:05:06.123 [INFO]server.rs:164: listening on 127.0.0.1:7777`, in UTC. Further lines of a text
/// are indented, and control characters escaped, so that no text looks like a line of the log that it is not. A file that
/// someone deletes or moves away is opened again within a second. `log::logger().flush()` waits until all lines before it
/// are written, at most for a second; [`exit`](crate::exit) calls it.
///
/// The warnings of [`Config::load`], which comes before there is a logger, are the first lines.
///
/// [`env_logger`]: https://docs.rs/env_logger
///
/// # Errors
///
/// [`Io`](Error::Io) if the file cannot be opened, [`AlreadyStarted`](Error::AlreadyStarted) if the process has a logger.
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
#[doc(alias("SetLogger", "InfoF", "DebugF", "ErrorF"))]
pub fn init(config: &Config) -> Result<()> {
    let file = if config.log_file.is_empty() {
        None
    } else {
        let (dir, size, days) = (Path::new(&config.log_dir), config.log_file_size, config.log_save_days);
        Some(RotatingFile::open(dir, &config.log_file, size, days)?)
    };
    let (queue, lines) = sync_channel(MAX_QUEUED);
    let rust_log = std::env::var_os("RUST_LOG").map(|directives| directives.to_string_lossy().into_owned());
    let (filter, problems) = Filter::new(config.log_isolation_level, rust_log.as_deref());
    let lowest = filter.lowest();
    let logger: &'static Logger =
        Box::leak(Box::new(Logger { queue, filter, left_out: AtomicUsize::new(0) }));
    log::set_logger(logger).map_err(|_| Error::AlreadyStarted { what: "set up a second logger" })?;
    let mut sink = Sink { file, console: config.log_cons };
    let started = std::thread::Builder::new().name("zinx-log".to_string()).spawn(move || {
        for entry in lines {
            sink.take(entry);
        }
    });
    started.map_err(|source| Error::io("start the log thread", source))?;
    GOES_BY_KEY.store(rust_log.is_none_or(|directives| directives.trim().is_empty()), Ordering::Relaxed);
    if LEVEL.load(Ordering::Relaxed) == AS_CONFIGURED {
        log::set_max_level(lowest);
    }
    problems.iter().for_each(|problem| log::warn!("{problem}"));
    config.tell_warnings();
    Ok(())
}

/// Logs from this level on, in place of what `LogIsolationLevel` or `RUST_LOG` say, until the process ends. From any thread,
/// also before [`init`], which keeps it.
///
/// Another logger than this one may have a filter of its own: that still applies then, so there may be fewer lines, but not more.
///
/// # Examples
///
/// ```
/// zinx::zlog::set_level(log::LevelFilter::Debug);
/// assert_eq!(log::max_level(), log::LevelFilter::Debug);
/// ```
pub fn set_level(level: log::LevelFilter) {
    LEVEL.store(level as usize, Ordering::Relaxed);
    log::set_max_level(level);
}

/// Goes by another `LogIsolationLevel` from now on. Nothing changes if `RUST_LOG` comes before it, or [`init`] has not set up the
/// logger.
pub(crate) fn set_isolation_level(isolation: u32) {
    if GOES_BY_KEY.load(Ordering::Relaxed) {
        set_level(filter::least(isolation));
    }
}

/// Whether our logger goes by `LogIsolationLevel`.
static GOES_BY_KEY: AtomicBool = AtomicBool::new(false);

/// The level that was set while the process ran; [`AS_CONFIGURED`] if none was.
static LEVEL: AtomicUsize = AtomicUsize::new(AS_CONFIGURED);

const AS_CONFIGURED: usize = usize::MAX;

struct Logger {
    queue: SyncSender<Entry>,
    filter: Filter,
    /// Lines for which there was no room since the last that had some.
    left_out: AtomicUsize,
}

enum Entry {
    Line {
        at: SystemTime,
        level: log::Level,
        place: Place,
        text: String,
        /// Lines that were left out right before it.
        left_out: usize,
    },
    Flush(SyncSender<()>),
}

/// File and line.
type Place = (Option<&'static str>, Option<u32>);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match LEVEL.load(Ordering::Relaxed) {
            AS_CONFIGURED => self.filter.passes(metadata.target(), metadata.level()),
            least => filter::passes_from(least, metadata.target(), metadata.level()),
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (at, text) = (SystemTime::now(), record.args().to_string());
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let place = (record.file_static(), record.line());
        let entry = Entry::Line { at, level: record.level(), place, text, left_out };
        if self.queue.try_send(entry).is_err() {
            self.left_out.fetch_add(left_out + 1, Ordering::Relaxed);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "who flushes wants to wait, and the log thread is no coroutine"
    )]
    fn flush(&self) {
        let (tell, done): (_, std::sync::mpsc::Receiver<()>) = sync_channel(1);
        let (begun, mut flush) = (Instant::now(), Entry::Flush(tell));
        // While there is no room, the lines before it are not written.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(flush) {
            if begun.elapsed() >= FLUSH {
                return;
            }
            flush = back;
            std::thread::sleep(LOOK_FOR_ROOM);
        }
        // Late or never, there is nothing to be done about it.
        let _ = done.recv_timeout(FLUSH.saturating_sub(begun.elapsed()));
    }
}

/// Where the log thread writes.
struct Sink {
    file: Option<RotatingFile>,
    console: bool,
}

impl Sink {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Line { at, level, place, text, left_out } => {
                self.write(at, &line(at, level, place, &text, left_out));
            }
            // No caller may wait any more.
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
    let mut line = format!("{} [{level}]{file}:{}: ", clock::Stamp::of(at), number.unwrap_or(0));
    append_printable(&mut line, text);
    if left_out > 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(line, " ({left_out} lines before this one were left out)");
    }
    line.push('\n');
    line
}

/// Appends a text in which nothing can be taken for the beginning of another line, or for an order to a terminal.
fn append_printable(line: &mut String, text: &str) {
    for character in text.trim_end().chars() {
        match character {
            '\n' => line.push_str("\n    "),
            '\t' => line.push('\t'),
            other if is_unprintable(other) => line.extend(other.escape_debug()),
            other => line.push(other),
        }
    }
}

/// Lines that wait for the log thread.
const MAX_QUEUED: usize = 8192;

const FLUSH: Duration = Duration::from_secs(1);

/// How often it is looked meanwhile whether the queue has room.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(1);

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the log thread is no coroutine")]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    fn logger() -> (Logger, Receiver<Entry>) {
        let (queue, lines) = sync_channel(1);
        (Logger { queue, filter: Filter::new(0, None).0, left_out: AtomicUsize::new(0) }, lines)
    }

    fn say(logger: &Logger, text: &str) {
        logger.log(&Record::builder().level(log::Level::Info).args(format_args!("{text}")).build());
    }

    fn next(lines: &Receiver<Entry>) -> (String, usize) {
        match lines.recv_timeout(LONG).unwrap() {
            Entry::Line { text, left_out, .. } => (text, left_out),
            Entry::Flush(_) => panic!("it is no line"),
        }
    }

    #[test]
    fn a_line_says_how_many_were_left_out_right_before_it() {
        let (logger, lines) = logger();
        ["first", "lost", "lost"].into_iter().for_each(|text| say(&logger, text));
        assert_eq!(next(&lines), ("first".to_string(), 0));
        say(&logger, "after");
        assert_eq!(next(&lines), ("after".to_string(), 2));
        say(&logger, "last");
        assert_eq!(next(&lines), ("last".to_string(), 0));
    }

    #[test]
    fn a_flush_waits_also_while_the_queue_is_full() {
        let (logger, lines) = logger();
        say(&logger, "before");
        let begun = Instant::now();
        logger.flush();
        assert!(begun.elapsed() >= FLUSH, "nobody has written the line before it");
        let has_come = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let has_come = &has_come;
            let reader = scope.spawn(move || {
                assert_eq!(next(&lines), ("before".to_string(), 0));
                let Entry::Flush(tell) = lines.recv_timeout(LONG).unwrap() else { panic!("it is a line") };
                has_come.store(true, Ordering::Release);
                // On a busy machine, it may have given up.
                let _ = tell.send(());
            });
            while !has_come.load(Ordering::Acquire) && !reader.is_finished() {
                logger.flush();
            }
        });
    }

    /// What must happen happens by then.
    const LONG: Duration = Duration::from_secs(20);
}
