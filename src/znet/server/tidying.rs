//! When memory goes back to the system: once much less is held than there was, and has been for a while.

use std::time::{Duration, Instant};

use super::core::Core;
use crate::green::give_memory_back;
use crate::ziface::IConnManager;

/// What the sweeper remembers of how much was held.
pub(crate) struct Tidying {
    /// The most since memory was last given back, in bytes.
    most: usize,
    /// Since when it is less than half of that.
    low_since: Option<Instant>,
    looked: Instant,
}

impl Tidying {
    pub(crate) fn new() -> Self {
        Self { most: 0, low_since: None, looked: Instant::now() }
    }

    /// Gives back what is left of a burst when the server has stopped, and the sweeper no longer looks.
    pub(crate) fn end(core: &Core) {
        if core.bounds().ledger.peak() >= WORTH_IT {
            give_memory_back();
        }
    }

    /// Gives memory back if it is time.
    pub(crate) fn look(&mut self, core: &Core) {
        let now = Instant::now();
        if now.duration_since(self.looked) < PERIOD {
            return;
        }
        self.looked = now;
        let ledger = &core.bounds().ledger;
        let connections = core.manager().len() * CONNECTION_BYTES;
        let held = ledger.held().total() + connections;
        self.most = self.most.max(ledger.take_recent_peak() + connections);
        let is_low = self.most >= WORTH_IT && held <= self.most / 2;
        let since = *self.low_since.get_or_insert(now);
        if !is_low {
            self.low_since = None;
        } else if now.duration_since(since) >= QUIET {
            (self.most, self.low_since) = (held, None);
            give_memory_back();
        }
    }
}

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(1);

/// How long it must have been less than half: a burst that goes on must not be slowed down.
const QUIET: Duration = Duration::from_secs(2);

/// Less is not worth it.
const WORTH_IT: usize = 1 << 20;

/// What a connection takes on the heap, about.
const CONNECTION_BYTES: usize = 4 << 10;
