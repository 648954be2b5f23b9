//! Waiting for any descriptor, one or many, without holding the worker.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::readiness::Readiness;
use super::socket::Socket;
use crate::green::runtime::blocking::step_aside;
use crate::green::runtime::fair;
use crate::green::runtime::timer;
use crate::green::runtime::until::Until;

/// Waits until there is something to read from a descriptor, or its end: a socket, a pipe, a terminal, a pidfd. A regular
/// file is always ready.
///
/// # Errors
///
/// Those of the system; `WouldBlock` in a destructor that runs while its coroutine unwinds, if there is nothing.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use zinx::green;
///
/// let (reader, mut writer) = std::io::pipe()?;
/// let waits = green::spawn(move || green::wait_read(&reader));
/// writer.write_all(b"x")?;
/// waits.get().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("WaitableEvent", "fire", "wait_readwrite", "waitables"))]
pub fn wait_read(fd: impl AsFd) -> io::Result<()> {
    wait_for(fd.as_fd(), Events::READ, Until::never()).map(drop)
}

/// As [`wait_read`], at most for `timeout`. `false` if there was nothing in time.
///
/// # Errors
///
/// As [`wait_read`].
pub fn wait_read_timeout(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    wait_for(fd.as_fd(), Events::READ, Until::after(timeout))
}

/// Waits until a descriptor takes something to write.
///
/// # Errors
///
/// As [`wait_read`].
pub fn wait_write(fd: impl AsFd) -> io::Result<()> {
    wait_for(fd.as_fd(), Events::WRITE, Until::never()).map(drop)
}

/// As [`wait_write`], at most for `timeout`. `false` if it took nothing in time.
///
/// # Errors
///
/// As [`wait_read`].
pub fn wait_write_timeout(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    wait_for(fd.as_fd(), Events::WRITE, Until::after(timeout))
}

/// Waits until one of `reads` can be read or one of `writes` written. Returns the places of all that are ready then, in
/// either list. With empty lists it waits forever.
///
/// # Errors
///
/// As [`wait_read`].
///
/// # Examples
///
/// ```
/// use std::os::fd::AsFd;
/// use zinx::green;
///
/// let (one, other) = green::socketpair()?;
/// assert_eq!(green::select(&[one.as_fd()], &[other.as_fd()])?, (vec![], vec![0]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn select(reads: &[BorrowedFd<'_>], writes: &[BorrowedFd<'_>]) -> io::Result<(Vec<usize>, Vec<usize>)> {
    select_within(reads, writes, Until::never())
}

/// As [`select`], at most for `timeout`: two empty lists if nothing was ready in time.
///
/// # Errors
///
/// As [`wait_read`].
pub fn select_timeout(
    reads: &[BorrowedFd<'_>],
    writes: &[BorrowedFd<'_>],
    timeout: Duration,
) -> io::Result<(Vec<usize>, Vec<usize>)> {
    select_within(reads, writes, Until::after(timeout))
}

/// What a descriptor is waited for, and what it is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Something can be read, or the end has come.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// The other end is gone, or there is an error. Always waited for.
    pub hangup: bool,
}

impl Events {
    /// To read.
    pub const READ: Self = Self { readable: true, writable: false, hangup: false };
    /// To write.
    pub const WRITE: Self = Self { readable: false, writable: true, hangup: false };
    /// To read and to write.
    pub const BOTH: Self = Self { readable: true, writable: true, hangup: false };

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.readable);
        flags.set(EventFlags::OUT, self.writable);
        flags
    }

    const fn of(flags: EventFlags) -> Self {
        Self {
            readable: flags.contains(EventFlags::IN),
            writable: flags.contains(EventFlags::OUT),
            hangup: flags.intersects(EventFlags::HUP.union(EventFlags::ERR)),
        }
    }
}

/// Descriptors that are waited for together: Python's `select.poll`.
///
/// It changes nothing about them, and does not keep them open: one that is closed drops out by itself, except for a regular file,
/// which is to be [unregistered](Self::unregister) before. One coroutine at a time may wait.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use std::os::fd::AsRawFd;
/// use zinx::green::{Events, Poll};
///
/// let (reader, mut writer) = std::io::pipe()?;
/// let mut poll = Poll::new()?;
/// poll.register(&reader, Events::READ)?;
/// writer.write_all(b"x")?;
/// assert_eq!(poll.poll()?, [(reader.as_raw_fd(), Events::READ)]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "DefaultSelector")]
pub struct Poll {
    epoll: Arc<Socket>,
    /// What epoll refuses because it is never waited for: regular files.
    always: Vec<(RawFd, Events)>,
}

impl Poll {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    ///
    /// Those of the system: no descriptor is free.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll: Arc::new(Socket::new(epoll)?), always: Vec::new() })
    }

    /// Waits for `fd` too, or for something else if it is waited for already.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "modify")]
    pub fn register(&mut self, fd: impl AsFd, events: Events) -> io::Result<()> {
        let fd = fd.as_fd();
        let (data, flags) = (EventData::new_u64(fd.as_raw_fd().unsigned_abs().into()), events.flags());
        let added = epoll::add(&*self.epoll, fd, data, flags);
        // A file that had the same number may have been closed since.
        self.always.retain(|(other, _)| *other != fd.as_raw_fd());
        match added {
            Err(Errno::EXIST) => Ok(epoll::modify(&*self.epoll, fd, data, flags)?),
            Err(Errno::PERM) => {
                self.always.push((fd.as_raw_fd(), events));
                Ok(())
            }
            added => Ok(added?),
        }
    }

    /// Waits for `fd` no more.
    ///
    /// # Errors
    ///
    /// `NotFound` if it was not waited for.
    pub fn unregister(&mut self, fd: impl AsFd) -> io::Result<()> {
        let fd = fd.as_fd();
        let before = self.always.len();
        self.always.retain(|(other, _)| *other != fd.as_raw_fd());
        if self.always.len() < before {
            return Ok(());
        }
        match epoll::delete(&*self.epoll, fd) {
            // What cannot be waited for was not.
            Err(Errno::PERM) => Err(io::ErrorKind::NotFound.into()),
            deleted => Ok(deleted?),
        }
    }

    /// Waits until something is ready, and returns all that is, at most 64 at a time. What is not read stays ready.
    ///
    /// # Errors
    ///
    /// As [`wait_read`].
    pub fn poll(&mut self) -> io::Result<Vec<(RawFd, Events)>> {
        self.poll_within(Until::never(), AT_ONCE)
    }

    /// As [`poll`](Self::poll), at most for `timeout`: nothing if nothing was ready in time.
    ///
    /// # Errors
    ///
    /// As [`wait_read`].
    pub fn poll_timeout(&mut self, timeout: Duration) -> io::Result<Vec<(RawFd, Events)>> {
        self.poll_within(Until::after(timeout), AT_ONCE)
    }

    fn poll_within(&mut self, until: Until, most: usize) -> io::Result<Vec<(RawFd, Events)>> {
        fair::fairness_point();
        let _alarm = until.end().map(|end| timer::alarm(&self.epoll, end));
        loop {
            let is_over = until.is_over();
            let ready = self.look(most)?;
            if !ready.is_empty() || is_over {
                return Ok(ready);
            }
            self.wait(until)?;
        }
    }

    fn look(&self, most: usize) -> io::Result<Vec<(RawFd, Events)>> {
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let mut list = vec![nothing; most];
        let found = match epoll::wait(&*self.epoll, &mut list[..], Some(&Timespec::default())) {
            Err(Errno::INTR) => 0,
            found => found?,
        };
        let of = |event: &Event| (event.data.u64() as RawFd, Events::of(event.flags));
        Ok(self.always.iter().copied().chain(list[..found].iter().map(of)).collect())
    }

    fn wait(&self, until: Until) -> io::Result<()> {
        if may::coroutine::is_coroutine() {
            self.epoll.wait_unless_unwinding(Readiness::READ.or(Readiness::INTERRUPT))?;
            return Ok(());
        }
        let left = until.left().and_then(|left| Timespec::try_from(left).ok());
        let _ = step_aside(|| poll(&mut [PollFd::new(&*self.epoll, PollFlags::IN)], left.as_ref()));
        Ok(())
    }
}

type Event = epoll::Event;

fn wait_for(fd: BorrowedFd<'_>, events: Events, until: Until) -> io::Result<bool> {
    let mut poll = Poll::new()?;
    poll.register(fd, events)?;
    Ok(!poll.poll_within(until, 1)?.is_empty())
}

fn select_within(
    reads: &[BorrowedFd<'_>],
    writes: &[BorrowedFd<'_>],
    until: Until,
) -> io::Result<(Vec<usize>, Vec<usize>)> {
    let mut poll = Poll::new()?;
    let is_in = |list: &[BorrowedFd<'_>], fd: &BorrowedFd<'_>| {
        list.iter().any(|other| other.as_raw_fd() == fd.as_raw_fd())
    };
    for fd in reads.iter().chain(writes) {
        let events = Events { readable: is_in(reads, fd), writable: is_in(writes, fd), hangup: false };
        poll.register(fd, events)?;
    }
    // Asked for none at all, the system would call that an error.
    let ready = poll.poll_within(until, (reads.len() + writes.len()).max(1))?;
    let of = |list: &[BorrowedFd<'_>], is_ready: fn(&Events) -> bool| {
        let hit = |fd: &BorrowedFd<'_>| {
            ready
                .iter()
                .any(|(ready, events)| *ready == fd.as_raw_fd() && (is_ready(events) || events.hangup))
        };
        list.iter().enumerate().filter(|(_, fd)| hit(fd)).map(|(at, _)| at).collect()
    };
    Ok((of(reads, |events| events.readable), of(writes, |events| events.writable)))
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").finish_non_exhaustive()
    }
}

/// How many descriptors one look finds at most.
const AT_ONCE: usize = 64;
