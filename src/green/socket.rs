//! A non-blocking socket on one descriptor and one epoll registration, on which a reader and a writer may wait at once.
//!
//! `may`'s own streams need a second descriptor and registration for that, and lose wake-ups without. Here one of the
//! two waits in epoll and wakes the other where its turn has come; whoever leaves hands the watch over.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use may::io::{CoIo, WaitIo};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, connect_unspec, recv, send, sendmsg, shutdown,
};

use super::awaits::Awaits;
use super::blocking::step_aside;
use super::coroutine::Record;
use super::interrupt::{Interrupts, is_unwinding};
use super::park::{WaitList, Waiter};
use super::{fair, worker};

/// What a wait on a socket is for, and what it ended with: a set of the constants below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    /// Something can be read.
    pub(crate) const READ: Self = Self(1);
    /// Something can be written.
    pub(crate) const WRITE: Self = Self(2);
    /// Someone has called [`Socket::interrupt`].
    pub(crate) const INTERRUPT: Self = Self(4);
    /// The peer has ended or reset the stream. Read on until the end is reached: no other event tells of it.
    pub(crate) const HANGUP: Self = Self(8);
    /// Any of them.
    pub(crate) const ANY: Self = Self(15);

    /// Both sets.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets have something in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn from_epoll(flags: usize) -> Self {
        let mut ready = 0;
        if flags & EPOLLIN != 0 {
            ready |= Self::READ.0;
        }
        if flags & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) != 0 {
            ready |= Self::READ.0 | Self::HANGUP.0;
        }
        if flags & (EPOLLOUT | EPOLLHUP | EPOLLERR) != 0 {
            ready |= Self::WRITE.0;
        }
        Self(ready)
    }
}

/// A connected or listening socket. Dropped, it leaves epoll first and closes its descriptor then, so that a
/// descriptor of the same number opened meanwhile keeps its registration.
pub(crate) struct Socket {
    io: CoIo<Borrowed>,
    fd: OwnedFd,
    /// Tells it apart from all that were and will be.
    number: u64,
    watch: Mutex<Watch>,
    /// Dropped once the descriptor is closed.
    companion: Option<Box<dyn Send + Sync>>,
}

/// Who waits in epoll and who beside it.
struct Watch {
    /// What has become ready and nobody has taken yet. Edge-triggered: what is lost here comes no second time.
    ready: u8,
    /// Whether a coroutine is in epoll for this socket. It alone may call `wait_io`.
    held: bool,
    beside: WaitList,
}

impl Socket {
    /// Registers a descriptor with epoll and makes it non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let io =
            CoIo::new(Borrowed(fd.as_raw_fd())).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Self {
            io,
            fd,
            number,
            watch: Mutex::new(Watch { ready: 0, held: false, beside: WaitList::new() }),
            companion: None,
        })
    }

    /// Something to be dropped with the socket, once its descriptor is closed.
    pub(crate) fn accompany(&mut self, companion: impl Send + Sync + 'static) {
        self.companion = Some(Box::new(companion));
    }

    /// Waits until something of `interest` is ready, and takes it.
    ///
    /// On a plain thread it polls, and knows nothing of interrupts. Not to be called while the coroutine unwinds.
    pub(crate) fn wait(&self, interest: Readiness) -> Readiness {
        if !may::coroutine::is_coroutine() {
            return self.poll(interest);
        }
        debug_assert!(!is_unwinding(), "a coroutine that yields while it unwinds passes its panic count on");
        fair::before_yield();
        loop {
            let beside = {
                let mut watch = self.lock();
                let hit = watch.ready & interest.0;
                if hit != 0 {
                    watch.ready &= !hit;
                    return Readiness(hit);
                }
                watch.enter()
            };
            match beside {
                Some(waiter) => {
                    waiter.wait(Awaits::Socket, None, |gone| self.lock().beside.forget(gone));
                }
                None => self.watch_epoll(),
            }
        }
    }

    /// As [`wait`](Self::wait), for code that a destructor may call: `WouldBlock` while its coroutine unwinds.
    pub(crate) fn wait_unless_unwinding(&self, interest: Readiness) -> io::Result<Readiness> {
        if is_unwinding() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(self.wait(interest)) }
    }

    /// Wakes who waits with [`Readiness::INTERRUPT`], or the next who does. From any thread, without waiting.
    pub(crate) fn interrupt(&self) {
        self.lock().ready |= Readiness::INTERRUPT.0;
        self.io.waker().wakeup();
    }

    /// Reads what is there, without waiting. `WouldBlock` where there is nothing, 0 where the peer has ended.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.fd, buf, RecvFlags::DONTWAIT)?.1)
    }

    /// As [`try_recv`](Self::try_recv), appending at most `max` bytes to `buf`, which has room for them.
    pub(crate) fn try_recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let len = buf.len();
        if buf.capacity() - len == max {
            return Ok(recv(&self.fd, spare_capacity(buf), RecvFlags::DONTWAIT)?.0);
        }
        buf.resize(len + max, 0);
        let received = self.try_recv(&mut buf[len..]);
        buf.truncate(len + received.as_ref().map_or(0, |n| *n));
        received
    }

    /// Writes what the socket takes, without waiting. `WouldBlock` where it takes nothing.
    pub(crate) fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(send(&self.fd, buf, SEND)?)
    }

    /// As [`try_send`](Self::try_send), from several buffers.
    pub(crate) fn try_send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(&self.fd, bufs, &mut SendAncillaryBuffer::default(), SEND)?)
    }

    /// Sends the peer our end of stream; what it sends can still be read.
    pub(crate) fn shutdown_write(&self) {
        // Fails only where the peer has gone first.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }

    /// Ends both directions at once and wakes whoever waits.
    pub(crate) fn shutdown_both(&self) {
        let _ = shutdown(&self.fd, Shutdown::Both);
        self.interrupt();
    }

    /// Resets the connection at once: what the system holds for it is thrown away, the peer is told so, and whoever waits is
    /// woken. Calling it again, or after the peer has gone, changes nothing.
    pub(crate) fn reset(&self) {
        // Fails only if the peer has gone first. A close would do the same with `SO_LINGER` 0, but only once nobody holds
        // the socket any more.
        let _ = connect_unspec(&self.fd);
        self.shutdown_both();
    }

    /// How long the system goes on with a connection whose peer takes nothing, once it is closed.
    pub(crate) fn set_patience(&self, patience: Duration) {
        // Without it, it goes on for as long as the system's own settings say.
        let _ = set_tcp_user_timeout(&self.fd, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
    }

    /// Waits in epoll. Woken by `wakeup` it returns with nothing, and looks for itself as everybody else.
    fn watch_epoll(&self) {
        let me = worker::leave(Awaits::Socket);
        let interrupts = me.as_deref().map(Record::interrupts);
        // Reachable before it looks, so that no interrupt comes between.
        if let Some(interrupts) = interrupts {
            interrupts.reach_at(self.number, || self.io.waker());
        }
        let mut interrupt = interrupts.and_then(Interrupts::pending);
        let mut ready = Readiness(0);
        if interrupt.is_none() {
            ready = Readiness::from_epoll(self.io.wait_io());
            interrupt = interrupts.and_then(Interrupts::pending);
        }
        worker::resume(me);
        self.leave_epoll(ready);
        if let Some(interrupt) = interrupt {
            interrupt.raise();
        }
    }

    fn leave_epoll(&self, ready: Readiness) {
        let mut watch = self.lock();
        watch.held = false;
        watch.ready |= ready.0;
        // Each looks for itself: one takes what came, or takes the watch over.
        watch.beside.wake_all();
    }

    /// Whether something waits to be read, be it the end.
    pub(crate) fn is_readable(&self) -> bool {
        poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&Timespec::default()))
            .is_ok_and(|ready| ready > 0)
    }

    fn poll(&self, interest: Readiness) -> Readiness {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.meets(Readiness::READ));
        flags.set(PollFlags::OUT, interest.meets(Readiness::WRITE));
        // An interrupted poll returns early: the caller tries, and comes back.
        let _ = step_aside(|| poll(&mut [PollFd::new(&self.fd, flags)], None));
        Readiness(interest.0 & !Readiness::INTERRUPT.0)
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Takes the watch (`None`), or a place beside who has it.
    fn enter(&mut self) -> Option<Arc<Waiter>> {
        if !std::mem::replace(&mut self.held, true) {
            return None;
        }
        Some(self.beside.enlist())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Socket").field(&self.fd).finish()
    }
}

/// The descriptor as `may` sees it: it registers and forgets it, but never closes it.
#[derive(Debug)]
struct Borrowed(RawFd);

impl AsRawFd for Borrowed {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

const EPOLLIN: usize = 0x1;
const EPOLLOUT: usize = 0x4;
const EPOLLERR: usize = 0x8;
const EPOLLHUP: usize = 0x10;
const EPOLLRDHUP: usize = 0x2000;

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);
