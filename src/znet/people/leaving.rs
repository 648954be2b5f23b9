//! A connection that closes leaves its groups and logs out.

use crate::znet::conn::connection::Connection;

impl Connection {
    /// Leaves all groups and logs out, for good: after the stop hook, which still finds itself in them.
    pub(crate) fn leave_all(&self) {
        let Some(places) = self.membership().leave() else { return };
        let talk = self.core().talk();
        for group in places.groups.keys() {
            talk.groups.remove(group, self.id());
        }
        if let Some(user) = &places.user {
            talk.users.remove(&user.uid, self.id());
            self.release(user);
        }
    }
}
