//! What a sender holds while it waits for room: its message is memory too, and counts.
//!
//! It is granted like everything else, as long as the bound of the server allows it. When the bound is reached, those who
//! wait may hold a quarter of it more. Beyond that peers are disconnected for whom anything waits to be sent, the largest and
//! slowest first. While what they held is still in the hands of another thread, its place may be claimed. If all that is not enough, a
//! send does not wait: it fails at once, and its message is dropped.

use super::ledger::Kind;
use crate::zconf::QueueFull;
use crate::ziface::SendWait;
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::{MadeRoom, Whom};

impl Connection {
    /// Counts a message of so many bytes until the guard is dropped. `None` if the senders that wait hold too much
    /// already: then this one should not wait.
    pub(super) fn hold_waiting(&self, bytes: usize) -> Option<Waiting<'_>> {
        let ledger = &self.core().bounds().ledger;
        let is_granted = || self.make_on_demand().held.set(ledger, Kind::Waiting, |held| held + bytes);
        let waiting = |counts| Some(Waiting { conn: self, bytes, counts });
        loop {
            if is_granted() {
                return waiting(Counts::Granted);
            } else if ledger.overdraw(bytes) {
                return waiting(Counts::Overdrawn);
            }
            match self.core().make_room(bytes, Whom::Unsent) {
                // Unless another thread is faster.
                MadeRoom::Now => {}
                MadeRoom::Soon { leaving } if ledger.claim(bytes, leaving) => {
                    return waiting(Counts::Claimed);
                }
                // Another thread has claimed it.
                MadeRoom::Soon { .. } => {}
                MadeRoom::No => return None,
            }
        }
    }

    /// Has others disconnected if it could not wait with so many bytes. `true` if there should be room now.
    pub(super) fn displaces(&self, bytes: usize, wait: SendWait) -> bool {
        let bounds = self.core().bounds();
        bounds.policy() == QueueFull::Wait
            && wait != SendWait::Never
            && !bounds.ledger.can_overdraw(bytes)
            && self.core().make_room(bytes, Whom::Unsent).is_now()
    }
}

/// A message whose sender waits.
pub(super) struct Waiting<'a> {
    conn: &'a Connection,
    bytes: usize,
    counts: Counts,
}

/// As what it counts.
#[derive(Clone, Copy)]
enum Counts {
    Granted,
    Overdrawn,
    /// It has the place of what is about to be given back.
    Claimed,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let ledger = &self.conn.core().bounds().ledger;
        match self.counts {
            Counts::Granted => self.conn.let_go(Kind::Waiting, self.bytes),
            Counts::Overdrawn => ledger.pay_back(self.bytes),
            Counts::Claimed => ledger.unclaim(self.bytes),
        }
    }
}
