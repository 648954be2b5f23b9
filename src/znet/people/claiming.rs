//! Logins in a cluster: a user's login on this node replaces those on others, and is replaced by them.

use std::sync::Arc;

use super::membership::{Claim, User};
use super::registry::OnDuplicate;
use crate::error::Result;
use crate::ziface::{CloseReason, IConnection};
use crate::znet::cluster::remote::Remote;
use crate::znet::conn::connection::Connection;

/// A login whose claim is waited for. Dropped if the coroutine is killed or its time limit passes: then it is none, although the claim
/// may come to Redis yet.
struct Asked<'a> {
    conn: &'a Connection,
    remote: &'a dyn Remote,
    uid: &'a str,
    login: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // If the connection is closed, there is nothing to end on this node.
        let _ = self.conn.membership().change(|places| places.end_claim(self.login));
        self.remote.release(self.uid, self.login);
    }
}

impl Connection {
    /// A login that all nodes know of.
    pub(super) fn login_everywhere(
        &self,
        remote: &dyn Remote,
        uid: Arc<str>,
        on_duplicate: OnDuplicate,
    ) -> Result<()> {
        let users = &self.core().talk().users;
        let login = remote.next_login();
        let begun = self.membership().change(|places| {
            // Otherwise it would throw out the other, and then close.
            places.may_log_in().map(|()| places.begin_claim(&uid, login))
        })??;
        let Some(other) = begun else { return Ok(()) };
        if let Some(other) = other {
            users.remove(&other.uid, self.id());
            self.release(&other);
        }
        let asked = Asked { conn: self, remote, uid: &uid, login };
        let claimed = remote.claim(&uid, login, self.id(), on_duplicate);
        std::mem::forget(asked);
        let entered = self.membership().change(|places| {
            let is_lost = places.end_claim(login);
            let Ok(generation) = claimed else { return false };
            if !is_lost {
                // Those that it replaces are told by the other nodes, or by this one, as soon as it reads it.
                let added = users.add(&uid, &(self.arc() as Arc<dyn IConnection>), OnDuplicate::Multi);
                drop(added);
            }
            let is_shared = on_duplicate == OnDuplicate::Multi;
            let claim = Some(Claim { login, generation, is_shared });
            places.user = Some(User { uid: Arc::clone(&uid), valid: !is_lost, claim });
            places.is_thrown_out |= is_lost;
            is_lost
        });
        match (claimed, entered) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => {
                remote.release(&uid, login);
                Err(error)
            }
            (Ok(_), Ok(is_lost)) => {
                if is_lost {
                    self.stop_because(CloseReason::LoggedInElsewhere);
                }
                Ok(())
            }
        }
    }

    /// Another login has replaced this one; a newer one of this connection stays. The user, if it counted until now.
    #[cfg(feature = "redis")]
    pub(crate) fn lose_login(&self, login: u64) -> Option<Arc<str>> {
        let uid = self.membership().change(|places| places.lose(login)).ok()??;
        self.core().talk().users.remove(&uid, self.id());
        self.stop_because(CloseReason::LoggedInElsewhere);
        Some(uid)
    }

    /// Tells the other nodes that a login has ended, unless they have ended it.
    pub(super) fn release(&self, user: &User) {
        if let (Some(claim), Some(remote), true) = (user.claim, self.core().talk().remote(), user.valid) {
            remote.release(&user.uid, claim.login);
        }
    }
}
