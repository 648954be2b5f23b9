//! The heartbeat of all connections, and that of one where it differs.

use crate::green::drop_contained;
use crate::ziface::HeartBeatOption;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The heartbeat of all connections of a server or of a client.
pub(crate) struct Heart {
    pub(super) msg_id: u32,
    pub(super) interval: Duration,
    /// The longest silence, in milliseconds; 0 for no limit.
    pub(super) limit: AtomicU64,
    pub(super) option: HeartBeatOption,
}

/// What the program has set is dropped with the last handle of its server.
impl Drop for Heart {
    fn drop(&mut self) {
        drop_contained(self.option.make_msg.take());
        drop_contained(self.option.heart_beat_func.take());
        drop_contained(self.option.on_remote_not_alive.take());
    }
}

/// The heartbeat of one connection, where it differs: in milliseconds, 0 for what all have.
#[derive(Default)]
pub(crate) struct OwnBeat {
    pub(super) interval: AtomicU64,
    pub(super) limit: AtomicU64,
}

impl OwnBeat {
    pub(super) fn interval(&self) -> Option<u64> {
        Some(self.interval.load(Ordering::Relaxed)).filter(|&interval| interval > 0)
    }

    pub(super) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit > 0)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
