//! Which sends have begun before a connection began to move to another node, and which after.
//!
//! A send to a user or a group has two steps: to the connections of this node, and to the streams of the other nodes. If a
//! connection changed nodes between the two, both nodes might send it the message, or neither. So sends that begin after the
//! connection began to move leave it out in the first step, and put the message into the stream of this node too: what is before
//! the change there is still for the connection. The change waits for those that began before.

use std::collections::BTreeMap;

use crate::lock::Lock;

/// The sends of a node, in epochs: a new one begins whenever a connection begins or ends to move.
#[derive(Default)]
pub(crate) struct Sends(Lock<State>);

#[derive(Default)]
struct State {
    epoch: u64,
    /// How many are in their two steps, by the epoch in which they began.
    running: BTreeMap<u64, usize>,
    /// Connections that move.
    moving: usize,
}

/// A send, until it has been put on its way to the other nodes.
pub(crate) struct Sending<'a> {
    sends: &'a Sends,
    epoch: u64,
    some_move: bool,
}

impl Sends {
    pub(crate) fn begin(&self) -> Sending<'_> {
        let mut state = self.0.lock();
        let epoch = state.epoch;
        *state.running.entry(epoch).or_default() += 1;
        Sending { sends: self, epoch, some_move: state.moving > 0 }
    }

    /// A connection moves: `note` is told the first epoch that leaves it out. Under the lock, so that no send begins before.
    pub(crate) fn begin_move(&self, note: impl FnOnce(u64)) -> u64 {
        let mut state = self.0.lock();
        state.moving += 1;
        state.epoch += 1;
        note(state.epoch);
        state.epoch
    }

    /// It does not any more: `note` is told the last epoch that leaves it out.
    pub(crate) fn end_move(&self, note: impl FnOnce(u64)) {
        let mut state = self.0.lock();
        state.moving -= 1;
        note(state.epoch);
        state.epoch += 1;
    }

    /// Whether a send that began before this epoch is not on its way yet.
    pub(crate) fn has_before(&self, epoch: u64) -> bool {
        self.0.lock().running.range(..epoch).next().is_some()
    }
}

impl Sending<'_> {
    /// The epoch, if this node is to read the message in its own stream too.
    pub(crate) fn to_itself(&self) -> Option<u64> {
        self.some_move.then_some(self.epoch)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut state = self.sends.0.lock();
        if let Some(count) = state.running.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(&self.epoch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_of_before_a_move_are_known_from_those_after_it() {
        let sends = Sends::default();
        let before = sends.begin();
        assert_eq!(before.to_itself(), None);
        let (mut noted, mut last) = (0, 0);
        let first = sends.begin_move(|epoch| noted = epoch);
        let during = sends.begin();
        assert_eq!((noted, during.to_itself()), (first, Some(first)));
        assert!(sends.has_before(first));
        drop(before);
        assert!(!sends.has_before(first));
        sends.end_move(|epoch| last = epoch);
        assert_eq!((last, sends.begin().to_itself()), (first, None));
        drop(during);
    }
}
