//! A connection that comes from another node brings its user and its groups along.

use std::collections::BTreeSet;
use std::sync::Arc;

#[cfg(feature = "redis")]
use super::membership::User;
use super::membership::{Claim, Membership};
#[cfg(feature = "redis")]
use super::registry::OnDuplicate;
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;

impl Connection {
    /// Takes the place of a connection of another node. What its own start hook has joined it leaves. `false` if it is closed.
    #[cfg(feature = "redis")]
    pub(crate) fn take_places(&self, user: Option<User>, groups: &[Arc<str>]) -> bool {
        let talk = self.core().talk();
        let entered = self.membership().change(|places| {
            for group in std::mem::take(&mut places.groups).into_keys() {
                talk.groups.remove(&group, self.id());
            }
            let before = places.user.take();
            if let Some(before) = &before {
                talk.users.remove(&before.uid, self.id());
            }
            for name in groups {
                // There were no more than there may be.
                let _ = places.join(name, usize::MAX, || talk.groups.add(name, self.arc()));
            }
            if let Some(user) = user {
                let conn = self.arc() as Arc<dyn IConnection>;
                drop(talk.users.add(&user.uid, &conn, OnDuplicate::Multi));
                places.user = Some(user);
            }
            before
        });
        entered.map(|before| before.iter().for_each(|before| self.release(before))).is_ok()
    }

    /// What the connection has joined or left on the other node at the last moment.
    pub(crate) fn keep_places(&self, is_logged_in: bool, groups: &[Arc<str>]) {
        let shared = self.arc() as Arc<dyn IConnection>;
        let groups: BTreeSet<_> = groups.iter().collect();
        for gone in shared.get_groups().iter().filter(|group| !groups.contains(group)) {
            shared.leave_group(gone);
        }
        for name in groups {
            // It is closing if it cannot.
            let _ = shared.join_group(name);
        }
        if !is_logged_in {
            shared.logout();
        }
    }

    /// Is found no longer by others, although it still finds itself where it was.
    #[cfg(feature = "redis")]
    pub(crate) fn withdraw_from_places(&self) {
        let talk = self.core().talk();
        // It has left all of them if it is closed.
        let _ = self.membership().change(|places| {
            places.groups.keys().for_each(|group| talk.groups.remove(group, self.id()));
            places.user.iter().for_each(|user| talk.users.remove(&user.uid, self.id()));
        });
    }
}

impl Membership {
    /// The user and the login that other nodes know of.
    pub(crate) fn login_to_move(&self) -> Option<(Arc<str>, Claim)> {
        let user = self.change(|places| places.user.clone().filter(|user| user.valid)).ok()??;
        Some((user.uid, user.claim?))
    }
}
