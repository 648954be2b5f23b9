//! When things happened on a connection.

use std::sync::atomic::{AtomicU64, Ordering};

/// When things happened, in milliseconds of the server's clock; 0 for never. Written by the reader, read by the
/// sweeper.
pub(crate) struct Times {
    /// Something was last received.
    pub(crate) active: AtomicU64,
    /// The frame that has begun to arrive began.
    pub(crate) frame: AtomicU64,
    /// The connection was accepted, if its first whole frame has not arrived.
    pub(crate) first_frame: AtomicU64,
    /// The last heartbeat was due, or the connection accepted. Written by the sweeper.
    pub(crate) beat: AtomicU64,
}

impl Times {
    pub(crate) const fn since(opened: u64) -> Self {
        Self {
            active: AtomicU64::new(opened),
            frame: AtomicU64::new(0),
            first_frame: AtomicU64::new(opened),
            beat: AtomicU64::new(opened),
        }
    }

    /// The clock that had read `last` stood still until `now`: what has been noted since may have happened at any time until then.
    pub(crate) fn catch_up(&self, last: u64, now: u64) {
        for time in [&self.active, &self.frame] {
            let later = |at: u64| (at >= last).then(|| at.max(now));
            let _ = time.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        }
    }

    /// The peer is back: it has just been heard of, and no frame has begun.
    pub(crate) fn begin_again(&self, now: u64) {
        self.active.store(now, Ordering::Relaxed);
        self.frame.store(0, Ordering::Relaxed);
    }
}
