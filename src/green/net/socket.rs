//! A non-blocking socket on one descriptor and one epoll registration, on which a reader and a writer may wait at once.
//!
//! `may`'s own streams need a second descriptor and registration for that, and lose wake-ups without. Here the poller of
//! the worker on which the socket was first waited for notes what becomes ready, and wakes those who wait for that.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::readiness::Readiness;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::blocking::step_aside;
use crate::green::runtime::park::Sleeper;
use crate::green::runtime::ride::{Rest, Ride};
use crate::green::runtime::{fair, home};
use crate::green::spawn::interrupt::is_unwinding;
use crate::lock::Lock;

/// A connected or listening socket. Dropped, it leaves epoll first and closes its descriptor then, so that a
/// descriptor of the same number opened meanwhile keeps its registration.
pub(crate) struct Socket {
    fd: OwnedFd,
    /// It is watched, or nothing is to be watched: once and for all.
    is_placed: AtomicBool,
    watching: Arc<Watching>,
    /// Dropped once the descriptor is closed.
    companion: Option<Box<dyn Send + Sync>>,
}

/// What a socket and the poller share.
#[derive(Default)]
pub(in crate::green) struct Watching {
    /// How often something was noted. Changed under the lock.
    noted: AtomicU32,
    watch: Lock<Watch>,
}

/// What is ready, and which green threads wait for it.
#[derive(Default)]
struct Watch {
    /// What has become ready and was not taken yet. Edge-triggered: what is lost here is not reported again.
    ready: u8,
    place: Place,
    /// The first one that waits, and for what. Mostly there is only one.
    first: Option<(Waits, Readiness)>,
    #[expect(clippy::box_collection, reason = "one word while empty")]
    others: Option<Box<Vec<(Waits, Readiness)>>>,
}

/// A green thread that waits for a socket.
enum Waits {
    Parked(Sleeper),
    /// One that has no stack meanwhile.
    AtRest(Box<Ride>),
}

/// Where the socket is watched: on the worker where it was first waited for.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Nowhere,
    /// Somebody sees to it.
    Soon,
    At {
        home: u16,
        number: u64,
    },
    /// Nothing is to be watched.
    #[cfg(feature = "kcp")]
    Told,
}

impl Socket {
    /// Makes a descriptor non-blocking. It is registered with epoll when it is first waited for.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self::of_nonblocking(fd))
    }

    /// As [`new`](Self::new), of a descriptor that does not block already.
    pub(crate) fn of_nonblocking(fd: OwnedFd) -> Self {
        Self { fd, is_placed: AtomicBool::new(false), watching: Arc::default(), companion: None }
    }

    /// One that is none of the system's: what is ready is what [`tell`](Self::tell) says. Its descriptor stands for it where a
    /// plain thread waits.
    #[cfg(feature = "kcp")]
    pub(crate) fn told() -> io::Result<Self> {
        let flags = rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC;
        let watching = Arc::new(Watching::told());
        let fd = rustix::event::eventfd(0, flags)?;
        Ok(Self { fd, is_placed: AtomicBool::new(true), watching, companion: None })
    }

    /// Says what has become ready. From any thread, without waiting.
    #[cfg(feature = "kcp")]
    pub(crate) fn tell(&self, ready: Readiness) {
        self.watching.tell(ready);
    }

    /// Something to be dropped with the socket, once its descriptor is closed.
    pub(crate) fn accompany(&mut self, companion: impl Send + Sync + 'static) {
        self.companion = Some(Box::new(companion));
    }

    /// Waits until something of `interest` is ready, and takes it: for one that alone waits for that.
    ///
    /// On a plain thread it polls, and knows nothing of interrupts. Do not call it while the coroutine unwinds.
    pub(crate) fn wait(&self, interest: Readiness) -> Readiness {
        self.wait_after(None, interest)
    }

    /// As [`wait`](Self::wait), for one of several that wait for the same. It waits no more once something has been noted since
    /// its last attempt: another may have taken that, and left some of it, and no other event tells of the rest.
    fn wait_after(&self, attempt: Option<u32>, interest: Readiness) -> Readiness {
        if !may::coroutine::is_coroutine() {
            return self.poll(interest);
        }
        fair::before_yield();
        loop {
            let (sleeper, to_watch) = {
                let mut watch = self.watching.lock();
                let hit = watch.take(interest);
                if hit != Readiness::NONE {
                    return hit;
                }
                if attempt.is_some_and(|noted| noted != self.watching.noted()) {
                    return Readiness::NONE;
                }
                let sleeper = Sleeper::begin();
                watch.enlist(Waits::Parked(sleeper.clone()), interest);
                (sleeper, watch.is_to_be_placed())
            };
            if to_watch && let Err(error) = self.watch() {
                self.watching.lock().forget(&sleeper);
                return unwatched(interest, &error);
            }
            sleeper.wait(Awaits::Socket, |gone| self.watching.lock().forget(gone));
        }
    }

    /// As [`wait`](Self::wait), for code that a destructor may call: `WouldBlock` while its coroutine unwinds.
    pub(crate) fn wait_unless_unwinding(&self, interest: Readiness) -> io::Result<Readiness> {
        if is_unwinding() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(self.wait(interest)) }
    }

    /// Does `call` as soon as it need not wait. `Interrupted` if that is what it says. As for all that waits here, it is a
    /// fairness point, and `WouldBlock` while the coroutine unwinds.
    pub(super) fn wait_to<T>(
        &self,
        interest: Readiness,
        mut call: impl FnMut(&Self) -> io::Result<T>,
    ) -> io::Result<T> {
        fair::fairness_point();
        loop {
            let attempt = self.noted();
            match call(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.wait_again(attempt, interest)?;
        }
    }

    /// To be asked before an attempt, for [`wait_again`](Self::wait_again).
    pub(super) fn noted(&self) -> u32 {
        self.watching.noted()
    }

    /// After an attempt that would have to wait: waits for something of `interest`. `NONE` if there is to be another attempt
    /// without it. Errors as [`wait_unless_unwinding`](Self::wait_unless_unwinding).
    pub(super) fn wait_again(&self, attempt: u32, interest: Readiness) -> io::Result<Readiness> {
        if is_unwinding() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.wait_after(Some(attempt), interest))
    }

    /// As [`wait_to`](Self::wait_to), for calls of the system's own.
    pub(super) fn attempt<T>(
        &self,
        interest: Readiness,
        mut call: impl FnMut(&Self) -> Result<T, Errno>,
    ) -> io::Result<T> {
        self.wait_to(interest, |socket| Ok(call(socket)?))
    }

    /// Takes what is ready of `interest`, without waiting.
    pub(super) fn take(&self, interest: Readiness) -> Readiness {
        self.watching.lock().take(interest)
    }

    /// Wakes the green thread that waits with [`Readiness::INTERRUPT`], or the next that does. From any thread, without waiting.
    pub(crate) fn interrupt(&self) {
        self.watching.tell(Readiness::INTERRUPT);
    }

    /// The worker on which it is watched.
    pub(in crate::green) fn home(&self) -> Option<usize> {
        match self.watching.lock().place {
            Place::At { home, .. } => Some(usize::from(home)),
            _ => None,
        }
    }

    /// Registers the descriptor with the epoll instance of the worker that calls.
    fn watch(&self) -> io::Result<()> {
        // On a worker of `may` that is none of ours, any will do.
        let home = home::here().unwrap_or_else(|| home::of(0));
        let number = home.watch(&self.fd, &self.watching);
        let place = number
            .as_ref()
            .map_or(Place::Nowhere, |number| Place::At { home: home.index() as u16, number: *number });
        self.watching.lock().place = place;
        self.is_placed.store(number.is_ok(), Ordering::Relaxed);
        number.map(drop)
    }

    fn poll(&self, interest: Readiness) -> Readiness {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.meets(Readiness::READ));
        flags.set(PollFlags::OUT, interest.meets(Readiness::WRITE));
        // An interrupted poll returns early: the caller tries, and comes back.
        let _ = step_aside(|| poll(&mut [PollFd::new(&self.fd, flags)], None));
        Readiness::from_bits(interest.bits() & !Readiness::INTERRUPT.bits())
    }
}

impl Rest for Socket {
    fn wait(&self, interest: Readiness) -> Readiness {
        Self::wait(self, interest)
    }

    /// Waits while the system refuses to watch it.
    fn prepare(&self) -> Awaits {
        while !self.is_placed.load(Ordering::Relaxed) && self.watching.lock().is_to_be_placed() {
            if let Err(error) = self.watch() {
                unwatched(Readiness::ANY, &error);
            }
        }
        Awaits::Socket
    }

    fn rest(&self, interest: Readiness, ride: Box<Ride>) -> Option<(Box<Ride>, Readiness)> {
        let mut watch = self.watching.lock();
        let hit = watch.take(interest);
        if hit != Readiness::NONE {
            return Some((ride, hit));
        }
        watch.enlist(Waits::AtRest(ride), interest);
        None
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that rests here would be forgotten with the list: it goes on, and finds what has become of its socket.
        self.watching.tell(Readiness::INTERRUPT);
        let place = self.watching.lock().place;
        if let Place::At { home, number } = place {
            home::of(usize::from(home)).unwatch(&self.fd, number);
        }
    }
}

impl Watching {
    /// That of a socket of which nothing is to be watched.
    #[cfg(feature = "kcp")]
    fn told() -> Self {
        let watch = Lock::new(Watch { place: Place::Told, ..Watch::default() });
        Self { watch, ..Self::default() }
    }

    /// How often something was noted until now. If that has changed since an attempt, something has come of which the attempt
    /// knew nothing, even if another has taken it.
    fn noted(&self) -> u32 {
        self.noted.load(Ordering::Acquire)
    }

    /// Notes an event, and wakes all that wait for it. Rides go on by `go_on`.
    pub(in crate::green) fn note(&self, flags: EventFlags, go_on: impl FnMut(Box<Ride>, Readiness)) {
        self.note_and(Readiness::from_epoll(flags), go_on);
    }

    /// As [`note`](Self::note), for what the system does not tell.
    fn tell(&self, ready: Readiness) {
        self.note_and(ready, Ride::go_on);
    }

    #[inline]
    fn note_and(&self, ready: Readiness, go_on: impl FnMut(Box<Ride>, Readiness)) {
        let mut watch = self.lock();
        self.noted.store(self.noted.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        watch.note_and(ready, go_on);
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock()
    }
}

impl Watch {
    /// Takes what is ready of `interest`.
    fn take(&mut self, interest: Readiness) -> Readiness {
        let hit = self.ready & interest.bits();
        self.ready &= !hit;
        Readiness::from_bits(hit)
    }

    /// Each looks for itself: one takes what came, another waits on.
    #[inline]
    fn note_and(&mut self, ready: Readiness, mut go_on: impl FnMut(Box<Ride>, Readiness)) {
        self.ready |= ready.bits();
        let ready = Readiness::from_bits(self.ready);
        if let Some((first, interest)) = self.first.take_if(|(_, interest)| ready.meets(*interest)) {
            first.wake(interest, &mut self.ready, &mut go_on);
        }
        if let Some(others) = &mut self.others {
            for (other, interest) in others.extract_if(.., |(_, interest)| ready.meets(*interest)) {
                other.wake(interest, &mut self.ready, &mut go_on);
            }
        }
    }

    fn enlist(&mut self, waits: Waits, interest: Readiness) {
        if self.first.is_none() {
            self.first = Some((waits, interest));
        } else {
            self.others.get_or_insert_default().push((waits, interest));
        }
    }

    fn forget(&mut self, gone: &Sleeper) {
        self.first.take_if(|(waits, _)| waits.is(gone));
        if let Some(others) = &mut self.others {
            others.retain(|(waits, _)| !waits.is(gone));
        }
    }

    /// Whether the caller is to see to it that the socket is watched.
    fn is_to_be_placed(&mut self) -> bool {
        let nowhere = matches!(self.place, Place::Nowhere);
        if nowhere {
            self.place = Place::Soon;
        }
        nowhere
    }
}

impl Waits {
    /// Wakes it, if it still waits. One that parks looks for itself what is ready; to one without a stack it is given.
    fn wake(self, interest: Readiness, ready: &mut u8, go_on: impl FnOnce(Box<Ride>, Readiness)) {
        match self {
            Self::Parked(sleeper) => drop(sleeper.wake()),
            Self::AtRest(ride) => {
                let hit = *ready & interest.bits();
                *ready &= !hit;
                go_on(ride, Readiness::from_bits(hit));
            }
        }
    }

    fn is(&self, other: &Sleeper) -> bool {
        matches!(self, Self::Parked(sleeper) if sleeper.is(other))
    }
}

/// The pauses while the system refuses to watch a socket: a waiter tries again, a little later each time.
#[cold]
fn unwatched(interest: Readiness, error: &io::Error) -> Readiness {
    log::error!("epoll refuses a socket: {error}");
    crate::green::sleep(Duration::from_millis(10));
    interest
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
