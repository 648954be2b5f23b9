//! A log file that is set aside when it is full or its day is over, and deleted when it is old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::clock::Stamp;
use crate::error::{Error, Result};

/// A file that lines are appended to.
pub(super) struct RotatingFile {
    path: PathBuf,
    /// `None` where it could not be opened again.
    file: Option<File>,
    size: u64,
    /// 0: no limit.
    max_size: u64,
    /// 0: for ever.
    save_days: u32,
    /// The day of what it holds.
    day: u64,
    /// When it was last said that writing fails, and lines lost since.
    failed: Option<Instant>,
    lost: usize,
}

impl RotatingFile {
    pub(super) fn open(dir: &Path, name: &str, max_size: u64, save_days: u32) -> Result<Self> {
        let path = dir.join(name);
        let opened = fs::create_dir_all(dir).and_then(|()| append_to(&path));
        let file = opened.map_err(|source| Error::io(format!("open {}", path.display()), source))?;
        let found = file.metadata().ok().filter(fs::Metadata::is_file);
        let size = found.as_ref().map_or(0, fs::Metadata::len);
        let written = found.and_then(|found| found.modified().ok()).unwrap_or_else(SystemTime::now);
        let mut this = Self {
            path,
            file: Some(file),
            size,
            max_size,
            save_days,
            day: Stamp::of(written).day,
            failed: None,
            lost: 0,
        };
        this.delete_old(SystemTime::now());
        Ok(this)
    }

    /// Appends a line. Where that fails, the line is lost and counted, and the next is tried.
    pub(super) fn write(&mut self, at: SystemTime, line: &str) {
        let written = self.make_room(at, line.len()).and_then(|file| file.write_all(line.as_bytes()));
        match written {
            Ok(()) => {
                self.size += line.len() as u64;
                self.failed = None;
            }
            Err(error) => self.note_failure(&error),
        }
    }

    fn make_room(&mut self, at: SystemTime, len: usize) -> io::Result<&mut File> {
        let full = self.max_size > 0 && self.size > 0 && self.size + len as u64 > self.max_size;
        let over = self.save_days > 0 && self.size > 0 && Stamp::of(at).day > self.day;
        if full || over {
            self.set_aside(at);
        }
        if self.size == 0 {
            self.day = Stamp::of(at).day;
        }
        if self.file.is_none() {
            self.file = Some(append_to(&self.path)?);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives the file a name by its time, under which there is none, and begins a new one.
    fn set_aside(&mut self, at: SystemTime) {
        let stamp = Stamp::of(at).for_file();
        let name = |again: u32| {
            let again = if again == 0 { String::new() } else { format!("-{again}") };
            self.path.with_file_name(format!("{}{stamp}{again}{}", self.prefix(), self.suffix()))
        };
        let free = (0..1000).map(name).find(|path| !path.exists());
        let renamed =
            free.map_or_else(|| Err(io::ErrorKind::AlreadyExists.into()), |to| fs::rename(&self.path, to));
        match renamed {
            Ok(()) => {
                self.file = None;
                self.size = 0;
                self.delete_old(at);
            }
            // It grows beyond its size rather than be lost.
            Err(error) => self.note_failure(&error),
        }
    }

    fn delete_old(&mut self, now: SystemTime) {
        if self.save_days == 0 {
            return;
        }
        let Some(folder) = self.path.parent() else { return };
        let age = Duration::from_secs(u64::from(self.save_days) * 24 * 3600);
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|entry| self.is_ours(&entry.file_name().to_string_lossy())) {
            let written = entry.metadata().and_then(|found| found.modified());
            let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since > age);
            if written.is_ok_and(is_old) {
                // Another may have deleted it, or nobody can.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether a file of this name was set aside by us.
    fn is_ours(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix()).and_then(|rest| rest.strip_suffix(&self.suffix())).is_some_and(
            |stamp| {
                stamp.len() >= STAMP_LEN
                    && stamp.as_bytes()[10] == b'T'
                    && stamp.as_bytes()[0].is_ascii_digit()
            },
        )
    }

    fn prefix(&self) -> String {
        format!("{}-", self.path.file_stem().unwrap_or_default().to_string_lossy())
    }

    fn suffix(&self) -> String {
        self.path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()))
    }

    /// Says so on stderr, at most once a minute.
    fn note_failure(&mut self, error: &io::Error) {
        self.lost += 1;
        if self.failed.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.failed = Some(Instant::now());
            let (path, lost) = (self.path.display(), std::mem::take(&mut self.lost));
            // There is nobody left to tell.
            let _ = writeln!(io::stderr(), "log file {path}: {error}; lines lost: {lost}");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Length of `2026-01-31T14-05-06.123`.
const STAMP_LEN: usize = 23;

const SAY_EVERY: Duration = Duration::from_secs(60);
