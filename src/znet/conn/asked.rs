//! What others ask of the coroutine that reads a connection: bits that they set before they interrupt its wait.

use std::sync::atomic::{AtomicU8, Ordering};

/// What was asked of the reader, and how the connection has ended. Set before the wait is interrupted.
#[derive(Default)]
pub(crate) struct Asked(AtomicU8);

impl Asked {
    /// To close, and to close without sending what is queued.
    pub(crate) const STOP: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    /// To run the idle hook.
    pub(crate) const IDLE: u8 = 4;
    /// To decide about a peer that is not alive.
    pub(crate) const NOT_ALIVE: u8 = 8;
    /// To handle what others have queued.
    pub(crate) const TASKS: u8 = 16;
    /// Not a question: the stop has cut the connection off.
    pub(crate) const CUT_OFF: u8 = 32;
    /// Not a question either: the stream of the peer has been read to its end.
    pub(crate) const PEER_ENDED: u8 = 64;

    /// Whether one of `these` is asked for.
    #[inline]
    pub(crate) fn is(&self, these: u8) -> bool {
        self.0.load(Ordering::Acquire) & these != 0
    }

    /// Asks. `false` if that is asked for already.
    pub(crate) fn set(&self, what: u8) -> bool {
        self.0.fetch_or(what, Ordering::AcqRel) & what == 0
    }

    /// Takes a question. `false` if there is none.
    pub(crate) fn take(&self, what: u8) -> bool {
        self.is(what) && self.0.fetch_and(!what, Ordering::AcqRel) & what != 0
    }
}
