//! What a sender holds while it waits for room: its message is memory too, and counts.
//!
//! It is granted like everything else, as long as the bound of the server allows it. When the bound is reached, those who
//! wait may hold a quarter of it more. Beyond that peers are disconnected for whom anything waits to be sent, the largest and
//! slowest first. If that is not enough, a send does not wait: it fails at once, and its message is dropped.

use super::ledger::Kind;
use crate::zconf::QueueFull;
use crate::ziface::SendWait;
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::Whom;

impl Connection {
    /// Counts a message of so many bytes until the guard is dropped. `None` if the senders that wait hold too much
    /// already: then this one should not wait.
    pub(super) fn hold_waiting(&self, bytes: usize) -> Option<Waiting<'_>> {
        let ledger = &self.core().bounds().ledger;
        let is_granted = || self.make_on_demand().held.set(ledger, Kind::Waiting, |held| held + bytes);
        let waiting = |is_granted| Some(Waiting { conn: self, bytes, is_granted });
        if is_granted() {
            waiting(true)
        } else if ledger.overdraw(bytes) {
            waiting(false)
        } else if self.core().make_room(bytes, Whom::Unsent) && is_granted() {
            waiting(true)
        } else {
            None
        }
    }

    /// Has others disconnected if it could not wait with so many bytes. `true` if there should be room now.
    pub(super) fn displaces(&self, bytes: usize, wait: SendWait) -> bool {
        let bounds = self.core().bounds();
        bounds.policy() == QueueFull::Wait
            && wait != SendWait::Never
            && !bounds.ledger.can_overdraw(bytes)
            && self.core().make_room(bytes, Whom::Unsent)
    }
}

/// A message whose sender waits.
pub(super) struct Waiting<'a> {
    conn: &'a Connection,
    bytes: usize,
    /// Else it is overdrawn.
    is_granted: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_granted {
            self.conn.let_go(Kind::Waiting, self.bytes);
        } else {
            self.conn.core().bounds().ledger.pay_back(self.bytes);
        }
    }
}
