//! Waiting for a peer to read: a sender does whose message finds no room, and a worker before it handles more of what the
//! peer asks.

use std::time::Instant;

use super::outbox::State;
use crate::error::{Error, Result};
use crate::green::{Awaits, Until};
use crate::zconf::QueueFull;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Purpose;
use crate::znet::read::held::LOOK_AGAIN;
use crate::znet::route::aside::step_aside;

impl Connection {
    /// `over_all`: others hold too much, and no event tells when they hold less.
    pub(super) fn wait_for_room(
        &self,
        frame: usize,
        since: Instant,
        until: Until,
        over_all: bool,
    ) -> Result<()> {
        if until.is_over() || step_aside().is_err() {
            return Err(self.queue_full(since.elapsed()));
        }
        let has_room = |state: &State| !over_all && state.has_room(self.core().bounds(), frame);
        let until = if over_all { until.or(Until::after(LOOK_AGAIN)) } else { until };
        self.wait_until_more_has_left(until, has_room)
    }

    /// Before a worker handles a request: while the peer does not read the replies to those before, nothing more is made for it,
    /// as nothing more is read from it. At most for `QueueWaitMs`. Only where senders wait: with any other policy the
    /// handler is to find out.
    pub(crate) fn wait_for_replies_to_leave(&self) {
        let bounds = self.core().bounds();
        let is_held_back = || self.outbox().holds_back_reading();
        if bounds.policy() != QueueFull::Wait || !is_held_back() || step_aside().is_err() {
            return;
        }
        let until = bounds.wait().map_or_else(Until::never, Until::after_running);
        let wait = || self.wait_until_more_has_left(until, |state| !state.holds_back_reading());
        while is_held_back() && !until.is_over() && wait().is_ok() {}
    }

    /// Woken when more has left, or at once if `look` finds what is waited for: what leaves wakes only those who are on the
    /// list.
    fn wait_until_more_has_left(&self, until: Until, look: impl FnOnce(&State) -> bool) -> Result<()> {
        let waiter = {
            let mut state = self.outbox().lock();
            if state.is_closed() {
                return Err(Error::ConnectionClosed);
            }
            if look(&state) {
                return Ok(());
            }
            let waiter = state.room().enlist();
            // Where nothing is queued, a look at the queue would wake the caller at once.
            let to_defer = state.sends() && state.defer_here();
            drop(state);
            if to_defer {
                // Waiting yields, and so flushes, or starts the writer.
                self.writer().flush_at_yield();
            }
            waiter
        };
        let wait =
            || waiter.wait(Awaits::Room, until.left(), |gone| self.outbox().lock().room().forget(gone));
        Purpose::Send.during(wait);
        Ok(())
    }
}
