//! What a server counts while it runs: numbers that any thread adds to.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a server counts. `Server::stats` reads it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Counter,
    pub(crate) over_max_conn: Counter,
    pub(crate) over_max_conn_per_address: Counter,
    pub(crate) bans: Counter,
    pub(crate) refused_banned: Counter,
    pub(crate) refused: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) handshakes_displaced: Counter,
    pub(crate) bad_datagrams: Counter,
    pub(crate) unproved_datagrams: Counter,
    pub(crate) requests: Counter,
    pub(crate) unknown_ids: Counter,
    pub(crate) late_answers: Counter,
    pub(crate) resumed: Counter,
    pub(crate) resume_refused: Counter,
    pub(crate) start_hooks: Counter,
    pub(crate) stop_hooks: Counter,
    pub(crate) handler_panics: Counter,
    pub(crate) hook_panics: Counter,
    pub(crate) unsent_messages: Counter,
    pub(crate) unsent_bytes: Counter,
    pub(crate) evicted: Counter,
    /// Connections cut off at the stop.
    pub(crate) forced: AtomicUsize,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, n: usize) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
