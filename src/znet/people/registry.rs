//! The groups and the users of a server, with their connections.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::ziface::IConnection;

/// The groups of a server, by name. One without members does not exist.
#[derive(Default)]
pub(crate) struct Groups(Lock<HashMap<Arc<str>, Members>>);

/// By connection id.
type Members = BTreeMap<u64, Arc<dyn IConnection>>;

impl Groups {
    /// Adds a member. Returns the name, shared by all members.
    pub(super) fn add(&self, name: &str, conn: Arc<dyn IConnection>) -> Arc<str> {
        let mut groups = self.lock();
        if let Some((name, _)) = groups.get_key_value(name) {
            let name = Arc::clone(name);
            groups.entry(Arc::clone(&name)).or_default().insert(conn.get_conn_id(), conn);
            return name;
        }
        let name: Arc<str> = name.into();
        groups.insert(Arc::clone(&name), BTreeMap::from([(conn.get_conn_id(), conn)]));
        name
    }

    pub(crate) fn remove(&self, name: &str, conn_id: u64) {
        let mut groups = self.lock();
        let Some(members) = groups.get_mut(name) else { return };
        // Dropped after the lock, should it be the last handle.
        let removed = members.remove(&conn_id);
        if members.is_empty() {
            groups.remove(name);
        }
        drop(groups);
        drop(removed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Members>> {
        self.0.lock()
    }
}

#[cfg(feature = "admin")]
impl Groups {
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// All groups, with how many members each has.
    pub(crate) fn sizes(&self) -> Vec<(Arc<str>, usize)> {
        self.lock().iter().map(|(name, members)| (Arc::clone(name), members.len())).collect()
    }

    /// The connection ids of a group, in order. `None` if there is no such group.
    pub(crate) fn members(&self, name: &str) -> Option<Vec<u64>> {
        self.lock().get(name).map(|members| members.keys().copied().collect())
    }
}

/// The users that are logged in, with their connections, oldest login first.
#[derive(Default)]
pub(crate) struct Users(Lock<Logins>);

/// By user, oldest login first.
type Logins = HashMap<Arc<str>, Vec<Arc<dyn IConnection>>>;

/// What a login does if the user is logged in on another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The other connections are no longer logged in, and close with
    /// [`LoggedInElsewhere`](crate::ziface::CloseReason::LoggedInElsewhere): their stop hook can tell their peers.
    KickOld,
    /// The login fails with [`Error::LoggedIn`].
    Reject,
    /// Both are logged in.
    Multi,
}

impl Users {
    /// Adds a connection of a user. Returns those that it throws out.
    pub(super) fn add(
        &self,
        uid: &Arc<str>,
        conn: &Arc<dyn IConnection>,
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<Arc<dyn IConnection>>> {
        let mut users = self.lock();
        let conns = users.entry(Arc::clone(uid)).or_default();
        if conns.iter().any(|known| known.get_conn_id() == conn.get_conn_id()) {
            return Ok(Vec::new());
        }
        let kicked = match (on_duplicate, conns.last()) {
            (OnDuplicate::Reject, Some(other)) => {
                return Err(Error::LoggedIn { uid: uid.to_string(), conn_id: other.get_conn_id() });
            }
            (OnDuplicate::KickOld, _) => std::mem::take(conns),
            _ => Vec::new(),
        };
        conns.push(Arc::clone(conn));
        Ok(kicked)
    }

    pub(crate) fn remove(&self, uid: &str, conn_id: u64) {
        let mut users = self.lock();
        let Some(conns) = users.get_mut(uid) else { return };
        let at = conns.iter().position(|conn| conn.get_conn_id() == conn_id);
        let removed = at.map(|at| conns.remove(at));
        if conns.is_empty() {
            users.remove(uid);
        }
        drop(users);
        drop(removed);
    }

    /// The connections of a user, oldest login first.
    pub(crate) fn connections(&self, uid: &str) -> Vec<Arc<dyn IConnection>> {
        self.lock().get(uid).map_or_else(Vec::new, |conns| conns.clone())
    }

    /// Whether this connection of the user is logged in.
    pub(super) fn has(&self, uid: &str, conn_id: u64) -> bool {
        self.lock().get(uid).is_some_and(|conns| conns.iter().any(|conn| conn.get_conn_id() == conn_id))
    }

    pub(crate) fn is_online(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    /// All that are logged in, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<dyn IConnection>> {
        self.lock().values().flatten().cloned().collect()
    }

    /// The users, in no order.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.lock().keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Logins> {
        self.0.lock()
    }
}
