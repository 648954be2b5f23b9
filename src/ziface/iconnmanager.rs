//! The connections of a server.

use std::sync::Arc;

use super::IConnection;
use super::sealed::Sealed;

/// The connections of a server, by id.
///
/// The server makes its connection manager, and adds every connection before its start hook: there is no `add` to call. A
/// connection stays until it is closed, after its stop hook, or until [`remove`](#method.remove) or
/// [`clear_conn`](Self::clear_conn) takes it out. One that was taken out is no longer found, visited or counted by
/// [`len`](Self::len), but it closes in order as always, and holds its place under `MaxConn` until its socket is closed.
#[doc(alias = "IConManager")]
#[doc(alias = "ConManager")]
#[doc(alias = "NewConnManager")]
#[doc(alias = "Add")]
pub trait IConnManager: Sealed + Send + Sync {
    /// The connection with this id; `None` once it is closed or taken out.
    #[doc(alias = "Get")]
    fn get(&self, conn_id: u64) -> Option<Arc<dyn IConnection>>;

    /// The connection whose id this text is.
    #[doc(alias = "Get2")]
    fn get2(&self, conn_id: &str) -> Option<Arc<dyn IConnection>> {
        self.get(conn_id.parse().ok()?)
    }

    /// How many connections there are: 0 right after [`clear_conn`](Self::clear_conn), one less right after
    /// [`remove`](#method.remove). A connection that was only asked to stop counts until it is closed.
    #[doc(alias = "Len")]
    fn len(&self) -> usize;

    /// Whether there is no connection, as [`len`](Self::len) counts.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connections there are now, in no order. To send to all of them, use `try_send_msg`, which never waits, or a
    /// group. [`range`](Self::range) makes no list.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn tell_all(server: &Server) {
    ///     for conn in server.get_conn_mgr().all() {
    ///         let _ = conn.try_send_msg(1, "hello"); // one that closes, or does not read, misses it
    ///     }
    /// }
    /// ```
    #[doc(alias = "All")]
    fn all(&self) -> Vec<Arc<dyn IConnection>> {
        let mut all = Vec::with_capacity(self.len());
        self.range(&mut |conn| {
            all.push(Arc::clone(conn));
            true
        });
        all
    }

    /// The ids of the connections, in no order.
    #[doc(alias = "GetAllConnID")]
    fn get_all_conn_id(&self) -> Vec<u64>;

    /// The ids of the connections as text, in no order.
    #[doc(alias = "GetAllConnIdStr")]
    fn get_all_conn_id_str(&self) -> Vec<String> {
        self.get_all_conn_id().iter().map(u64::to_string).collect()
    }

    /// Visits the connections until `visit` returns `false`. Those that come or go meanwhile may be missed. The
    /// visitor may send, stop and wait: no lock is held. It should use `try_send_msg`, which never waits.
    #[doc(alias = "Range")]
    #[doc(alias = "Range2")]
    fn range(&self, visit: &mut dyn FnMut(&Arc<dyn IConnection>) -> bool);

    /// Takes a connection out; the object-safe form of [`remove`](#method.remove).
    fn remove_conn(&self, conn: ConnRef<'_>) -> bool;

    /// Takes every connection out and asks each to stop, as [`remove`](#method.remove) does, and returns at once. New
    /// clients are accepted as before. Calling it again changes nothing.
    #[doc(alias = "ClearConn")]
    fn clear_conn(&self);
}

impl dyn IConnManager {
    /// Takes a connection out and asks it to stop, as [`IConnection::stop`] does. `conn` is the connection or its id.
    /// `false` if it is not here: it was taken out before, it is closed, or it is a connection of another server.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn leave(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     let manager = conn.get_tcp_server().get_conn_mgr();
    ///     assert!(manager.remove(conn));
    ///     assert!(!manager.remove(conn.get_conn_id()));
    ///     conn.send_msg(1, "bye") // still sent: it stops in order
    /// }
    /// ```
    #[doc(alias = "Remove")]
    pub fn remove<'a>(&self, conn: impl Into<ConnRef<'a>>) -> bool {
        self.remove_conn(conn.into())
    }
}

/// A connection or its id: what [`remove`](trait.IConnManager.html#method.remove) takes.
#[derive(Clone, Copy, Debug)]
pub enum ConnRef<'a> {
    /// The connection that has this id.
    Id(u64),
    /// This connection.
    Conn(&'a dyn IConnection),
}

impl From<u64> for ConnRef<'_> {
    fn from(conn_id: u64) -> Self {
        Self::Id(conn_id)
    }
}

impl<'a> From<&'a dyn IConnection> for ConnRef<'a> {
    fn from(conn: &'a dyn IConnection) -> Self {
        Self::Conn(conn)
    }
}

impl<'a> From<&'a Arc<dyn IConnection>> for ConnRef<'a> {
    fn from(conn: &'a Arc<dyn IConnection>) -> Self {
        Self::Conn(&**conn)
    }
}
