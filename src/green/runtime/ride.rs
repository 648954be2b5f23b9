//! Green threads that have a stack only while they have something to do.
//!
//! A [`Ride`] is data most of the time: a record, and a passenger that says what to do once its socket has something. What
//! makes it ready puts it into the queue of a worker, where a [carrier](super::carrier) runs it on its own stack until it rests
//! again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::awaits::Awaits;
use super::figures::count_stolen;
use super::home::{self, Home};
use super::{fair, worker};
use crate::green::net::readiness::Readiness;
use crate::green::spawn::coroutine::Exit;
use crate::green::spawn::failed::Panicked;
use crate::green::spawn::group::Membership;
use crate::green::spawn::interrupt::Me;
use crate::green::spawn::record::Record;
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// What a ride carries.
pub(crate) trait Passenger: Send {
    /// Goes on, because of what is ready, until it has nothing to do. `me`: whose passenger it is.
    fn ride(&mut self, ready: Readiness, me: &Me) -> Halt;
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

    /// Keeps `ride`, which holds no stack any more, and lets it go on once something of `interest` is ready. If something is,
    /// gives both back.
    fn rest(&self, interest: Readiness, ride: Box<Ride>) -> Option<(Box<Ride>, Readiness)>;
}

/// A green thread without a stack of its own. It is with whatever it rests on, in the queue of a worker, or with its carrier.
pub(crate) struct Ride {
    me: Me,
    /// What it goes on for.
    ready: Readiness,
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
    ) -> Box<Self> {
        record.make_interruptible();
        Box::new(Self { me: Me::new(record), ready: Readiness::NONE, passenger, _membership: membership })
    }

    /// Lets it go on where it went last or, while that worker is busy, on another. From any thread.
    pub(in crate::green) fn go_on(mut self: Box<Self>, ready: Readiness) {
        self.ready = ready;
        let last = home::of(self.me.record().home());
        let free = if last.is_busy() { home::next_to(last) } else { None };
        if free.is_some() {
            count_stolen(1);
        }
        let home = free.unwrap_or(last);
        home.ready().push(self);
        home.call_poller();
    }

    /// As [`go_on`](Self::go_on), for the poller of `here`, which queues all of `rides` together.
    pub(in crate::green) fn go_on_with(
        mut self: Box<Self>,
        ready: Readiness,
        here: &Home,
        rides: &mut VecDeque<Box<Self>>,
    ) {
        if self.me.record().home() == here.index() {
            self.ready = ready;
            rides.push_back(self);
        } else {
            self.go_on(ready);
        }
    }

    /// Carries it until it rests, on the stack of the coroutine that calls, whose record is `carrier`.
    pub(super) fn carry(mut self: Box<Self>, home: &Home, carrier: &Record) {
        let Self { me, ready, passenger, .. } = &mut *self;
        me.record().board(carrier, home.index());
        worker::board(Arc::clone(me.record()));
        match catch_unwind(AssertUnwindSafe(|| passenger.ride(*ready, me))) {
            Ok(Halt::AtRest(on, interest)) => {
                get_off(on.prepare());
                // Once it rests, another may carry it, and end it.
                if let Some((ride, ready)) = on.rest(interest, self) {
                    ride.go_on(ready);
                }
            }
            Ok(Halt::Again) => {
                get_off(Awaits::Turn);
                self.go_on(Readiness::NONE);
            }
            Ok(Halt::Over) => self.end(Exit::Returned),
            Err(payload) => {
                let panicked = Panicked::new(payload);
                throttled!(error, PANICS, "coroutine {:?} panicked: {panicked}", me.record().name());
                self.end(Exit::Panicked);
            }
        }
    }

    fn end(self, exit: Exit) {
        let Self { me, passenger, _membership, .. } = self;
        let record = me.record();
        record.keep(|| drop((passenger, _membership)));
        record.finish(exit, ());
        drop(worker::leave(Awaits::Never));
    }
}

/// The ride that runs here leaves its carrier.
fn get_off(what: Awaits) {
    fair::before_yield();
    drop(worker::leave(what));
}

/// The rides of a worker that can go on, first come first carried.
#[derive(Default)]
pub(in crate::green) struct Ready {
    len: AtomicUsize,
    rides: Lock<VecDeque<Box<Ride>>>,
}

impl Ready {
    pub(in crate::green) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn push(&self, ride: Box<Ride>) {
        let mut rides = self.rides.lock();
        rides.push_back(ride);
        self.len.store(rides.len(), Ordering::Release);
    }

    /// Adds all of `more`, which is emptied.
    pub(super) fn append(&self, more: &mut VecDeque<Box<Ride>>) {
        if !more.is_empty() {
            let mut rides = self.rides.lock();
            rides.append(more);
            self.len.store(rides.len(), Ordering::Release);
        }
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

    pub(super) fn pop(&self) -> Option<Box<Ride>> {
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
