//! The home of a green thread: the worker it was spawned on, the only one it ever runs on.
//!
//! `may` resumes a coroutine on the thread that unparks it. So to wake a green thread from another thread,
//! the waker puts it into the inbox of its home and rings the bell there; the [poller](super::poller) of that worker
//! unparks it. A wake-up on the same worker needs neither.
//!
//! Another crate in the program can switch `may`'s `work_steal` on. This file works with it on, too: a coroutine that
//! finds itself on another worker moves back before it continues.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, MutexGuard, OnceLock};

use rustix::event::epoll;
use rustix::event::{EventfdFlags, eventfd};

use super::carrier::Spares;
use super::poller::{BELL, Sockets, note_stealing};
use super::ride::Ready;
use super::worker;
use crate::green::spawn::record::Record;
use crate::lock::Lock;

/// The part of a worker that other threads use.
pub(in crate::green) struct Home {
    index: usize,
    /// The sockets that are waited for here, and the bell.
    epoll: OwnedFd,
    bell: OwnedFd,
    sockets: Lock<Sockets>,
    /// Green threads of this worker that others have woken.
    inbox: Lock<Vec<Arc<Record>>>,
    /// Rides that can go on.
    ready: Ready,
    spares: Spares,
    /// There may be some. Raised after they are in, lowered before they are taken.
    mail: AtomicBool,
    /// Green threads on their way here, which only `may` knows of yet.
    arriving: AtomicUsize,
    rest: AtomicU8,
    /// The bell has been rung since the poller last went to rest.
    rung: AtomicBool,
    /// When the slice of time began in which the network was not looked at; 0: the next look at the clock begins it.
    slice: AtomicU64,
    looks: AtomicU64,
    to_may: AtomicBool,
    /// Written by the watchdog, as the next.
    held: AtomicBool,
    busy: AtomicBool,
}

/// Where the poller is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Rest {
    /// It runs, or does so once those before it have had their turn.
    Awake,
    /// It waits for its sockets, and the worker with it.
    InPoll,
    /// It waits for the worker to find something in the poll of `may`.
    InMay,
}

impl Home {
    fn new(index: usize, workers: usize) -> io::Result<Self> {
        let epoll = epoll_of(index, workers)?;
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), edge)?;
        Ok(Self {
            index,
            epoll,
            bell,
            sockets: Lock::default(),
            inbox: Lock::default(),
            ready: Ready::default(),
            spares: Spares::default(),
            mail: AtomicBool::new(false),
            arriving: AtomicUsize::new(0),
            rest: AtomicU8::new(Rest::InMay as u8),
            rung: AtomicBool::new(false),
            slice: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            to_may: AtomicBool::new(false),
            held: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        })
    }

    pub(in crate::green) const fn index(&self) -> usize {
        self.index
    }

    pub(super) const fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    pub(super) const fn ready(&self) -> &Ready {
        &self.ready
    }

    pub(super) const fn spares(&self) -> &Spares {
        &self.spares
    }

    /// Tells the poller to end carriers that have not been needed since the last time.
    pub(super) fn trim_spares(&self) {
        if self.spares.ask_to_trim() {
            self.ring();
        }
    }

    pub(super) const fn slice(&self) -> &AtomicU64 {
        &self.slice
    }

    pub(super) fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock()
    }

    /// Lets a parked green thread go on. From any thread.
    pub(super) fn wake(&self, record: &Arc<Record>) {
        if worker::is_home(self.index) {
            record.unpark();
        } else {
            self.post(record);
        }
    }

    /// Asks the poller to unpark a green thread.
    fn post(&self, record: &Arc<Record>) {
        self.inbox().push(Arc::clone(record));
        self.mail.store(true, Ordering::Release);
        self.call_poller();
    }

    /// Unparks those that others have woken. `list` is empty, and serves the next time.
    pub(super) fn empty_inbox(&self, list: &mut Vec<Arc<Record>>) {
        if self.mail.load(Ordering::Relaxed) {
            self.mail.store(false, Ordering::Relaxed);
            std::mem::swap(&mut *self.inbox(), list);
            for record in list.drain(..) {
                if record.home() == self.index {
                    record.unpark();
                } else {
                    // A ride that was here when it was posted.
                    of(record.home()).post(&record);
                }
            }
        }
    }

    /// Asks the poller to look at everything it serves, unless it will anyway.
    pub(super) fn call_poller(&self) {
        // Pairs with the fence in `rests`: either it is seen to rest here, or it sees there what was done before. On the worker
        // itself it is the same thread that says so.
        if !worker::is_home(self.index) {
            fence(Ordering::SeqCst);
        }
        if self.rest.load(Ordering::Relaxed) != Rest::Awake as u8 {
            self.ring();
        }
    }

    /// A green thread was spawned: a poller that waits on the spot has to let `may` find it.
    pub(super) fn call_poller_to_arrivals(&self) {
        fence(Ordering::SeqCst);
        if self.rest.load(Ordering::Relaxed) == Rest::InPoll as u8 {
            self.ring();
        }
    }

    /// As [`ring`](Self::ring), if another has taken the event.
    pub(super) fn ring_again(&self) {
        self.rung.store(false, Ordering::SeqCst);
        self.ring();
    }

    /// Rings the bell: an event for the poller, wherever it rests.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // Fails only once 2^64 rings were not heard.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    /// The poller goes to rest. `false` if there is something to do first, and it must not.
    pub(super) fn rests(&self, at: Rest) -> bool {
        self.rest.store(at as u8, Ordering::Relaxed);
        // After it is seen to rest and before it looks once more: a bell that is rung in between is heard.
        self.rung.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let nothing = !self.mail.load(Ordering::Acquire)
            && (at == Rest::InMay || !self.has_arriving() && self.ready.is_empty());
        if !nothing {
            self.is_awake();
        }
        nothing
    }

    /// Whether the poller rests and nothing waits for it: no green thread can run here.
    pub(super) fn is_idle(&self) -> bool {
        self.rest.load(Ordering::SeqCst) != Rest::Awake as u8
            && !self.mail.load(Ordering::SeqCst)
            && !self.has_arriving()
            && self.ready.is_empty()
    }

    pub(super) fn is_awake(&self) {
        self.rest.store(Rest::Awake as u8, Ordering::Relaxed);
    }

    /// The poller waits in `may` now, whatever [`rests`](Self::rests) has found. The bell has been rung then.
    pub(super) fn is_in_may(&self) {
        self.rest.store(Rest::InMay as u8, Ordering::Relaxed);
    }

    /// Whether the poller waits for the worker to find something in the poll of `may`. Asked on the worker itself.
    pub(super) fn waits_in_may(&self) -> bool {
        self.rest.load(Ordering::Relaxed) == Rest::InMay as u8
    }

    /// Whether others may have woken green threads of this worker.
    pub(super) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed)
    }

    /// Whether green threads are on their way here that only `may` knows of yet.
    pub(super) fn has_arriving(&self) -> bool {
        self.arriving.load(Ordering::Relaxed) > 0
    }

    /// A green thread is about to be spawned here.
    pub(super) fn expect(&'static self) -> Arrival {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        Arrival(self)
    }

    /// How often the poller has looked at the network; written by it alone.
    pub(super) const fn looks(&self) -> &AtomicU64 {
        &self.looks
    }

    /// Makes a poller that waits on the spot, because it has looked so often, wait in `may` instead.
    pub(super) fn send_to_may(&self, looks: u64) {
        if self.rest.load(Ordering::Relaxed) == Rest::InPoll as u8
            && self.looks.load(Ordering::Relaxed) == looks
        {
            self.to_may.store(true, Ordering::Relaxed);
            self.ring();
        }
    }

    /// Whether one green thread has kept the worker for long, and may do so on: see [`watchdog`](super::watchdog).
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether one green thread has kept the worker for a few milliseconds.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        self.busy.store(is_busy, Ordering::Relaxed);
    }

    pub(super) fn set_held(&self, is_held: bool) {
        self.held.store(is_held, Ordering::Relaxed);
    }

    /// Whether it is to wait in `may`.
    pub(super) fn is_sent_to_may(&self) -> bool {
        self.to_may.swap(false, Ordering::Relaxed)
    }

    fn inbox(&self) -> MutexGuard<'_, Vec<Arc<Record>>> {
        self.inbox.lock()
    }
}

/// A green thread on its way home; dropped when it is there, or was not spawned.
pub(in crate::green) struct Arrival(&'static Home);

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Comes home, before anything of the green thread's own runs on another worker.
pub(in crate::green) fn come_home(record: &Arc<Record>) {
    if !worker::is_home(record.home()) {
        hop(record);
    }
}

#[cold]
fn hop(record: &Arc<Record>) {
    if !record.is_carried() {
        note_stealing();
    }
    while !worker::is_home(record.home()) {
        record.park_for(|| of(record.home()).post(record));
    }
}

/// Opens the homes of all workers. Called once, when the runtime starts.
pub(super) fn open(workers: usize) -> io::Result<&'static [Home]> {
    let homes = (0..workers).map(|index| Home::new(index, workers)).collect::<io::Result<Vec<_>>>()?;
    Ok(HOMES.get_or_init(|| homes))
}

/// All there are.
pub(super) fn all() -> &'static [Home] {
    HOMES.get().map_or(&[], Vec::as_slice)
}

/// The home of the worker with this number.
pub(in crate::green) fn of(index: usize) -> &'static Home {
    &HOMES.get().expect("what has a home was spawned by the runtime")[index]
}

/// The home of the worker that calls; `None` on a thread that is no worker.
pub(in crate::green) fn here() -> Option<&'static Home> {
    HOMES.get()?.get(worker::home_index()?)
}

/// The home of the next green thread. Each worker in turn, beginning each round with another one, so that no rhythm of
/// spawns falls in step: were every second one busy, all workers would still have as many of them. One that is held is
/// left out, unless all are.
pub(crate) fn next() -> usize {
    static SPAWNED: AtomicUsize = AtomicUsize::new(0);
    let workers = all().len().max(1);
    let number = SPAWNED.fetch_add(1, Ordering::Relaxed);
    let round = (number / workers) as u64;
    let first = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let turn = (number + first as usize) % workers;
    let mut from_there = all()[turn..].iter().chain(&all()[..turn]);
    from_there.find(|home| !home.is_held()).map_or(turn, Home::index)
}

/// A worker that is not busy, beginning behind another.
pub(super) fn next_to(busy: &Home) -> Option<&'static Home> {
    let homes = all();
    let (before, behind) = homes.split_at((busy.index + 1).min(homes.len()));
    behind.iter().chain(before).find(|home| !home.is_busy())
}

/// `may` gives descriptor `n` to worker `n % workers`: opens epoll instances until one falls to `worker`.
fn epoll_of(worker: usize, workers: usize) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let mut misses = Vec::new();
    loop {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        if fd.as_raw_fd().unsigned_abs() as usize % workers == worker {
            return Ok(fd);
        }
        misses.push(fd);
    }
}

static HOMES: OnceLock<Vec<Home>> = OnceLock::new();
