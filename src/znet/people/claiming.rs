//! Logins in a cluster: a user's login on this node replaces those on others, and is replaced by them.

use std::sync::Arc;

#[cfg(feature = "redis")]
use super::membership::Lost;
use super::membership::{Claim, User};
use super::registry::OnDuplicate;
use crate::error::{Error, Result};
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
        let is_out = self.conn.membership().change(|places| {
            places.end_claim(self.login);
            places.is_out_by_now()
        });
        self.remote.release(self.uid, self.login);
        // If the connection is closed, there is nothing to end on this node.
        if is_out.unwrap_or(false) {
            self.conn.stop_because(CloseReason::LoggedInElsewhere);
        }
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
            places.may_log_in()?;
            let begun = places.begin_claim(&uid, login);
            begun.iter().flatten().for_each(|other| users.remove(&other.uid, self.id()));
            Ok::<_, Error>(begun)
        })??;
        let Some(other) = begun else { return Ok(()) };
        other.iter().for_each(|other| {
            self.note_standing();
            self.release(other);
        });
        let asked = Asked { conn: self, remote, uid: &uid, login };
        let claimed = remote.claim(&uid, login, self.id(), on_duplicate);
        std::mem::forget(asked);
        let is_shared = on_duplicate == OnDuplicate::Multi;
        let entered = self.membership().change(|places| {
            let is_lost = places.end_claim(login);
            let ended = claimed.as_ref().ok().and_then(|&generation| {
                let claim = Some(Claim { login, generation, is_shared });
                places.enter(User { uid: Arc::clone(&uid), valid: !is_lost, claim })
            });
            let now = places.user.as_ref().filter(|user| user.valid);
            if let Some(ended) = ended.as_ref().filter(|ended| now.is_none_or(|now| now.uid != ended.uid)) {
                users.remove(&ended.uid, self.id());
            }
            if let Some(now) = now {
                // Those that it replaces are told by the other nodes, or by this one, as soon as it reads it.
                drop(users.add(&now.uid, &(self.arc() as Arc<dyn IConnection>), OnDuplicate::Multi));
            }
            (ended, places.is_out_by_now())
        });
        let Ok((ended, is_out)) = entered else {
            if claimed.is_ok() {
                remote.release(&uid, login);
            }
            return Err(claimed.err().unwrap_or(Error::ConnectionClosed));
        };
        self.note_standing();
        ended.iter().for_each(|ended| self.release(ended));
        if is_out {
            self.stop_because(CloseReason::LoggedInElsewhere);
        }
        claimed.map(drop)
    }

    /// Another login has replaced this one; a newer one of this connection stays.
    #[cfg(feature = "redis")]
    pub(crate) fn lose_login(&self, login: u64) -> Lost {
        let lost = self.membership().change(|places| {
            let lost = places.lose(login);
            if let Lost::Login(uid) = &lost {
                self.core().talk().users.remove(uid, self.id());
            }
            (lost, places.is_out_by_now())
        });
        let Ok((lost, is_out)) = lost else { return Lost::Nothing };
        if is_out {
            self.stop_because(CloseReason::LoggedInElsewhere);
        } else {
            self.note_standing();
        }
        lost
    }

    /// Tells the other nodes that a login has ended, unless they have ended it.
    pub(super) fn release(&self, user: &User) {
        if let (Some(claim), Some(remote), true) = (user.claim, self.core().talk().remote(), user.valid) {
            remote.release(&user.uid, claim.login);
        }
    }
}
