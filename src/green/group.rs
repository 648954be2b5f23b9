//! A group of coroutines that are joined together: the owner of those whose handles nobody keeps.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::greenlet::Builder;
use super::park::WaitList;
use super::runtime;

/// Coroutines that are waited for together. Clones share the group.
///
/// # Examples
///
/// ```
/// use zinx::green::{Builder, Group};
///
/// let group = Group::new();
/// for n in 0..10 {
///     group.spawn(Builder::new().name("worker"), move || drop(n)).unwrap();
/// }
/// group.join();
/// assert!(group.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Group {
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    alive: usize,
    waiting: WaitList,
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a member. See [`spawn`](super::spawn) for the contract.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn(&self, builder: Builder, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        runtime::ensure_started().map_err(io::Error::other)?;
        let membership = Membership::enter(self);
        builder.detach(move || {
            // Dropped also where the body panics, and after all that the body owned.
            let _membership = membership;
            body();
        })
    }

    /// How many members are alive.
    pub fn len(&self) -> usize {
        self.lock().alive
    }

    /// Whether no member is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until no member is alive.
    pub fn join(&self) {
        self.wait(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` where members are still alive.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Some(timeout))
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let waiter = {
            let mut members = self.lock();
            if members.alive == 0 {
                return true;
            }
            members.waiting.enlist()
        };
        let woken = waiter.wait(timeout);
        if !woken {
            self.lock().waiting.forget(&waiter);
        }
        woken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One member's place in its group.
struct Membership(Group);

impl Membership {
    fn enter(group: &Group) -> Self {
        group.lock().alive += 1;
        Self(group.clone())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.0.lock();
        members.alive -= 1;
        if members.alive == 0 {
            members.waiting.wake_all();
        }
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("alive", &self.alive).finish_non_exhaustive()
    }
}
