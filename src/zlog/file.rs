//! A log file that is set aside when it is full or its day is over, deleted when it is old, and opened again when someone
//! has deleted it or moved it away.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::clock::Stamp;
use crate::error::{Error, Result};

/// A file that lines are appended to.
pub(super) struct RotatingFile {
    path: PathBuf,
    /// 0: no limit.
    max_size: u64,
    /// 0: files are never deleted, and a day has no end.
    save_days: u32,
    /// `None` if it is gone and could not be opened again.
    open: Option<Open>,
    /// When the file could last not be set aside.
    stuck: Option<Instant>,
    /// When it was last said that something fails, and lines lost since.
    said: Option<Instant>,
    lost: usize,
}

/// The file while it is open.
struct Open {
    file: File,
    /// Bytes in it; 0 of what is no regular file, so that a device is never set aside.
    size: u64,
    is_regular: bool,
    /// The day of what it holds.
    day: u64,
    /// When it was last seen that the path leads here.
    looked: Instant,
    /// A line was cut off in it: the disk was full.
    is_torn: bool,
}

impl RotatingFile {
    pub(super) fn open(dir: &Path, name: &str, max_size: u64, save_days: u32) -> Result<Self> {
        let path = dir.join(name);
        let opened = Open::append_to(&path, SystemTime::now());
        let open = Some(opened.map_err(|source| Error::io(format!("open {}", path.display()), source))?);
        let mut this = Self { path, max_size, save_days, open, stuck: None, said: None, lost: 0 };
        this.delete_old(SystemTime::now());
        Ok(this)
    }

    /// Appends a line. If that fails, the line is lost and counted, and the next is tried.
    pub(super) fn write(&mut self, at: SystemTime, line: &str) {
        let written = self.make_room(at, line.len()).and_then(|open| open.write(at, line));
        if let Err(error) = written {
            self.lost += 1;
            self.say("written to", &error);
        }
    }

    /// The file to write to.
    fn make_room(&mut self, at: SystemTime, len: usize) -> io::Result<&mut Open> {
        // A look costs too much for every line. It has to come before the file gets another name.
        if self.is_done(at, len) || self.open.as_ref().is_some_and(|open| open.looked.elapsed() >= LOOK_EVERY)
        {
            self.open.take_if(|open| !open.is_still_at(&self.path));
        }
        let is_stuck = self.stuck.is_some_and(|since| since.elapsed() < LOOK_EVERY);
        if !is_stuck && self.is_done(at, len) {
            self.set_aside(at);
        }
        if self.open.is_none() {
            self.open = Some(Open::append_to(&self.path, at)?);
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether the file is full, or its day over. A day that lies ahead is over too: the clock was wrong, then or now.
    fn is_done(&self, at: SystemTime, len: usize) -> bool {
        self.open.as_ref().filter(|open| open.size > 0).is_some_and(|open| {
            let is_full = self.max_size > 0 && open.size + len as u64 > self.max_size;
            is_full || self.save_days > 0 && Stamp::of(at).day != open.day
        })
    }

    /// Gives the file a name by its time, under which there is none.
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
                (self.open, self.stuck) = (None, None);
                self.delete_old(at);
            }
            // It grows beyond its size rather than be lost.
            Err(error) => {
                self.stuck = Some(Instant::now());
                self.say("set aside", &error);
            }
        }
    }

    fn delete_old(&mut self, now: SystemTime) {
        if self.save_days == 0 {
            return;
        }
        let Some(folder) = self.path.parent() else { return };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let age = Duration::from_secs(u64::from(self.save_days) * 24 * 3600);
        let oldest = now.checked_sub(age).map(|oldest| Stamp::of(oldest).for_file()).unwrap_or_default();
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(set_aside) = self.stamp_of(&name) else { continue };
            let Ok(written) = entry.metadata().and_then(|found| found.modified()) else { continue };
            // A file from the future was written while the clock was wrong: its name has to do.
            let is_old = now.duration_since(written).map_or(*set_aside < *oldest, |since| since > age);
            if is_old {
                // Another process may have deleted it, or it cannot be deleted.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The time in the name of a file that was set aside by us.
    fn stamp_of(&self, name: &OsStr) -> Option<String> {
        let name = name.to_string_lossy();
        let stamp = name.strip_prefix(&self.prefix())?.strip_suffix(&self.suffix())?.get(..STAMP_LEN)?;
        let is_ours = stamp.as_bytes()[10] == b'T' && stamp.as_bytes()[0].is_ascii_digit();
        is_ours.then(|| stamp.to_string())
    }

    fn prefix(&self) -> String {
        format!("{}-", self.path.file_stem().unwrap_or_default().to_string_lossy())
    }

    fn suffix(&self) -> String {
        self.path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()))
    }

    /// Says on stderr what fails, at most once a minute.
    fn say(&mut self, what: &str, error: &io::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            let (path, lost) = (self.path.display(), std::mem::take(&mut self.lost));
            let lost = if lost == 0 { String::new() } else { format!("; lines lost: {lost}") };
            // There is nowhere left to report it.
            let _ = writeln!(io::stderr(), "zinx: the log file {path} cannot be {what}: {error}{lost}");
        }
    }
}

impl Open {
    fn append_to(path: &Path, at: SystemTime) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let found = file.metadata()?;
        let (size, is_regular) = (size_of(&found), found.is_file());
        let written = if size > 0 { found.modified().unwrap_or(at) } else { at };
        let day = Stamp::of(written).day;
        Ok(Self { file, size, is_regular, day, looked: Instant::now(), is_torn: false })
    }

    fn write(&mut self, at: SystemTime, line: &str) -> io::Result<()> {
        if self.size == 0 {
            self.day = Stamp::of(at).day;
        }
        if self.is_torn {
            self.append(b"\n")?;
        }
        self.append(line.as_bytes())
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => written?,
            };
            self.is_torn = bytes.get(written - 1) != Some(&b'\n');
            bytes = &bytes[written..];
            if self.is_regular {
                self.size += written as u64;
            }
        }
        Ok(())
    }

    /// Whether the path still leads to this file. Takes over its size, because it may have been cut.
    fn is_still_at(&mut self, path: &Path) -> bool {
        self.looked = Instant::now();
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::metadata(path)) else { return false };
        self.size = size_of(&ours);
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }
}

fn size_of(found: &Metadata) -> u64 {
    if found.is_file() { found.len() } else { 0 }
}

/// How often it is looked whether the path still leads to the file, and tried again to set it aside.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Length of `2026-01-31T14-05-06.123`.
const STAMP_LEN: usize = 23;

const SAY_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_ends_before_the_next_one_begins() {
        // A pipe that is full stands for a disk that is.
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let (file, now) = (File::from(OwnedFd::from(writer)), SystemTime::now());
        let mut open =
            Open { file, size: 0, is_regular: false, day: 0, looked: Instant::now(), is_torn: false };
        open.write(now, &format!("{}\n", "x".repeat(1 << 20))).unwrap_err();
        open.write(now, "lost\n").unwrap_err();
        assert_eq!(reader.read(&mut [0; 32 << 10]).unwrap(), 32 << 10);
        open.write(now, "after\n").unwrap();
        open.write(now, "last\n").unwrap();
        drop(open);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("x\nafter\nlast\n"), "{:?}", text.get(text.len() - 40..));
    }
}
