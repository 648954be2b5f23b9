//! How much may be queued: to one peer, and for all peers of a server together.

use std::time::Duration;

use super::ledger::Ledger;
use crate::zconf::{Config, QueueFull};

/// The bounds of an outbox, and what being full means.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) policy: QueueFull,
    /// How long a sender waits for room; `None` forever.
    pub(crate) wait: Option<Duration>,
    /// What all peers of the server hold together.
    pub(crate) ledger: Ledger,
}

impl Bounds {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            messages: config.max_msg_chan_len,
            bytes: config.max_msg_chan_bytes,
            policy: config.queue_full,
            wait: (config.queue_wait_ms > 0).then(|| Duration::from_millis(config.queue_wait_ms)),
            ledger: Ledger::new(config.max_queued_bytes),
        }
    }
}
