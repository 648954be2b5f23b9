//! The connections of a server, by id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Connection;
use super::tutorial;
use crate::ziface::sealed::Sealed;
use crate::ziface::{CloseReason, IConnManager, IConnection};

/// The connections of a server, in shards so that look-ups seldom meet.
pub(crate) struct ConnManager {
    shards: [Mutex<HashMap<u64, Arc<Connection>>>; SHARDS],
    len: AtomicUsize,
}

impl ConnManager {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), len: AtomicUsize::new(0) }
    }

    pub(crate) fn add(&self, conn: Arc<Connection>) {
        let id = conn.id();
        if self.shard(id).insert(id, conn).is_none() {
            let open = self.len.fetch_add(1, Ordering::AcqRel) + 1;
            tutorial::say(format_args!("[CONN] id {id} added to the manager, {open} open"));
        }
    }

    /// Forgets a connection. Twice is the same as once.
    pub(crate) fn forget(&self, conn_id: u64) {
        // The connection is dropped after the lock.
        let forgotten = self.shard(conn_id).remove(&conn_id);
        if forgotten.is_some() {
            let open = self.len.fetch_sub(1, Ordering::AcqRel) - 1;
            tutorial::say(format_args!("[CONN] id {conn_id} removed from the manager, {open} open"));
        }
    }

    /// The connection with this id.
    pub(crate) fn find(&self, conn_id: u64) -> Option<Arc<Connection>> {
        self.shard(conn_id).get(&conn_id).cloned()
    }

    /// Visits all connections until `visit` returns `false`, with no lock held.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Arc<Connection>) -> bool) {
        for shard in 0..SHARDS {
            let connections: Vec<_> = lock(&self.shards[shard]).values().cloned().collect();
            if !connections.iter().all(&mut visit) {
                return;
            }
        }
    }

    pub(crate) fn stop_all(&self, reason: &CloseReason) {
        self.each(|conn| {
            conn.stop_because(reason.clone());
            true
        });
    }

    fn shard(&self, conn_id: u64) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        lock(&self.shards[conn_id as usize % SHARDS])
    }
}

impl Sealed for ConnManager {}

impl IConnManager for ConnManager {
    fn get(&self, conn_id: u64) -> Option<Arc<dyn IConnection>> {
        self.find(conn_id).map(|conn| conn as Arc<dyn IConnection>)
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn get_all_conn_id(&self) -> Vec<u64> {
        self.shards.iter().flat_map(|shard| lock(shard).keys().copied().collect::<Vec<_>>()).collect()
    }

    fn range(&self, visit: &mut dyn FnMut(&Arc<dyn IConnection>) -> bool) {
        self.each(|conn| visit(&(Arc::clone(conn) as Arc<dyn IConnection>)));
    }

    fn remove(&self, conn_id: u64) -> bool {
        let conn = self.get(conn_id);
        conn.inspect(|conn| conn.stop()).is_some()
    }

    fn clear_conn(&self) {
        self.stop_all(&CloseReason::Stopped);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 16;
