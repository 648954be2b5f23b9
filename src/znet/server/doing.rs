//! What the coroutines of a server do, told by connection.

use std::collections::HashMap;

use super::core::Core;
use crate::green::Coroutine;
use crate::znet::conn::connection::Connection;

/// What coroutines do, by the numbers in their names.
pub(crate) struct Doing {
    connections: HashMap<u64, &'static str>,
    workers: HashMap<u64, &'static str>,
    /// A client's connection is run by the coroutine that has made it.
    dialer: Option<&'static str>,
}

impl Doing {
    pub(crate) fn look(core: &Core) -> Self {
        let ours = core.group().coroutines();
        let numbered = |coroutines: &[Coroutine], what| {
            let numbers = coroutines.iter().filter_map(|one| Some((one.number_of(what)?, one.activity())));
            numbers.collect()
        };
        Self {
            connections: numbered(&ours, "connection"),
            workers: numbered(&core.handler().workers().group().coroutines(), "worker"),
            dialer: ours.iter().find(|one| one.name() == "dialer").map(Coroutine::activity),
        }
    }

    /// What a connection does: if it waits for its worker, what that does.
    pub(crate) fn of(&self, conn: &Connection) -> String {
        let of_worker = || {
            let number = conn.tasks().worker().filter(|_| conn.tasks().are_pending())?.id() as u64;
            Some(format!("worker {number} {}", self.workers.get(&number)?))
        };
        let own = || self.connections.get(&conn.id()).copied().or(self.dialer).unwrap_or("has ended");
        of_worker().unwrap_or_else(|| own().to_string())
    }

    /// A connection, and what it does.
    pub(super) fn name(&self, conn: &Connection) -> String {
        let does = self.of(conn);
        match conn.outbox().lock().messages() {
            0 => format!("{conn} ({does})"),
            unsent => format!("{conn} ({does}, {unsent} messages unsent)"),
        }
    }
}
