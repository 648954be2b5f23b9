//! Carriers: coroutines that lend their stacks to those who have none while they rest.
//!
//! A [`Ride`] is a green thread that is data most of the time: a record, and a passenger that says what to do once its
//! socket has something. What makes it ready puts it into the queue of a worker, where a carrier runs it on its own warm
//! stack until it rests again. If it waits for anything else, in a handler say, it keeps that stack for as long, and the
//! [poller](super::poller) has another carrier go on with the queue.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use super::awaits::Awaits;
use super::home::{self, Home};
use super::{fair, worker};
use crate::green::net::readiness::Readiness;
use crate::green::net::socket::Socket;
use crate::green::spawn::builder::Builder;
use crate::green::spawn::coroutine::Exit;
use crate::green::spawn::failed::Panicked;
use crate::green::spawn::group::Membership;
use crate::green::spawn::record::Record;
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// What a ride carries.
pub(crate) trait Passenger: Send {
    /// Goes on, because of what is ready, until it has nothing to do.
    fn ride(&mut self, ready: Readiness) -> Halt;
}

/// Where a passenger has come to.
pub(crate) enum Halt {
    /// It goes on once one of these is ready.
    AtRest(Arc<Socket>, Readiness),
    /// It goes on when others have had their turn.
    Again,
    /// Its end.
    Over,
}

/// A green thread without a stack of its own.
pub(in crate::green) struct Ride {
    record: Arc<Record>,
    /// What it goes on for.
    ready: AtomicU8,
    /// Put here by whoever lets it rest, and taken by whoever carries it.
    load: Lock<Option<Load>>,
}

struct Load {
    passenger: Box<dyn Passenger>,
    /// Dropped after the passenger.
    _membership: Membership,
}

impl Ride {
    /// A ride that begins with [`go_on`](Self::go_on). Its record has been settled somewhere.
    pub(in crate::green) fn new(
        record: Arc<Record>,
        passenger: Box<dyn Passenger>,
        membership: Membership,
    ) -> Arc<Self> {
        record.reach_by_itself();
        let load = Load { passenger, _membership: membership };
        Arc::new(Self { record, ready: AtomicU8::new(0), load: Lock::new(Some(load)) })
    }

    /// Has it go on where it went last or, while that worker is held, on another. From any thread, once after each rest.
    pub(in crate::green) fn go_on(self: &Arc<Self>, ready: Readiness) {
        self.ready.store(ready.bits(), Ordering::Relaxed);
        let last = home::of(self.record.home());
        let free = if last.is_busy() { home::next_to(last) } else { None };
        let home = free.unwrap_or(last);
        home.ready().push(Arc::clone(self));
        home.call_poller();
    }

    /// Carries it until it rests, on the stack of the coroutine that calls, whose record is `carrier`.
    fn carry(self: &Arc<Self>, home: &Home, carrier: &Record) {
        let Some(mut load) = self.load.lock().take() else { return };
        self.record.board(carrier, home.index());
        worker::resume(Some(Arc::clone(&self.record)));
        let ready = Readiness::from_bits(self.ready.load(Ordering::Relaxed));
        let halt = catch_unwind(AssertUnwindSafe(|| load.passenger.ride(ready)));
        match halt {
            Ok(Halt::AtRest(socket, interest)) => {
                socket.ensure_watched();
                self.get_off(load, Awaits::Socket);
                // Once it rests, another may carry it, and end it.
                if let Some(ready) = socket.rest(interest, self) {
                    self.go_on(ready);
                }
            }
            Ok(Halt::Again) => {
                self.get_off(load, Awaits::Turn);
                self.go_on(Readiness::NONE);
            }
            Ok(Halt::Over) => self.end(load, Exit::Returned),
            Err(payload) => {
                let panicked = Panicked::new(payload);
                throttled!(error, PANICS, "coroutine {:?} panicked: {panicked}", self.record.name());
                self.end(load, Exit::Panicked);
            }
        }
    }

    fn get_off(&self, load: Load, what: Awaits) {
        fair::before_yield();
        *self.load.lock() = Some(load);
        drop(worker::leave(what));
    }

    fn end(&self, load: Load, exit: Exit) {
        self.record.keep(|| drop(load));
        self.record.finish(exit);
        drop(worker::leave(Awaits::Never));
    }
}

/// The rides of a worker that can go on, first come first carried.
#[derive(Default)]
pub(in crate::green) struct Ready {
    len: AtomicUsize,
    rides: Lock<VecDeque<Arc<Ride>>>,
}

impl Ready {
    pub(in crate::green) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn push(&self, ride: Arc<Ride>) {
        let mut rides = self.rides.lock();
        rides.push_back(ride);
        self.len.store(rides.len(), Ordering::Release);
    }

    /// Takes all of another. `false` if there are none.
    pub(super) fn take_over(&self, other: &Self) -> bool {
        let taken = {
            let mut rides = other.rides.lock();
            other.len.store(0, Ordering::Release);
            std::mem::take(&mut *rides)
        };
        let any = !taken.is_empty();
        let mut rides = self.rides.lock();
        rides.extend(taken);
        self.len.store(rides.len(), Ordering::Release);
        any
    }

    fn pop(&self) -> Option<Arc<Ride>> {
        if self.is_empty() {
            return None;
        }
        let mut rides = self.rides.lock();
        let ride = rides.pop_front();
        self.len.store(rides.len(), Ordering::Release);
        ride
    }
}

/// Carriers of a worker that carry nobody, and park meanwhile.
#[derive(Default)]
pub(super) struct Spares {
    len: AtomicUsize,
    trim: AtomicBool,
    state: Lock<SparesState>,
}

#[derive(Default)]
struct SparesState {
    carriers: Vec<Arc<Record>>,
    /// Fewest there were since the last trim.
    fewest: usize,
}

impl Spares {
    /// Keeps a carrier that is about to park. `false` if there are enough.
    fn put(&self, carrier: &Arc<Record>) -> bool {
        let mut state = self.state.lock();
        let keeps = state.carriers.len() < MOST_SPARES;
        if keeps {
            state.carriers.push(Arc::clone(carrier));
            self.len.store(state.carriers.len(), Ordering::Relaxed);
        }
        keeps
    }

    fn take(&self) -> Option<Arc<Record>> {
        let mut state = self.state.lock();
        let carrier = state.carriers.pop();
        state.fewest = state.fewest.min(state.carriers.len());
        self.len.store(state.carriers.len(), Ordering::Relaxed);
        carrier
    }

    /// Asks for a trim, if there is more than one. `true` if the poller is to hear of it.
    pub(super) fn ask_to_trim(&self) -> bool {
        let asks = self.len.load(Ordering::Relaxed) > 1;
        if asks {
            self.trim.store(true, Ordering::Relaxed);
        }
        asks
    }

    /// Those that were not needed since the last trim, all but one.
    fn trim(&self) -> Vec<Arc<Record>> {
        if !self.trim.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut state = self.state.lock();
        let len = state.carriers.len();
        let kept = (len - state.fewest).max(1).min(len);
        let surplus = state.carriers.split_off(kept);
        state.fewest = state.carriers.len();
        self.len.store(state.carriers.len(), Ordering::Relaxed);
        surplus
    }
}

/// Sees to it that a carrier goes through the queue of a worker if there is something in it. By the poller of that worker.
///
/// # Errors
///
/// If all carriers there are wait in rides, and there is no room for one more.
pub(in crate::green) fn see_to(home: &'static Home) -> io::Result<()> {
    if home.ready().is_empty() || worker::is_seen_to() {
        return Ok(());
    }
    match home.spares().take() {
        Some(carrier) => carrier.unpark(),
        None => add(home)?,
    }
    worker::set_seen_to(true);
    Ok(())
}

/// Adds a carrier to a worker. By its poller.
///
/// # Errors
///
/// If there is no room for it.
pub(super) fn add(home: &'static Home) -> io::Result<()> {
    Builder::carrier(home.index()).detach(move || carry_all(home))
}

/// Ends spare carriers that nobody has needed for a while. By the poller, when nothing else is to be done.
pub(super) fn trim(home: &Home) {
    for carrier in home.spares().trim() {
        // Without a queue to see to, it ends.
        carrier.unpark();
    }
}

/// The life of a carrier. It goes through the queue for as long as it is the one that does: in a ride it may wait, and then
/// another goes on.
fn carry_all(home: &'static Home) {
    let Some(me) = worker::leave(Awaits::Turn) else { return };
    loop {
        let (mut rides, mut goes_on) = (0_u32, true);
        while let Some(ride) = home.ready().pop() {
            worker::set_seen_to(false);
            ride.carry(home, &me);
            drop(ride);
            // It may have waited in there.
            goes_on = !worker::is_seen_to();
            if !goes_on {
                break;
            }
            worker::set_seen_to(true);
            rides += 1;
            if rides.is_multiple_of(RIDES_PER_LOOK) && fair::slice_is_over(home) {
                // Behind the poller, which looks at the network.
                may::coroutine::yield_now();
                home::come_home(&me);
            }
        }
        if goes_on {
            worker::set_seen_to(false);
        }
        if !home.spares().put(&me) {
            return;
        }
        me.park();
        if !worker::is_seen_to() {
            return;
        }
    }
}

/// Spare carriers kept on each worker, with their stacks.
const MOST_SPARES: usize = 64;

/// Rides between two looks at the clock.
const RIDES_PER_LOOK: u32 = 8;

static PANICS: Throttle = Throttle::new();
