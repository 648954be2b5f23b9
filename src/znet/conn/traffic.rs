//! What went over a connection, counted only while there is an admin plane to show it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went over a connection since it was accepted. Written once per read and once per send, not per message.
pub(crate) struct Traffic {
    /// When it was accepted, by the clock of the server.
    opened: u64,
    messages: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Traffic {
    #[cfg(feature = "admin")]
    pub(super) const fn since(opened: u64) -> Self {
        Self {
            opened,
            messages: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    pub(crate) const fn opened(&self) -> u64 {
        self.opened
    }

    /// Messages given to handlers.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    pub(crate) fn count_in(&self, bytes: usize, messages: usize) {
        // Nearly always one of them alone writes, the coroutine of the connection.
        if bytes > 0 {
            self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        if messages > 0 {
            self.messages.fetch_add(messages as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
