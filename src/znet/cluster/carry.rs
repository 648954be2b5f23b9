//! What a program gives along with a connection that moves to another node.

use std::sync::Arc;

use super::cluster::Cluster;
use crate::error::{Error, Result};
use crate::ziface::IConnection;
use crate::znet::server::talk::Carry;

impl Cluster {
    /// Sets what a connection takes along when its client comes back to another node: `pack` makes bytes of its properties on the
    /// node that it leaves, after its last message and before its stop hook. On the other node `unpack` is given the connection
    /// and the bytes, before its client gets its answer; not if there are none.
    ///
    /// If `pack` fails or panics, that is logged and nothing is taken along. If `unpack` does, the connection closes, and the client
    /// is told [`Gone`](crate::ziface::ResumeRefusal::Gone).
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](Error::AlreadyStarted) the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use zinx::prelude::*;
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// server.cluster().carry(
    ///     |conn| Ok(conn.get_property_as::<String>("room").map_or_else(Vec::new, |room| room.as_bytes().to_vec())),
    ///     |conn, data| {
    ///         conn.set_property("room", Arc::new(String::from_utf8_lossy(data).into_owned()));
    ///         Ok(())
    ///     },
    /// )
    /// # }
    /// ```
    pub fn carry(
        &self,
        pack: impl Fn(&Arc<dyn IConnection>) -> Result<Vec<u8>> + Send + Sync + 'static,
        unpack: impl Fn(&Arc<dyn IConnection>, &[u8]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        let set = self.core.talk().carry.set(Carry { pack: Box::new(pack), unpack: Box::new(unpack) });
        set.map_err(|_| Error::AlreadyStarted { what: "set what connections carry" })
    }
}
