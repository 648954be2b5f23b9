//! What a wait on a socket is for.

use rustix::event::epoll::EventFlags;

/// What a wait on a socket is for, and what it ended with: a set of the constants below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    /// Something can be read.
    pub(crate) const READ: Self = Self(1);
    /// Something can be written.
    pub(crate) const WRITE: Self = Self(2);
    /// Someone has called [`Socket::interrupt`].
    pub(crate) const INTERRUPT: Self = Self(4);
    /// The peer has ended or reset the stream. Read on until the end is reached: no other event tells of it.
    pub(crate) const HANGUP: Self = Self(8);
    /// Any of them.
    pub(crate) const ANY: Self = Self(15);

    /// None of them.
    pub(crate) const NONE: Self = Self(0);

    /// Both sets.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets have something in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::green) const fn bits(self) -> u8 {
        self.0
    }

    pub(in crate::green) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn from_epoll(flags: EventFlags) -> Self {
        let mut ready = 0;
        if flags.contains(EventFlags::IN) {
            ready |= Self::READ.0;
        }
        if flags.intersects(EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR)) {
            ready |= Self::READ.0 | Self::HANGUP.0;
        }
        if flags.intersects(EventFlags::OUT.union(EventFlags::HUP).union(EventFlags::ERR)) {
            ready |= Self::WRITE.0;
        }
        Self(ready)
    }
}
