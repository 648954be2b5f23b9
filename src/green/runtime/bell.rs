//! A bell: what a green thread waits for that has lost its socket, with a stack or without one.

use super::awaits::Awaits;
use super::park::{WaitList, wait_unless};
use super::ride::{Rest, Ride};
use super::timer::Timed;
use super::until::Until;
use crate::green::net::readiness::Readiness;
use crate::lock::Lock;

/// It may be rung from any thread. A ring that nobody waits for is kept for the one that waits next.
#[derive(Default)]
pub(crate) struct Bell(Lock<State>);

#[derive(Default)]
struct State {
    has_rung: bool,
    waiting: WaitList,
    at_rest: Option<Box<Ride>>,
}

impl Bell {
    /// Wakes the one that waits.
    pub(crate) fn ring(&self) {
        let mut state = self.0.lock();
        state.has_rung = true;
        state.waiting.wake_all();
        if let Some(ride) = state.at_rest.take() {
            state.has_rung = false;
            ride.go_on(Readiness::INTERRUPT);
        }
    }

    /// Waits for a ring, or for the end of `until`.
    pub(crate) fn wait(&self, until: Until) {
        let has_rung = |state: &mut State| std::mem::take(&mut state.has_rung);
        wait_unless(&self.0, has_rung, |state| &mut state.waiting, Awaits::Event, until.left());
        self.0.lock().has_rung = false;
    }
}

impl Rest for Bell {
    fn wait(&self, _: Readiness) -> Readiness {
        Self::wait(self, Until::never());
        Readiness::INTERRUPT
    }

    fn prepare(&self) -> Awaits {
        Awaits::Event
    }

    fn rest(&self, _: Readiness, ride: Box<Ride>) -> Option<(Box<Ride>, Readiness)> {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.has_rung) {
            return Some((ride, Readiness::INTERRUPT));
        }
        state.at_rest = Some(ride);
        None
    }
}

impl Timed for Bell {
    fn time_is_up(&self) {
        self.ring();
    }
}
