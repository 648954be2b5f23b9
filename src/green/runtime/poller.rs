//! The poller: a coroutine on each worker that looks at the network and wakes the coroutines that wait for it.
//!
//! Each round it unparks the coroutines in the inbox, asks the worker's epoll instance what has become ready, wakes those
//! that wait for it, and moves behind them in the queue so that they run. If nothing is left to run, it waits for the
//! network, and the whole thread waits with it: one system call per batch. Only `may` knows of coroutines that have just
//! been spawned. So that `may` can run them, the epoll instance is registered in that of `may`, which wakes the poller.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;

use may::io::{CoIo, WaitIo};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::awaits::Awaits;
use super::home::{self, Home, Rest};
use super::ride::Ride;
use super::{buffers, carrier, fair, worker};
use crate::green::Builder;
use crate::green::net::socket::Watching;
use crate::green::spawn::record::Record;
use crate::log_line::{Throttle, throttled};

/// Starts the poller of a worker, and returns when it is ready to serve.
pub(super) fn start(home: &'static Home) -> std::io::Result<()> {
    let (settled, has_settled) = std::sync::mpsc::channel();
    Builder::poller(home.index()).detach(move || {
        let mut poller = Poller::new(home);
        // The thread has no record while this runs, and it holds up no turn.
        let _me = worker::leave(Awaits::Socket);
        poller.settle();
        // The first of them is there from the start, so that none has to be made when there is no room for it.
        let _ = carrier::add(home);
        // The thread that starts the runtime waits for this.
        let _ = settled.send(());
        poller.serve()
    })?;
    loop {
        match has_settled.try_recv() {
            Ok(()) => return Ok(()),
            Err(TryRecvError::Disconnected) => return Err(std::io::Error::other("a worker did not start")),
            // On a coroutine, which is none of ours, its worker may be the one waited for.
            Err(TryRecvError::Empty) if may::coroutine::is_coroutine() => may::coroutine::yield_now(),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
}

struct Poller {
    home: &'static Home,
    /// The worker's epoll instance as `may` sees it.
    door: CoIo<Door>,
    events: Vec<epoll::Event>,
    inbox: Vec<Arc<Record>>,
    /// Those that the look at the network lets go on.
    rides: VecDeque<Box<Ride>>,
    /// There may be events that will not be reported again: the last look left them, or `may` has seen them.
    more: bool,
    /// Turns since something came from the network.
    quiet: u32,
    /// Turns since `may` has looked at what it has.
    since_may: u32,
}

impl Poller {
    fn new(home: &'static Home) -> Self {
        let door = CoIo::new(Door(home.epoll().as_raw_fd()))
            .unwrap_or_else(|error| panic!("epoll refuses an epoll instance: {error:?}"));
        Self {
            home,
            door,
            events: Vec::with_capacity(BATCH),
            inbox: Vec::new(),
            rides: VecDeque::new(),
            more: false,
            quiet: 0,
            since_may: 0,
        }
    }

    /// Finds out which thread the worker is: the one on which `may` resumes a coroutine that waits for this epoll instance. Another
    /// may have stolen it once, but hardly three times while nothing else runs.
    fn settle(&mut self) {
        let (mut on, mut times) = (std::thread::current().id(), 0);
        while times < 3 || !worker::set_home(self.home.index()) {
            self.visit_may();
            let now_on = std::thread::current().id();
            times = if now_on == on { times + 1 } else { 0 };
            on = now_on;
        }
    }

    fn serve(&mut self) -> ! {
        loop {
            self.home.empty_inbox(&mut self.inbox);
            let mut turns = worker::take_turns();
            let idle = worker::woken() == 0
                && turns.is_empty()
                && !self.home.has_arriving()
                && self.home.ready().is_empty();
            if self.more || !idle && fair::slice_is_over(self.home) {
                self.look(Some(&NOW));
            } else if idle {
                self.rest();
            }
            if let Err(error) = carrier::see_to(self.home) {
                throttled!(warn, NO_ROOM, "rides wait for a carrier: {error}");
                carrier::hand_on(self.home);
                if worker::woken() == 0 {
                    self.look(Some(&A_MOMENT));
                }
            }
            if idle && worker::woken() == 0 {
                continue;
            }
            if turns.is_empty() {
                self.quiet += 1;
            }
            for sleeper in turns.drain(..) {
                sleeper.wake();
            }
            worker::give_turns(turns);
            self.let_run();
        }
    }

    /// As [`home::come_home`](super::home::come_home), by the poller, which unparks the others.
    fn come_home(&mut self) {
        while !worker::is_home(self.home.index()) {
            note_stealing();
            self.visit_may();
        }
    }

    /// Goes once through the poll of `may`, without a wait. It may come back on another worker.
    fn visit_may(&mut self) {
        self.home.rests(Rest::InMay);
        self.home.ring();
        self.wait_in_may();
    }

    /// Waits in the poll of `may`. It may come back on another worker, one that has stolen it.
    fn wait_in_may(&mut self) {
        self.home.is_in_may();
        self.door.wait_io();
        self.home.is_awake();
        self.more = true;
    }

    /// Asks what has become ready, and wakes the coroutines that wait for it.
    fn look(&mut self, wait: Option<&Timespec>) {
        self.events.clear();
        // Interrupted, it has found nothing.
        let _ = epoll::wait(self.home.epoll(), spare_capacity(&mut self.events), wait);
        self.home.is_awake();
        self.home.slice().store(0, Ordering::Relaxed);
        let looks = self.home.looks();
        looks.store(looks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.more = self.events.len() == BATCH;
        if self.events.is_empty() {
            return;
        }
        self.quiet = 0;
        let sockets = self.home.sockets();
        for event in &self.events {
            if let Some(watching) = sockets.get(event.data.u64()) {
                watching.note(event.flags, |ride, ready| ride.go_on_with(ready, self.home, &mut self.rides));
            }
        }
        drop(sockets);
        self.home.ready().append(&mut self.rides);
    }

    /// Nothing is left to run: waits for the network, on the spot. If nothing comes for long, or `may` is used by
    /// others, in the poll of `may`, which sees everything.
    fn rest(&mut self) {
        buffers::trim();
        carrier::trim(self.home);
        if worker::woken() > 0 {
            // Those that are to end run first.
            return;
        }
        if self.home.is_sent_to_may() || may_is_used() {
            self.through_may();
        } else if self.home.rests(Rest::InPoll) {
            self.look(None);
        }
    }

    /// Lets those run that are woken, and comes back behind them.
    fn let_run(&mut self) {
        self.since_may += 1;
        if self.since_may > TURNS_PER_MAY {
            self.since_may = 0;
            self.home.rests(Rest::InMay);
            self.home.ring();
            self.pass_door();
        } else if self.quiet > QUIET_TURNS || self.home.has_arriving() {
            self.through_may();
        } else {
            // They are before the poller in the queue; those they wake are behind it.
            worker::forget_woken();
            may::coroutine::yield_now();
            self.come_home();
            notice_strangers();
        }
    }

    /// Waits in the poll of `may`.
    fn through_may(&mut self) {
        if self.home.rests(Rest::InMay) {
            if self.more || !self.home.ready().is_empty() {
                self.home.ring();
            }
            self.pass_door();
            (self.quiet, self.since_may) = (0, 0);
        }
    }

    /// As [`wait_in_may`](Self::wait_in_may), and comes home.
    fn pass_door(&mut self) {
        worker::forget_woken();
        self.wait_in_may();
        self.come_home();
        notice_strangers();
    }
}

/// Looks at the network for a worker that is busy, and has another go on with the rides that wait there.
pub(super) fn relieve(busy: &'static Home) {
    let Some(free) = home::next_to(busy) else { return };
    let mut events = Vec::with_capacity(BATCH);
    let _ = epoll::wait(busy.epoll(), spare_capacity(&mut events), Some(&NOW));
    let sockets = busy.sockets();
    for event in &events {
        match sockets.get(event.data.u64()) {
            Some(watching) => watching.note(event.flags, Ride::go_on),
            // The worker's own poller has to hear of it.
            None if event.data.u64() == BELL => busy.ring_again(),
            None => {}
        }
    }
    drop(sockets);
    if free.ready().take_over(busy.ready()) {
        free.call_poller();
    }
}

/// The sockets that are waited for on a worker, by the number that epoll returns with an event: a place, and how often
/// it has been used. An event that was on its way while its socket went finds nothing.
#[derive(Default)]
pub(super) struct Sockets {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    uses: u32,
    watching: Option<Arc<Watching>>,
}

impl Sockets {
    fn get(&self, number: u64) -> Option<&Arc<Watching>> {
        let place = self.places.get(number as u32 as usize)?;
        place.watching.as_ref().filter(|_| u64::from(place.uses) == number >> 32)
    }

    fn insert(&mut self, watching: Arc<Watching>) -> u64 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[at as usize];
        place.uses = place.uses.wrapping_add(1);
        place.watching = Some(watching);
        u64::from(place.uses) << 32 | u64::from(at)
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Watching>> {
        let at = number as u32;
        self.free.push(at);
        self.places[at as usize].watching.take()
    }
}

impl Home {
    /// Watches a descriptor from now on; what is ready already is told at once. Returns its number here.
    pub(in crate::green) fn watch(&self, fd: impl AsFd, watching: &Arc<Watching>) -> std::io::Result<u64> {
        let number = self.sockets().insert(Arc::clone(watching));
        let added = epoll::add(self.epoll(), fd, epoll::EventData::new_u64(number), EDGES);
        added.inspect_err(|_| drop(self.sockets().remove(number)))?;
        Ok(number)
    }

    /// Ends what `watch` began, before the descriptor is closed.
    pub(in crate::green) fn unwatch(&self, fd: impl AsFd, number: u64) {
        // Fails only if the descriptor is not there any more.
        let _ = epoll::delete(self.epoll(), fd);
        let watching = self.sockets().remove(number);
        drop(watching);
    }
}

/// Whether `may` may have coroutines to run of which we know nothing.
pub(super) fn may_is_used() -> bool {
    MAY_IS_USED.load(Ordering::Relaxed)
}

/// A coroutine that has left its record with the worker has not waited by a wait of ours.
fn notice_strangers() {
    if worker::is_occupied() {
        drop(worker::leave(Awaits::Nothing));
        note_use_of_may();
    }
}

/// A coroutine waits by calling `may` itself.
#[cold]
pub(super) fn note_use_of_may() {
    if !MAY_IS_USED.swap(true, Ordering::Relaxed) {
        log::warn!("a coroutine waits by calling `may` itself, which may move it to another thread");
    }
}

/// A worker has stolen a coroutine from another, and may have stolen more.
#[cold]
pub(super) fn note_stealing() {
    if !MAY_IS_USED.swap(true, Ordering::Relaxed) {
        log::info!("`work_steal` of `may` is on: green threads that are stolen hop home");
    }
}

/// The epoll instance as `may` sees it: it registers and forgets it, but never closes it.
struct Door(RawFd);

impl AsRawFd for Door {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

static MAY_IS_USED: AtomicBool = AtomicBool::new(false);

/// The number of the bell: no place has been used so often.
pub(super) const BELL: u64 = u64::MAX;

const EDGES: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::OUT)
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::ET);

/// Events taken at a time.
const BATCH: usize = 256;

/// Sends pollers that have not looked at the network since the last time to wait where `may` does: coroutines of `may`
/// that are not ours must not wait for long. `seen` is how often each had looked.
pub(super) fn send_the_idle_to_may(seen: &mut Vec<u64>) {
    let homes = home::all();
    seen.resize(homes.len(), u64::MAX);
    for (home, seen) in homes.iter().zip(seen) {
        home.send_to_may(*seen);
        *seen = home.looks().load(Ordering::Relaxed);
    }
}

static NO_ROOM: Throttle = Throttle::new();

/// While there is no room for a carrier.
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Turns without an event, and in which nobody needs the poller, after which those who wake each other do so without it in between.
const QUIET_TURNS: u32 = 8;

/// Turns after which `may` looks at what it has, whether we know of something or not.
const TURNS_PER_MAY: u32 = 64;
