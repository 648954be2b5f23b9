//! What is told that a connection ends: its context and its close callbacks. Most connections have none.

use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Result};
use crate::green::{Event, drop_each};
use crate::lock::Lock;

/// What is told that a connection ends. As small as it can be while there is nothing.
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

pub(super) struct Entry {
    handler: String,
    key: String,
    pub(super) callback: Box<dyn FnOnce() + Send>,
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

    /// Set when the connection begins to close. Code that waits looks first whether it has: it may have before this.
    pub(super) fn closing(&self) -> Arc<Event> {
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

    /// Takes no more callbacks from now on.
    pub(super) fn close(&self) {
        self.lock().over = true;
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

    pub(super) fn take(&self) -> Vec<Entry> {
        self.lock().told.as_mut().map_or_else(Vec::new, |told| std::mem::take(&mut told.callbacks))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
