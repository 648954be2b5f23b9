//! A connection's place with the manager, from the transport to the end of the coroutine that runs it.

use std::io;
use std::sync::Arc;

use crate::ziface::IConnection;
use crate::znet::conn::addresses::Addresses;
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;
use crate::znet::transport::Transport;

/// A connection's place with the manager, given up when it is dropped, also by a panic of our own.
pub(crate) struct Place {
    core: Arc<Core>,
    conn: Arc<dyn IConnection>,
    transport: Option<Transport>,
}

impl Place {
    /// Makes a connection of a transport. Errs where the machine has no room for its worker.
    pub(crate) fn take(
        core: &Arc<Core>,
        id: u64,
        transport: Transport,
        addresses: Addresses,
    ) -> io::Result<Self> {
        let worker = core.handler().workers().assign(id)?;
        let conn = Connection::new(id, Arc::clone(core), transport.clone(), addresses, worker);
        if core.talk().redial.get().is_some() {
            conn.ask_for_token();
        }
        let conn: Arc<dyn IConnection> = conn;
        core.manager().add(Arc::clone(&conn));
        // Its time to send a first frame, now that a look at all finds it.
        core.clock().begins();
        Ok(Self { core: Arc::clone(core), conn, transport: Some(transport) })
    }

    pub(crate) fn conn(&self) -> &Connection {
        self.conn.connection()
    }

    /// The same as programs know it.
    pub(crate) const fn shared(&self) -> &Arc<dyn IConnection> {
        &self.conn
    }

    /// What carries its bytes, once.
    pub(crate) const fn take_transport(&mut self) -> Option<Transport> {
        self.transport.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The descriptor closes before the place is free.
        drop(self.transport.take());
        let conn = self.conn();
        conn.line().release();
        conn.end_resuming();
        self.core.manager().forget(conn.id());
        if let Some(worker) = conn.tasks().worker() {
            self.core.handler().workers().give_back(Arc::clone(worker));
        }
        conn.closed().set();
        self.core.backoff().end_pause();
    }
}
