//! The context of a connection, and running its close callbacks.

use crate::green::cuttable;
use crate::ziface::{CloseReason, IConnection, IContext};
use crate::znet::conn::connection::Connection;
use std::time::Duration;

impl Connection {
    /// Runs the callbacks there are, once, without the lock; each panic is contained.
    pub(crate) fn run_close_callbacks(&self) {
        for entry in self.close_listeners().take() {
            let run = || {
                (entry.callback)();
                Ok(())
            };
            cuttable(|| self.contain("close callback", run));
        }
    }

    /// As [`run_close_callbacks`](Self::run_close_callbacks), and takes no more from now on.
    pub(crate) fn end_close_callbacks(&self) {
        self.close_listeners().close();
        self.run_close_callbacks();
    }
}

impl IContext for Connection {
    fn is_done(&self) -> bool {
        self.has_reason()
    }

    fn wait_done(&self) {
        let closing = self.close_listeners().closing();
        if !self.has_reason() {
            closing.wait();
        }
    }

    fn wait_done_timeout(&self, timeout: Duration) -> bool {
        let closing = self.close_listeners().closing();
        self.has_reason() || closing.wait_timeout(timeout)
    }

    fn reason(&self) -> Option<CloseReason> {
        self.get_close_reason()
    }
}
