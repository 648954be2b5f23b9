//! A handler that others than the reader run, seen by those who look from outside.

use std::time::Instant;

use super::route_stats::Slow;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Code;

impl Connection {
    /// Has the message with this id handled, and notes where and for how long if there is an admin plane.
    pub(crate) fn observe(&self, msg_id: u32, handle: impl FnOnce()) {
        let _code = self.enter_code(Code::Handler(msg_id));
        let Some(routes) = self.core().route_stats() else {
            return handle();
        };
        let begun = Instant::now();
        handle();
        let took = begun.elapsed();
        routes.of(msg_id).record(took, 1);
        routes.note_slow(Slow { conn_id: self.id(), msg_id, took, ended: self.core().clock().now() });
    }
}
