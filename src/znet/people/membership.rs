//! Where a connection belongs: its user and its groups, until it closes.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Result};
use crate::lock::Lock;

/// A connection's user and groups.
#[derive(Default)]
pub(crate) struct Membership(Lock<State>);

#[derive(Default)]
enum State {
    /// Most connections belong nowhere.
    #[default]
    Nowhere,
    Somewhere(Box<Places>),
    /// Closed: who it was.
    Left(Option<Arc<str>>),
}

#[derive(Default)]
pub(crate) struct Places {
    /// Each with its place in the order in which they were joined.
    pub(super) groups: BTreeMap<Arc<str>, u64>,
    joined: u64,
    pub(crate) user: Option<User>,
}

#[derive(Clone)]
pub(crate) struct User {
    pub(crate) uid: Arc<str>,
    /// Not thrown out by another login.
    pub(crate) valid: bool,
}

impl Places {
    /// Joins a group, which `enter` enters and names, unless it is in it already.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyGroups`] if it is in `max` others.
    pub(crate) fn join(&mut self, name: &str, max: usize, enter: impl FnOnce() -> Arc<str>) -> Result<()> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        if self.groups.len() >= max {
            return Err(Error::TooManyGroups { max });
        }
        self.joined += 1;
        self.groups.insert(enter(), self.joined);
        Ok(())
    }

    /// Leaves a group. `false` if it was not in it.
    pub(crate) fn leave(&mut self, name: &str) -> bool {
        self.groups.remove(name).is_some()
    }
}

impl Membership {
    /// Runs `change` on the places, with the lock held.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionClosed`] once the connection has left all of them.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Places) -> R) -> Result<R> {
        let mut state = self.lock();
        if matches!(*state, State::Nowhere) {
            *state = State::Somewhere(Box::default());
        }
        match &mut *state {
            State::Somewhere(places) => Ok(change(places)),
            _ => Err(Error::ConnectionClosed),
        }
    }

    pub(crate) fn groups(&self) -> Vec<Arc<str>> {
        match &*self.lock() {
            State::Somewhere(places) => {
                let mut groups: Vec<_> = places.groups.iter().collect();
                groups.sort_by_key(|(_, joined)| **joined);
                groups.into_iter().map(|(name, _)| Arc::clone(name)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_in_group(&self, name: &str) -> bool {
        match &*self.lock() {
            State::Somewhere(places) => places.groups.contains_key(name),
            _ => false,
        }
    }

    /// The user, also one thrown out.
    pub(crate) fn uid(&self) -> Option<Arc<str>> {
        match &*self.lock() {
            State::Somewhere(places) => places.user.as_ref().map(|user| Arc::clone(&user.uid)),
            State::Left(uid) => uid.clone(),
            State::Nowhere => None,
        }
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        match &*self.lock() {
            State::Somewhere(places) => places.user.as_ref().is_some_and(|user| user.valid),
            _ => false,
        }
    }

    /// The user has logged in elsewhere.
    pub(crate) fn invalidate(&self) {
        if let State::Somewhere(places) = &mut *self.lock()
            && let Some(user) = &mut places.user
        {
            user.valid = false;
        }
    }

    pub(super) fn leave(&self) -> Option<Box<Places>> {
        let mut state = self.lock();
        let uid = match &*state {
            State::Somewhere(places) => places.user.as_ref().map(|user| Arc::clone(&user.uid)),
            _ => None,
        };
        match std::mem::replace(&mut *state, State::Left(uid)) {
            State::Somewhere(places) => Some(places),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
