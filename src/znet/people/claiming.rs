//! Logins in a cluster: a user's login on this node replaces those on others, and is replaced by them.

use std::sync::Arc;

use super::membership::{Claim, User};
use super::registry::OnDuplicate;
use crate::error::Result;
use crate::ziface::{CloseReason, IConnection};
use crate::znet::cluster::remote::Remote;
use crate::znet::conn::connection::Connection;

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
        let claimed = remote.claim(&uid, login, self.id(), on_duplicate);
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

    /// Another login has replaced this one; a newer one of this connection stays.
    #[cfg(feature = "redis")]
    pub(crate) fn lose_login(&self, login: u64) {
        let Ok(Some(uid)) = self.membership().change(|places| places.lose(login)) else { return };
        self.core().talk().users.remove(&uid, self.id());
        self.stop_because(CloseReason::LoggedInElsewhere);
    }

    /// Tells the other nodes that a login has ended, unless they have ended it.
    pub(super) fn release(&self, user: &User) {
        if let (Some(claim), Some(remote), true) = (user.claim, self.core().talk().remote(), user.valid) {
            remote.release(&user.uid, claim.login);
        }
    }
}
