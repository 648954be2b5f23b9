//! Who is told that a connection ends: its context and its close callbacks. A connection of which nobody asks has none.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::green::{Event, cuttable, drop_each};
use crate::lock::Lock;
use crate::ziface::{CloseReason, IConnection, IContext};
use crate::znet::conn::connection::Connection;

/// Who is told. Made as small as it can be where nobody is.
#[derive(Default)]
pub(crate) struct CloseListeners {
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    /// The callbacks have run: no more are taken.
    over: bool,
    told: Option<Box<Told>>,
}

#[derive(Default)]
struct Told {
    /// Set after the connection has a reason to close.
    closing: Arc<Event>,
    /// In the order in which they were added.
    callbacks: Vec<Entry>,
}

struct Entry {
    handler: String,
    key: String,
    callback: Box<dyn FnOnce() + Send>,
}

impl Drop for Told {
    fn drop(&mut self) {
        drop_each(self.callbacks.drain(..).map(|entry| entry.callback));
    }
}

impl CloseListeners {
    /// Tells those who wait on the context.
    pub(crate) fn begin(&self) {
        if let Some(told) = &self.lock().told {
            told.closing.set();
        }
    }

    /// Set when the connection begins to close. Who waits looks first whether it has: it may have before this.
    fn closing(&self) -> Arc<Event> {
        Arc::clone(&self.lock().told.get_or_insert_default().closing)
    }

    pub(crate) fn add(&self, handler: &str, key: &str, callback: Box<dyn FnOnce() + Send>) -> Result<()> {
        let mut state = self.lock();
        if state.over {
            return Err(Error::ConnectionClosed);
        }
        let entry = Entry { handler: handler.to_string(), key: key.to_string(), callback };
        state.told.get_or_insert_default().callbacks.push(entry);
        Ok(())
    }

    /// Removes the callbacks of this handler and key. Returns how many there were.
    pub(crate) fn remove(&self, handler: &str, key: &str) -> usize {
        let is_it = |entry: &mut Entry| entry.handler == handler && entry.key == key;
        let removed: Vec<_> = match &mut self.lock().told {
            Some(told) => told.callbacks.extract_if(.., is_it).collect(),
            None => return 0,
        };
        // Dropped after the lock: what they own may use the connection.
        removed.len()
    }

    fn take(&self) -> Vec<Entry> {
        self.lock().told.as_mut().map_or_else(Vec::new, |told| std::mem::take(&mut told.callbacks))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

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
        self.close_listeners().lock().over = true;
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
