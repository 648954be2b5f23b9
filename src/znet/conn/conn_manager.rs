//! The connections of a server, by id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use crate::lock::Lock;
use crate::ziface::sealed::Sealed;
use crate::ziface::{CloseReason, ConnRef, IConnManager, IConnection};
use crate::znet::tutorial;

/// The connections of a server, in shards so that look-ups seldom meet.
pub(crate) struct ConnManager {
    shards: [Lock<Shard>; SHARDS],
    /// How many are listed.
    len: AtomicUsize,
    /// How many there are, those that are leaving included.
    places: AtomicUsize,
}

/// Part of the connections. Each is in one of the two maps, from `add` to `forget`.
#[derive(Default)]
struct Shard {
    /// What a program sees.
    listed: HashMap<u64, Arc<dyn IConnection>>,
    /// Taken out by the program. They are closing, and hold their place until they are closed.
    leaving: HashMap<u64, Arc<dyn IConnection>>,
}

impl ConnManager {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Lock::default()),
            len: AtomicUsize::new(0),
            places: AtomicUsize::new(0),
        }
    }

    /// Adds a connection. Ids are never reused, so there is none of its id.
    pub(crate) fn add(&self, conn: Arc<dyn IConnection>) {
        self.places.fetch_add(1, Ordering::AcqRel);
        // Counted before it can be found, and taken out again.
        let open = self.len.fetch_add(1, Ordering::AcqRel) + 1;
        self.shard(conn.get_conn_id()).listed.insert(conn.get_conn_id(), conn);
        tutorial::say(format_args!("链接添加至链接管理成功,当前数量 = {open}"));
    }

    /// Forgets a connection that is closed. Twice is the same as once.
    pub(crate) fn forget(&self, conn_id: u64) {
        // The connection is dropped after the lock.
        let (listed, left) = {
            let mut shard = self.shard(conn_id);
            (shard.listed.remove(&conn_id), shard.leaving.remove(&conn_id))
        };
        if listed.is_some() {
            self.count_out(conn_id);
        }
        if listed.is_some() || left.is_some() {
            self.places.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many connections hold a place: the listed ones, and those taken out that are not closed yet.
    pub(crate) fn places(&self) -> usize {
        self.places.load(Ordering::Acquire)
    }

    /// The connection with this id, while it is listed.
    pub(crate) fn find(&self, conn_id: u64) -> Option<Arc<dyn IConnection>> {
        self.shard(conn_id).listed.get(&conn_id).cloned()
    }

    /// The same, also if the program has taken it out and it is closing.
    #[cfg(any(feature = "admin", feature = "redis"))]
    pub(crate) fn find_any(&self, conn_id: u64) -> Option<Arc<dyn IConnection>> {
        let shard = self.shard(conn_id);
        shard.listed.get(&conn_id).or_else(|| shard.leaving.get(&conn_id)).cloned()
    }

    /// Visits all connections that hold a place until `visit` returns `false`, with no lock held.
    pub(crate) fn each(&self, visit: impl FnMut(&Arc<dyn IConnection>) -> bool) {
        self.visit(|shard| shard.listed.values().chain(shard.leaving.values()).cloned().collect(), visit);
    }

    pub(crate) fn stop_all(&self, reason: &CloseReason) {
        self.each(|conn| {
            conn.connection().stop_because(reason.clone());
            true
        });
    }

    fn visit(
        &self,
        pick: impl Fn(&mut Shard) -> Vec<Arc<dyn IConnection>>,
        mut visit: impl FnMut(&Arc<dyn IConnection>) -> bool,
    ) {
        for shard in &self.shards {
            let connections = pick(&mut shard.lock());
            if !connections.iter().all(&mut visit) {
                return;
            }
        }
    }

    /// Takes a connection off the list, if it is on it and is the one that is meant.
    fn take_out(
        &self,
        conn_id: u64,
        is_meant: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Option<Arc<dyn IConnection>> {
        let mut shard = self.shard(conn_id);
        let conn = shard.listed.get(&conn_id).filter(|conn| is_meant(conn)).cloned()?;
        shard.listed.remove(&conn_id);
        shard.leaving.insert(conn_id, Arc::clone(&conn));
        drop(shard);
        self.count_out(conn_id);
        Some(conn)
    }

    fn count_out(&self, conn_id: u64) {
        let open = self.len.fetch_sub(1, Ordering::AcqRel) - 1;
        tutorial::say(format_args!("链接移除成功ConnID= {conn_id} ,当前数量 = {open}"));
    }

    fn shard(&self, conn_id: u64) -> MutexGuard<'_, Shard> {
        self.shards[conn_id as usize % SHARDS].lock()
    }
}

impl Sealed for ConnManager {}

impl IConnManager for ConnManager {
    fn get(&self, conn_id: u64) -> Option<Arc<dyn IConnection>> {
        self.find(conn_id)
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn get_all_conn_id(&self) -> Vec<u64> {
        let ids = |shard: &Lock<Shard>| shard.lock().listed.keys().copied().collect::<Vec<_>>();
        self.shards.iter().flat_map(ids).collect()
    }

    fn range(&self, visit: &mut dyn FnMut(&Arc<dyn IConnection>) -> bool) {
        self.visit(|shard| shard.listed.values().cloned().collect(), visit);
    }

    fn remove_conn(&self, conn: ConnRef<'_>) -> bool {
        let taken = match conn {
            ConnRef::Id(conn_id) => self.take_out(conn_id, |_| true),
            // Another server may have a connection of the same id.
            ConnRef::Conn(conn) => {
                let meant = conn;
                self.take_out(meant.get_conn_id(), |listed| {
                    std::ptr::addr_eq(Arc::as_ptr(listed), std::ptr::from_ref(meant))
                })
            }
        };
        taken.inspect(|conn| conn.stop()).is_some()
    }

    fn clear_conn(&self) {
        for conn_id in self.get_all_conn_id() {
            self.remove_conn(ConnRef::Id(conn_id));
        }
        tutorial::say(format_args!("清除所有链接: 当前数量 = {}", self.len()));
    }
}

const SHARDS: usize = 16;
