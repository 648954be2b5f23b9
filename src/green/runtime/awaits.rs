//! What a coroutine waits for, in a byte, and since when.

use std::sync::OnceLock;
#[cfg(feature = "admin")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(feature = "admin")]
use std::time::Duration;
use std::time::Instant;

/// What a coroutine is doing, to find out why nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Awaits {
    /// It has not begun.
    Start,
    /// It runs.
    Nothing,
    /// The others have their turn.
    Turn,
    Time,
    Event,
    Item,
    Room,
    Coroutine,
    Group,
    Socket,
    Thread,
    /// The other side of a channel.
    Partner,
    /// What was taken from a queue to be done.
    Done,
    Permit,
    Lock,
    Value,
    /// A notification.
    Condition,
    /// Enough others at a barrier.
    Barrier,
    /// The first of several things.
    Any,
    /// It has ended.
    Never,
}

impl Awaits {
    const ALL: [Self; 20] = [
        Self::Start,
        Self::Nothing,
        Self::Turn,
        Self::Time,
        Self::Event,
        Self::Item,
        Self::Room,
        Self::Coroutine,
        Self::Group,
        Self::Socket,
        Self::Thread,
        Self::Partner,
        Self::Done,
        Self::Permit,
        Self::Lock,
        Self::Value,
        Self::Condition,
        Self::Barrier,
        Self::Any,
        Self::Never,
    ];

    /// Whether only another coroutine or thread can end this wait, if it has no deadline.
    pub(super) const fn is_for_another(self) -> bool {
        match self {
            Self::Event | Self::Item | Self::Room | Self::Coroutine | Self::Group | Self::Partner => true,
            Self::Done | Self::Permit | Self::Lock | Self::Value | Self::Condition | Self::Barrier => true,
            // Waits for several are for such things alone; a thread that does blocking work is counted as a thread.
            Self::Any | Self::Thread | Self::Never => true,
            Self::Start | Self::Nothing | Self::Turn | Self::Time | Self::Socket => false,
        }
    }

    pub(in crate::green) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "has not started",
            Self::Nothing => "runs",
            Self::Turn => "lets others run",
            Self::Time => "sleeps",
            Self::Event => "waits for an event",
            Self::Item => "waits for an item of a queue",
            Self::Room => "waits for room in a queue",
            Self::Coroutine => "waits for the end of a coroutine",
            Self::Group => "waits for the end of a group",
            Self::Socket => "waits for a socket",
            Self::Thread => "waits for blocking work",
            Self::Partner => "waits for the other side of a channel",
            Self::Done => "waits for a queue to be done",
            Self::Permit => "waits for a permit",
            Self::Lock => "waits for a lock",
            Self::Value => "waits for a value",
            Self::Condition => "waits for a condition",
            Self::Barrier => "waits at a barrier",
            Self::Any => "waits for the first of several",
            Self::Never => "has ended",
        }
    }
}

/// An [`Awaits`] that its coroutine writes and others read.
pub(in crate::green) struct Activity {
    what: AtomicU8,
    /// Since when, in milliseconds of [`now`]; only while waits are timed.
    since: AtomicU32,
}

impl Activity {
    pub(in crate::green) const fn new() -> Self {
        Self { what: AtomicU8::new(Awaits::Start as u8), since: AtomicU32::new(0) }
    }

    /// Returns the time, in milliseconds; 0 unless waits are timed.
    #[inline]
    pub(in crate::green) fn set(&self, what: Awaits) -> u32 {
        self.what.store(what as u8, Ordering::Relaxed);
        if !are_timed() {
            return 0;
        }
        let now = now();
        self.since.store(now, Ordering::Relaxed);
        now
    }

    pub(in crate::green) fn get(&self) -> Awaits {
        Awaits::ALL[usize::from(self.what.load(Ordering::Relaxed))]
    }

    /// For how long; 0 unless waits are timed.
    #[cfg(feature = "admin")]
    pub(in crate::green) fn lasts(&self) -> Duration {
        let since = self.since.load(Ordering::Relaxed);
        // It may have just changed.
        let millis = if since == 0 { 0 } else { now().saturating_sub(since) };
        Duration::from_millis(millis.into())
    }
}

/// Has every wait from now on note when it began: for someone who looks from outside. It costs a reading of the clock per wait.
#[cfg(feature = "admin")]
pub(crate) fn time_waits() {
    now();
    TIMED.store(true, Ordering::Relaxed);
}

#[cfg(feature = "admin")]
#[inline]
pub(in crate::green) fn are_timed() -> bool {
    TIMED.load(Ordering::Relaxed)
}

/// Nobody can look.
#[cfg(not(feature = "admin"))]
pub(in crate::green) const fn are_timed() -> bool {
    false
}

/// Milliseconds since waits are timed, never 0. It stands still after 49 days.
pub(super) fn now() -> u32 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let elapsed = EPOCH.get_or_init(Instant::now).elapsed().as_millis();
    u32::try_from(elapsed).unwrap_or(u32::MAX).max(1)
}

#[cfg(feature = "admin")]
static TIMED: AtomicBool = AtomicBool::new(false);
