//! How much may be queued: to one peer, and to all peers of a server together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::zconf::{Config, QueueFull};

/// The bounds of an outbox, and what being full means.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    all_bytes: usize,
    pub(crate) policy: QueueFull,
    /// How long a sender waits for room; `None` for ever.
    pub(crate) wait: Option<Duration>,
    /// Bytes granted to all outboxes of the server, in steps of [`GRANT`].
    granted: AtomicUsize,
}

impl Bounds {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            messages: config.max_msg_chan_len,
            bytes: config.max_msg_chan_bytes,
            all_bytes: config.max_queued_bytes,
            policy: config.queue_full,
            wait: (config.queue_wait_ms > 0).then(|| Duration::from_millis(config.queue_wait_ms)),
            granted: AtomicUsize::new(0),
        }
    }

    /// Grants an outbox [`GRANT`] bytes more, where the server's bound allows it.
    pub(super) fn grant(&self) -> bool {
        let granted = self.granted.fetch_add(GRANT, Ordering::Relaxed) + GRANT;
        // The first grant is never refused: a small frame fits a server whose bound is smaller than a step.
        let fits = granted <= self.all_bytes.max(GRANT);
        if !fits {
            self.give_back(GRANT);
        }
        fits
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.granted.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What an outbox asks for at once.
pub(super) const GRANT: usize = 64 * 1024;
