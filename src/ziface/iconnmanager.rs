//! The connections of a server.

use std::sync::Arc;

use super::IConnection;
use super::sealed::Sealed;

/// The connections of a server, by id.
///
/// The machinery adds a connection before its start hook and removes it after its stop hook, when it is closed.
pub trait IConnManager: Sealed + Send + Sync {
    /// The connection with this id, while it is open.
    #[doc(alias = "Get")]
    fn get(&self, conn_id: u64) -> Option<Arc<dyn IConnection>>;

    /// The connection whose id this text is.
    #[doc(alias = "Get2")]
    fn get2(&self, conn_id: &str) -> Option<Arc<dyn IConnection>> {
        self.get(conn_id.parse().ok()?)
    }

    /// How many connections are open.
    #[doc(alias = "Len")]
    fn len(&self) -> usize;

    /// Whether no connection is open.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of the open connections, in no order.
    #[doc(alias = "GetAllConnID")]
    fn get_all_conn_id(&self) -> Vec<u64>;

    /// The ids of the open connections as text, in no order.
    #[doc(alias = "GetAllConnIdStr")]
    fn get_all_conn_id_str(&self) -> Vec<String> {
        self.get_all_conn_id().iter().map(u64::to_string).collect()
    }

    /// Visits the open connections until `visit` returns `false`. Those that come or go meanwhile may be missed. The
    /// visitor may send, stop and wait: no lock is held. It should use `try_send_msg`, which never waits.
    #[doc(alias = "Range")]
    #[doc(alias = "Range2")]
    fn range(&self, visit: &mut dyn FnMut(&Arc<dyn IConnection>) -> bool);

    /// Takes a connection out: asks it to stop, as [`IConnection::stop`]. `false` where it has gone already.
    #[doc(alias = "Remove")]
    fn remove(&self, conn_id: u64) -> bool;

    /// Asks every connection to stop, and returns at once. Calling it again changes nothing.
    #[doc(alias = "ClearConn")]
    fn clear_conn(&self);
}
