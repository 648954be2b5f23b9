//! What the reader notes for those who look from outside; nothing if nobody can.

use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Position;
use crate::znet::conn::traffic::Traffic;

/// Notes what one ride of a connection does. Without an admin plane, each call is one look at nothing.
pub(super) struct Observer<'a> {
    traffic: Option<&'a Traffic>,
    /// `None` also if a worker handles what is read: then it notes that itself.
    position: Option<&'a Position>,
}

impl<'a> Observer<'a> {
    pub(super) fn new(conn: &'a Connection) -> Self {
        let handles_here = conn.tasks().worker().is_none();
        let position = conn.notes().position().filter(|_| handles_here);
        Self { traffic: conn.notes().traffic(), position }
    }

    /// The next message goes to its handler.
    #[inline]
    pub(super) fn handles(&self, msg_id: u32) {
        if let Some(position) = self.position {
            position.handles(msg_id);
        }
    }

    /// One read has brought so much.
    pub(super) fn passed(&self, bytes: usize, messages: usize) {
        if let Some(traffic) = self.traffic {
            traffic.count_in(bytes, messages);
        }
    }

    /// The ride ends.
    pub(super) fn rests(&self) {
        if let Some(position) = self.position {
            position.rests();
        }
    }
}
