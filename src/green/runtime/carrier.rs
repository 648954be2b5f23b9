//! Carriers: coroutines that lend their stacks to those who have none while they rest.
//!
//! One carrier at a time goes through the queue of a worker and runs each [ride](super::ride) on its own warm stack. If a ride
//! waits, in a handler say, its carrier waits with it, and the [poller](super::poller) has another go on with the queue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::awaits::Awaits;
use super::fair::{self, RidePace};
use super::home::{self, Home};
use super::park::Sleeper;
use super::worker;
use crate::green::spawn::builder::Builder;
use crate::green::spawn::record::Record;
use crate::lock::Lock;

/// Carriers of a worker that have nothing to carry, and park.
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

    fn has_some(&self) -> bool {
        self.len.load(Ordering::Relaxed) > 0
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
/// If all carriers of the worker wait in rides, and there is no room for one more.
pub(in crate::green) fn see_to(home: &'static Home) -> io::Result<()> {
    if home.ready().is_empty() || worker::is_seen_to() {
        return Ok(());
    }
    match home.spares().take() {
        Some(carrier) => carrier.unpark(),
        None => add(home)?,
    }
    worker::put_carrier_last();
    worker::set_seen_to(true);
    Ok(())
}

/// Without room for one more carrier here, has a worker go on that has one to spare. By the poller.
pub(super) fn hand_on(home: &Home) {
    let has_spare = |other: &&Home| other.index() != home.index() && other.spares().has_some();
    if let Some(other) = home::all().iter().find(|other| has_spare(other))
        && other.ready().take_over(home.ready())
    {
        other.call_poller();
    }
}

/// Adds a carrier to a worker. By its poller.
///
/// # Errors
///
/// If there is no room for it.
pub(super) fn add(home: &'static Home) -> io::Result<()> {
    Builder::carrier(home.index()).detach(move || carry_all(home))
}

/// Ends spare carriers that have not been needed for a while. Called by the poller when there is nothing else to do.
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
        let (mut pace, mut goes_on) = (RidePace::new(), true);
        while let Some(ride) = home.ready().pop() {
            ride.carry(home, &me);
            let back = worker::see_to_again(home.index());
            // If another goes through the queue by now, it goes on with that.
            goes_on = !back.unwrap_or_else(|| {
                // It has waited in there, by calling `may` itself even.
                home::come_home(&me);
                worker::set_seen_to(true)
            });
            if !goes_on {
                break;
            }
            // With nothing left to carry, it parks.
            if pace.is_over(home) && !home.ready().is_empty() {
                go_behind_poller(home, &me);
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

/// Goes behind the poller, which looks at the network.
fn go_behind_poller(home: &Home, me: &Arc<Record>) {
    if home.waits_in_may() {
        // It is in no queue, and `may` looks for it only once the queue is empty: so this one leaves the queue too.
        fair::wait_for_turn(home, Sleeper::of(Arc::clone(me)));
    } else {
        // Counted, or the poller may go to rest before it.
        worker::count_woken();
        worker::put_carrier_last();
        may::coroutine::yield_now();
        home::come_home(me);
    }
}

/// Spare carriers kept on each worker, with their stacks.
const MOST_SPARES: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::green::{Group, Halt, Me, Passenger, Readiness, Until};

    /// Does not rest until it is told to end, as a connection whose peer sends without end.
    struct Restless {
        is_over: Arc<AtomicBool>,
        until: Until,
        begun: Option<Sender<usize>>,
    }

    impl Passenger for Restless {
        fn ride(&mut self, _: Readiness, _: &Me) -> Halt {
            if let (Some(begun), Some(home)) = (self.begun.take(), worker::home_index()) {
                begun.send(home).unwrap();
            }
            let ends = self.is_over.load(Ordering::Relaxed) || self.until.is_over();
            if ends { Halt::Over } else { Halt::Again }
        }
    }

    /// Keeps its worker until it is over, without a wait.
    struct Burns(Until);

    impl Passenger for Burns {
        fn ride(&mut self, _: Readiness, _: &Me) -> Halt {
            // The first look at the clock begins the slice.
            fair::take_turn();
            while !self.0.is_over() {}
            Halt::Over
        }
    }

    #[test]
    fn behind_a_ride_that_took_long_and_was_the_last_its_carrier_is_spare() {
        for _ in 0..20 {
            let until = Until::after(Duration::from_millis(5));
            let group = Group::new();
            group.carry(Builder::new().on(0), Burns(until)).unwrap();
            group.join();
            // A poller that looks now and then is not sent to wait in `may`, which would find the carrier.
            let is_spare = || {
                home::of(0).ring();
                home::of(0).spares().has_some()
            };
            assert!(comes_true(is_spare), "its carrier waits behind a poller that rests");
        }
    }

    fn comes_true(what: impl Fn() -> bool) -> bool {
        let limit = Until::after(Duration::from_secs(20));
        while !what() && !limit.is_over() {
            std::thread::yield_now();
        }
        what()
    }

    #[test]
    fn rides_that_never_rest_keep_nobody_from_beginning_on_their_worker() {
        let (begun, has_begun) = channel();
        let (soon, until) = (Until::after(Duration::from_secs(2)), Until::after(Duration::from_secs(4)));
        let is_over = Arc::new(AtomicBool::new(false));
        let restless = Restless { is_over: Arc::clone(&is_over), until, begun: Some(begun) };
        Group::new().carry(Builder::new(), restless).unwrap();
        let home = has_begun.recv().unwrap();
        for _ in 0..20 {
            // Only `may` knows of it at first, and so the poller goes through the poll of `may`.
            let late = Builder::new().on(home).spawn(move || soon.is_over()).unwrap();
            assert!(!late.get().unwrap(), "it began when the rides were over");
        }
        is_over.store(true, Ordering::Relaxed);
    }
}
