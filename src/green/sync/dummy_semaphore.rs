//! A semaphore that never makes a caller wait.

use std::time::Duration;

use super::semaphore::Permit;

/// A semaphore that always has a permit: for code that takes one where nothing needs to be limited. It costs nothing.
///
/// # Examples
///
/// ```
/// use zinx::green::DummySemaphore;
///
/// let unlimited = DummySemaphore::new();
/// let _first = unlimited.acquire();
/// let _second = unlimited.acquire(); // at once, too
/// assert!(!unlimited.is_locked());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DummySemaphore;

impl DummySemaphore {
    /// A semaphore without a limit.
    pub const fn new() -> Self {
        Self
    }

    /// Returns a permit at once. Dropped, it goes nowhere.
    pub const fn acquire(&self) -> Permit {
        Permit::none()
    }

    /// As [`acquire`](Self::acquire); never `None`, and never waits.
    pub const fn acquire_timeout(&self, timeout: Duration) -> Option<Permit> {
        let _ = timeout;
        Some(Permit::none())
    }

    /// As [`acquire`](Self::acquire); never `None`.
    pub const fn try_acquire(&self) -> Option<Permit> {
        Some(Permit::none())
    }

    /// Does nothing.
    pub const fn release(&self) {}

    /// How many permits can be taken: [`usize::MAX`], however many are.
    pub const fn available(&self) -> usize {
        usize::MAX
    }

    /// `false`: a permit is always there.
    pub const fn is_locked(&self) -> bool {
        false
    }
}
