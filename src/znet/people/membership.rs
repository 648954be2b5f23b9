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
    /// The user has logged in elsewhere, so the connection closes: it logs in as nobody any more.
    pub(super) is_thrown_out: bool,
    /// Logins on their way; mostly none.
    claiming: Vec<Claiming>,
}

#[derive(Clone)]
pub(crate) struct User {
    pub(crate) uid: Arc<str>,
    /// Not thrown out by another login.
    pub(crate) valid: bool,
    /// In a cluster: the login as other nodes know it.
    pub(crate) claim: Option<Claim>,
}

/// A login that the nodes of a cluster know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Its number on this node, never used again.
    pub(crate) login: u64,
    /// Of two logins of a user, the newer one has the larger generation.
    pub(crate) generation: u64,
    /// Others may be beside it.
    pub(crate) is_shared: bool,
}

/// A login that is on its way.
struct Claiming {
    login: u64,
    /// It has been replaced before its claim has come back.
    is_lost: bool,
}

/// What a connection loses with a login that another has replaced.
#[cfg(feature = "redis")]
pub(crate) enum Lost {
    /// The login had ended.
    Nothing,
    /// It was on its way.
    Claim,
    /// It counted. Its user.
    Login(Arc<str>),
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

    /// Refuses a login of a connection that another login has thrown out.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionClosed`]: it is about to close, or closes already.
    pub(super) fn may_log_in(&self) -> Result<()> {
        if self.is_thrown_out { Err(Error::ConnectionClosed) } else { Ok(()) }
    }

    /// Another login has replaced that of this user, unless the connection has logged in again since, as `is_back` tells, or is no longer
    /// logged in as this user. Whether it has, so that the connection is to close.
    pub(super) fn throw_out(&mut self, uid: &str, is_back: impl FnOnce() -> bool) -> bool {
        let Some(user) = self.user.as_mut().filter(|user| *user.uid == *uid) else { return false };
        if is_back() {
            return false;
        }
        (user.valid, self.is_thrown_out) = (false, true);
        true
    }

    /// Notes that a login is on its way. `None` if the user is logged in already; otherwise the login that it ends.
    pub(super) fn begin_claim(&mut self, uid: &Arc<str>, login: u64) -> Option<Option<User>> {
        if self.user.as_ref().is_some_and(|user| user.uid == *uid && user.valid) {
            return None;
        }
        self.claiming.push(Claiming { login, is_lost: false });
        Some(self.user.take())
    }

    /// The login is no longer on its way. Whether it was replaced meanwhile.
    pub(super) fn end_claim(&mut self, login: u64) -> bool {
        let at = self.claiming.iter().position(|claiming| claiming.login == login);
        at.is_some_and(|at| self.claiming.swap_remove(at).is_lost)
    }

    /// Enters a login that has been claimed. Of several that were on their way at the same time, the one that the nodes have let in last
    /// counts. Returns the one that does not.
    pub(super) fn enter(&mut self, user: User) -> Option<User> {
        let generation = |user: &User| user.claim.map(|claim| claim.generation);
        match &self.user {
            Some(newer) if generation(newer) > generation(&user) => Some(user),
            _ => self.user.replace(user),
        }
    }

    /// Whether the connection is to close, since its login was replaced: not while another is on its way, which may be what has
    /// replaced it.
    pub(super) fn is_out_by_now(&mut self) -> bool {
        let is_out = self.claiming.is_empty() && self.user.as_ref().is_some_and(|user| !user.valid);
        self.is_thrown_out |= is_out;
        is_out
    }

    /// Another login has replaced this one.
    #[cfg(feature = "redis")]
    pub(super) fn lose(&mut self, login: u64) -> Lost {
        if let Some(claiming) = self.claiming.iter_mut().find(|claiming| claiming.login == login) {
            return if std::mem::replace(&mut claiming.is_lost, true) { Lost::Nothing } else { Lost::Claim };
        }
        let is_it = |user: &&mut User| user.valid && user.claim.is_some_and(|claim| claim.login == login);
        let Some(user) = self.user.as_mut().filter(is_it) else { return Lost::Nothing };
        user.valid = false;
        Lost::Login(Arc::clone(&user.uid))
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

    /// The login as other nodes know it, while it counts.
    #[cfg(feature = "redis")]
    pub(crate) fn claim(&self) -> Option<Claim> {
        match &*self.lock() {
            State::Somewhere(places) => places.user.as_ref().filter(|user| user.valid)?.claim,
            _ => None,
        }
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        match &*self.lock() {
            State::Somewhere(places) => places.user.as_ref().is_some_and(|user| user.valid),
            _ => false,
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
