//! Descriptors that are not ours: pipes, terminals, files. Waiting for them holds no worker, and changes nothing about
//! them: other programs that share a terminal with us would find it non-blocking too.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::readiness::Readiness;
use super::socket::Socket;
use crate::green::runtime::blocking::{blocking, step_aside};

/// Reads once, waiting until there is something to read, or the end; `WouldBlock` instead in a coroutine that unwinds.
/// One coroutine at a time may read a descriptor: what another takes away in between is waited for on the worker.
pub(in crate::green) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let Some(ready) = Ready::new(fd, EventFlags::IN)? else { return read_file(fd, buf) };
    loop {
        ready.wait()?;
        match rustix::io::read(fd, &mut *buf) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Writes all of `data`.
pub(in crate::green) fn write_all(fd: BorrowedFd<'_>, mut data: &[u8]) -> io::Result<()> {
    let Some(ready) = Ready::new(fd, EventFlags::OUT)? else { return write_file(fd, data) };
    while !data.is_empty() {
        ready.wait()?;
        // A pipe that can be written to takes so much at once; more might make it wait.
        match rustix::io::write(fd, &data[..data.len().min(PIPE_BUF)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => data = &data[n..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Says when a descriptor is ready.
struct Ready<'a> {
    fd: BorrowedFd<'a>,
    flags: PollFlags,
    /// An epoll of its own that watches the descriptor, and is watched by the worker's. `None` on a plain thread.
    watch: Option<Socket>,
}

impl<'a> Ready<'a> {
    /// `None` for what epoll refuses because it is never waited for: a regular file.
    fn new(fd: BorrowedFd<'a>, event: EventFlags) -> io::Result<Option<Self>> {
        let flags = if event == EventFlags::IN { PollFlags::IN } else { PollFlags::OUT };
        if !may::coroutine::is_coroutine() {
            return Ok(Some(Self { fd, flags, watch: None }));
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        match epoll::add(&epoll, fd, EventData::new_u64(0), event) {
            Ok(()) => Ok(Some(Self { fd, flags, watch: Some(Socket::new(epoll)?) })),
            Err(Errno::PERM) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self) -> io::Result<()> {
        // Woken early it looks again: what is ready stays so until it is taken.
        while !self.is_ready(Some(&Timespec::default()))? {
            match &self.watch {
                Some(watch) => drop(watch.wait_unless_unwinding(Readiness::READ)?),
                None => drop(step_aside(|| self.is_ready(None))?),
            }
        }
        Ok(())
    }

    fn is_ready(&self, timeout: Option<&Timespec>) -> io::Result<bool> {
        match poll(&mut [PollFd::new(&self.fd, self.flags)], timeout) {
            Err(Errno::INTR) => Ok(false),
            ready => Ok(ready? > 0),
        }
    }
}

/// Reads a regular file, off the workers. The position is the descriptor's own, as with any read.
fn read_file(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (file, len) = (share(fd)?, buf.len());
    let data = blocking(move || {
        let mut data = vec![0; len];
        let n = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *data))?;
        data.truncate(n);
        Ok::<_, Errno>(data)
    })?;
    buf[..data.len()].copy_from_slice(&data);
    Ok(data.len())
}

fn write_file(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<()> {
    let (file, data) = (share(fd)?, data.to_vec());
    blocking(move || {
        let mut left = &data[..];
        while !left.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&file, left))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => left = &left[n..],
            }
        }
        Ok(())
    })
}

/// A descriptor of our own for the same open file.
fn share(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// What a pipe takes at once, if it takes anything.
const PIPE_BUF: usize = 4096;
