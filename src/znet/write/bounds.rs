//! The limits that are looked at for each message, in cells of their own: a reload changes them while messages flow.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::ledger::Ledger;
use crate::zconf::{Config, QueueFull};

/// How much may be queued to one peer, and what being full means; how much may be kept for later; and what all peers of a server
/// hold together. Each limit is right for itself, so no reader needs two of them to be of the same age.
#[derive(Debug)]
pub(crate) struct Bounds {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    policy: AtomicU8,
    wait_ms: AtomicU64,
    kept_messages: AtomicUsize,
    kept_bytes: AtomicUsize,
    call_grace_ms: AtomicU64,
    /// What all peers of the server hold together.
    pub(crate) ledger: Ledger,
}

impl Bounds {
    pub(crate) fn new(config: &Config) -> Self {
        let bounds = Self {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            policy: AtomicU8::new(0),
            wait_ms: AtomicU64::new(0),
            kept_messages: AtomicUsize::new(0),
            kept_bytes: AtomicUsize::new(0),
            call_grace_ms: AtomicU64::new(0),
            ledger: Ledger::new(config.max_queued_bytes),
        };
        bounds.set(config);
        bounds
    }

    /// Goes by this configuration from now on.
    pub(crate) fn set(&self, config: &Config) {
        let policy = POLICIES.iter().position(|policy| *policy == config.queue_full).unwrap_or(0);
        self.messages.store(config.max_msg_chan_len, Ordering::Relaxed);
        self.bytes.store(config.max_msg_chan_bytes, Ordering::Relaxed);
        self.policy.store(policy as u8, Ordering::Relaxed);
        self.wait_ms.store(config.queue_wait_ms, Ordering::Relaxed);
        self.kept_messages.store(config.max_kept_messages, Ordering::Relaxed);
        self.kept_bytes.store(config.max_kept_bytes, Ordering::Relaxed);
        self.call_grace_ms.store(config.call_grace_ms, Ordering::Relaxed);
        self.ledger.set_most(config.max_queued_bytes);
    }

    /// Most messages queued to one peer.
    #[inline]
    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Most bytes queued to one peer.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What a send does when the queue is full.
    #[inline]
    pub(crate) fn policy(&self) -> QueueFull {
        POLICIES.get(usize::from(self.policy.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// How long a sender waits for room; `None` forever.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let wait = self.wait_ms.load(Ordering::Relaxed);
        (wait > 0).then(|| Duration::from_millis(wait))
    }

    /// Most messages, and bytes, kept for later on one connection.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.kept_messages.load(Ordering::Relaxed), self.kept_bytes.load(Ordering::Relaxed))
    }

    /// How long an answer that comes too late is waited for.
    pub(crate) fn call_grace(&self) -> Duration {
        Duration::from_millis(self.call_grace_ms.load(Ordering::Relaxed))
    }
}

const POLICIES: [QueueFull; 4] =
    [QueueFull::Wait, QueueFull::Fail, QueueFull::DropOldest, QueueFull::Disconnect];
