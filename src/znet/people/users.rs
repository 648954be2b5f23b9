//! Users: which connections have logged in as whom.

use super::registry::OnDuplicate;
use std::sync::Arc;

use super::membership::User;
use crate::error::{Error, Result};
use crate::ziface::{CloseReason, IConnection};
use crate::znet::server::core::Core;
use crate::znet::server::server::Server;

impl dyn IConnection {
    /// Logs the connection in as a user, until [`logout`](#method.logout) or the close; the stop hook still finds it
    /// logged in. Of any number of logins of one user at the same time, `KickOld` leaves the last and `Reject` the first.
    ///
    /// Logged in as the same user already, it changes nothing; as another, it logs that one out first.
    ///
    /// # Errors
    ///
    /// [`LoggedIn`](Error::LoggedIn) by policy, [`ConnectionClosed`](Error::ConnectionClosed) if the connection is
    /// closing; in a cluster [`ClusterUnavailable`](Error::ClusterUnavailable), within a second, if Redis cannot be reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn login(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let uid = String::from_utf8_lossy(request.get_data());
    ///     let conn = request.get_connection();
    ///     match conn.login(&uid, OnDuplicate::Reject) {
    ///         Err(error @ Error::LoggedIn { .. }) => conn.send_msg(2, error.to_string()),
    ///         result => result.and_then(|()| conn.send_msg(2, "welcome")),
    ///     }
    /// }
    /// ```
    pub fn login(&self, uid: impl ToString, on_duplicate: OnDuplicate) -> Result<()> {
        let conn = self.connection();
        let uid: Arc<str> = uid.to_string().into();
        if conn.is_stopping() {
            return Err(Error::ConnectionClosed);
        }
        if let Some(remote) = conn.core().talk().remote() {
            return conn.login_everywhere(&*remote, uid, on_duplicate);
        }
        let users = &conn.core().talk().users;
        let name = Arc::clone(&uid);
        let kicked = conn.membership().change(|places| {
            places.may_log_in()?;
            if let Some(other) = places.user.take_if(|user| user.uid != uid) {
                users.remove(&other.uid, conn.id());
            }
            let kicked = users.add(&uid, &(conn.arc() as Arc<dyn IConnection>), on_duplicate);
            if kicked.is_ok() {
                places.user = Some(User { uid, valid: true, claim: None });
            }
            kicked
        })??;
        for old in kicked {
            let old = old.connection();
            // Between its being taken out and this it may have logged in again, and has thrown out this one then.
            let is_back = || users.has(&name, old.id());
            if matches!(old.membership().change(|places| places.throw_out(&name, is_back)), Ok(true)) {
                old.stop_because(CloseReason::LoggedInElsewhere);
            }
        }
        Ok(())
    }

    /// Ends the login; the connection stays open. `false` if there was none.
    pub fn logout(&self) -> bool {
        let conn = self.connection();
        // One lock within the other, so that a login that comes meanwhile is not taken out again.
        let user = conn.membership().change(|places| {
            let user = places.user.take();
            user.iter().for_each(|user| conn.core().talk().users.remove(&user.uid, conn.id()));
            user
        });
        let Ok(Some(user)) = user else { return false };
        conn.note_standing();
        conn.release(&user);
        true
    }

    /// The user it is logged in as; once it closes, the user it was.
    pub fn get_user(&self) -> Option<Arc<str>> {
        self.connection().on_demand()?.membership.uid()
    }

    /// Whether it is logged in: `false` too once the user has logged in elsewhere under
    /// [`KickOld`](OnDuplicate::KickOld), although messages already read are still handled.
    pub fn is_logged_in(&self) -> bool {
        self.connection().on_demand().is_some_and(|on_demand| on_demand.membership.is_logged_in())
    }

    /// The users that are logged in on the connection's server.
    pub fn sessions(&self) -> Sessions {
        Sessions { core: Arc::clone(self.connection().core()) }
    }
}

impl Server {
    /// The users that are logged in.
    pub fn sessions(&self) -> Sessions {
        Sessions { core: Arc::clone(self.core()) }
    }
}

/// The users that are logged in on a server.
#[derive(Clone)]
pub struct Sessions {
    core: Arc<Core>,
}

impl Sessions {
    /// The connection of a user; of several, the one that has logged in last.
    pub fn by_user(&self, uid: impl ToString) -> Option<Arc<dyn IConnection>> {
        self.all_of(uid).pop()
    }

    /// The connections of a user, oldest login first.
    pub fn all_of(&self, uid: impl ToString) -> Vec<Arc<dyn IConnection>> {
        self.core.talk().users.connections(&uid.to_string())
    }

    /// The users, in no order.
    pub fn users(&self) -> Vec<Arc<str>> {
        self.core.talk().users.names()
    }

    /// How many users are logged in.
    pub fn len(&self) -> usize {
        self.core.talk().users.len()
    }

    /// Whether no user is logged in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("len", &self.len()).finish()
    }
}
