//! What went over a connection, counted only while there is an admin plane to show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tap::Tap;
use crate::lock::Lock;

/// What went over a connection since it was accepted. Written once per read and once per send, not per message.
pub(crate) struct Traffic {
    /// When it was accepted, by the clock of the server.
    opened: u64,
    messages: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    is_tapped: AtomicBool,
    tap: Lock<Option<Arc<Tap>>>,
}

impl Traffic {
    #[cfg(feature = "admin")]
    pub(super) const fn since(opened: u64) -> Self {
        Self {
            opened,
            messages: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            is_tapped: AtomicBool::new(false),
            tap: Lock::new(None),
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

    /// Who follows its frames, if anybody does.
    #[inline]
    pub(super) fn tapped(&self) -> Option<Arc<Tap>> {
        if self.is_tapped.load(Ordering::Relaxed) { self.tap.lock().clone() } else { None }
    }

    /// Has its frames followed from now on. `false` if they are already.
    #[cfg(feature = "admin")]
    pub(crate) fn tap(&self, make: impl FnOnce() -> Tap) -> bool {
        let mut tap = self.tap.lock();
        let is_free = tap.is_none();
        if is_free {
            *tap = Some(Arc::new(make()));
            self.is_tapped.store(true, Ordering::Relaxed);
        }
        is_free
    }

    /// They are not followed any more.
    #[cfg(feature = "admin")]
    pub(crate) fn untap(&self) {
        self.is_tapped.store(false, Ordering::Relaxed);
        let tap = self.tap.lock().take();
        drop(tap);
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
