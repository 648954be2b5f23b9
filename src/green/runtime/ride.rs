//! Green threads that have a stack only while they have something to do.
//!
//! A [`Ride`] is data most of the time: a record, and a passenger that says what to do once its socket has something. What
//! makes it ready puts it into the queue of a worker, where a [carrier](super::carrier) runs it on its own stack until it rests
//! again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use super::awaits::Awaits;
use super::figures::count_stolen;
use super::home::{self, Home};
use super::{fair, worker};
use crate::green::net::readiness::Readiness;
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
    AtRest(Arc<dyn Rest>, Readiness),
    /// It goes on when others have had their turn.
    Again,
    /// Its end.
    Over,
}

/// What green threads rest on, and wait for.
pub(crate) trait Rest: Send + Sync {
    /// Waits, with a stack, until something of `interest` is ready, and takes it.
    fn wait(&self, interest: Readiness) -> Readiness;

    /// Makes it possible to rest, while there is a stack to wait on. Returns what the rest is for.
    fn prepare(&self) -> Awaits;

    /// Lets `ride`, which holds no stack any more, go on once something of `interest` is ready. If something is, returns it.
    fn rest(&self, interest: Readiness, ride: &Arc<Ride>) -> Option<Readiness>;
}

/// A green thread without a stack of its own.
pub(crate) struct Ride {
    record: Arc<Record>,
    /// What it goes on for.
    ready: AtomicU8,
    /// Put here when it comes to rest, and taken by its next carrier.
    load: Lock<Option<Load>>,
}

struct Load {
    passenger: Box<dyn Passenger>,
    /// Dropped after the passenger.
    _membership: Membership,
}

impl Ride {
    /// A ride that begins with [`go_on`](Self::go_on), on the worker of its record.
    pub(in crate::green) fn new(
        record: Arc<Record>,
        passenger: Box<dyn Passenger>,
        membership: Membership,
    ) -> Arc<Self> {
        record.make_interruptible();
        let load = Load { passenger, _membership: membership };
        Arc::new(Self { record, ready: AtomicU8::new(0), load: Lock::new(Some(load)) })
    }

    /// Lets it go on where it went last or, while that worker is busy, on another. From any thread, once after each rest.
    pub(in crate::green) fn go_on(self: &Arc<Self>, ready: Readiness) {
        self.ready.store(ready.bits(), Ordering::Relaxed);
        let last = home::of(self.record.home());
        let free = if last.is_busy() { home::next_to(last) } else { None };
        if free.is_some() {
            count_stolen(1);
        }
        let home = free.unwrap_or(last);
        home.ready().push(Arc::clone(self));
        home.call_poller();
    }

    /// Carries it until it rests, on the stack of the coroutine that calls, whose record is `carrier`.
    pub(super) fn carry(self: &Arc<Self>, home: &Home, carrier: &Record) {
        let Some(mut load) = self.load.lock().take() else { return };
        self.record.board(carrier, home.index());
        worker::resume(Some(Arc::clone(&self.record)));
        let ready = Readiness::from_bits(self.ready.load(Ordering::Relaxed));
        let halt = catch_unwind(AssertUnwindSafe(|| load.passenger.ride(ready)));
        match halt {
            Ok(Halt::AtRest(on, interest)) => {
                self.get_off(load, on.prepare());
                // Once it rests, another may carry it, and end it.
                if let Some(ready) = on.rest(interest, self) {
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
        if any {
            count_stolen(taken.len());
        }
        let mut rides = self.rides.lock();
        rides.extend(taken);
        self.len.store(rides.len(), Ordering::Release);
        any
    }

    pub(super) fn pop(&self) -> Option<Arc<Ride>> {
        if self.is_empty() {
            return None;
        }
        let mut rides = self.rides.lock();
        let ride = rides.pop_front();
        self.len.store(rides.len(), Ordering::Release);
        ride
    }
}

static PANICS: Throttle = Throttle::new();
