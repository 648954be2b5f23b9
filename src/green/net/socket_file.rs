//! The file of a Unix socket that goes with its listener.

use std::fs::{metadata, remove_file};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

/// The file that a bind has made. Dropped, it is removed, if it is still the same one.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// From the root, because the process may change its directory.
    path: PathBuf,
    /// The device and the number of the file on it.
    id: (u64, u64),
}

impl SocketFile {
    /// That of an address to which a socket has just been bound. `None` for an abstract name, which is no file.
    pub(super) fn of(address: &Path) -> Option<Self> {
        if address.as_os_str().as_bytes().first().is_none_or(|first| *first == 0) {
            return None;
        }
        let path = absolute(address).ok()?;
        let id = id(&path)?;
        Some(Self { path, id })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Removed by others, it may be another server's by now.
        if id(&self.path) == Some(self.id) {
            let _ = remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
