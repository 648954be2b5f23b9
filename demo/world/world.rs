//! The players of the world, and what each is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zinx::prelude::*;

use crate::grid::{CELLS, cell, seen_from, within};
use crate::message::{
    BROAD_CAST, BroadCast, Data, GONE, HAS_MOVED, IS_SEEN, Player as Seen, Position, SYNC_PID, SYNC_PLAYERS,
    SyncPid, SyncPlayers, TALKS,
};

/// One lock for all: what two players see of each other is the same, in whatever order they move. Nothing waits while it is held, so all that
/// is sent is sent by `try_send_msg`.
pub(crate) struct World(Mutex<Players>);

struct Players {
    last: i32,
    by_pid: BTreeMap<i32, Player>,
    cells: Vec<BTreeSet<i32>>,
}

struct Player {
    conn: Arc<dyn IConnection>,
    at: Position,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let cells = vec![BTreeSet::new(); CELLS];
        Arc::new(Self(Mutex::new(Players { last: 0, by_pid: BTreeMap::new(), cells })))
    }

    /// A player enters. It learns who it is, where it is and whom it sees; those see it.
    pub(crate) fn enter(&self, conn: &Arc<dyn IConnection>) {
        let mut players = self.lock();
        players.last += 1;
        let (pid, at) = (players.last, birthplace(players.last));
        conn.set_property("pid", Arc::new(pid));
        players.by_pid.insert(pid, Player { conn: Arc::clone(conn), at });
        players.tell(&[pid], SYNC_PID, &SyncPid { pid });
        players.cells[cell(at)].insert(pid);
        let seen = players.in_cells(&seen_from(cell(at)));
        players.tell(&seen, BROAD_CAST, &place(pid, IS_SEEN, at));
        let all = seen.iter().map(|pid| Seen { pid: *pid, p: Some(players.by_pid[pid].at) });
        players.tell(&[pid], SYNC_PLAYERS, &SyncPlayers { ps: all.collect() });
    }

    /// A player moves. If that takes it into another cell, it loses sight of some, and comes into the sight of others.
    pub(crate) fn walk(&self, pid: i32, to: Position) {
        let mut players = self.lock();
        let (Some(to), Some(player)) = (within(to), players.by_pid.get_mut(&pid)) else { return };
        let (old, new) = (cell(player.at), cell(to));
        player.at = to;
        if old != new {
            players.cells[old].remove(&pid);
            players.look_around(pid, &seen_from(old), &seen_from(new));
            players.cells[new].insert(pid);
        }
        let seen = players.in_cells(&seen_from(new));
        players.tell(&seen, BROAD_CAST, &place(pid, HAS_MOVED, to));
    }

    /// The whole world hears a player.
    pub(crate) fn talk(&self, pid: i32, content: String) {
        let players = self.lock();
        let all: Vec<_> = players.by_pid.keys().copied().collect();
        players.tell(&all, BROAD_CAST, &BroadCast { pid, tp: TALKS, data: Some(Data::Content(content)) });
    }

    pub(crate) fn leave(&self, pid: i32) {
        let mut players = self.lock();
        let Some(player) = players.by_pid.remove(&pid) else { return };
        players.cells[cell(player.at)].remove(&pid);
        let seen = players.in_cells(&seen_from(cell(player.at)));
        players.tell(&seen, GONE, &SyncPid { pid });
    }

    fn lock(&self) -> MutexGuard<'_, Players> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Players {
    /// Tells a player, and those around it, who is seen no more and who has come into sight.
    fn look_around(&self, pid: i32, old: &[usize], new: &[usize]) {
        let only_in = |cells: &[usize], others: &[usize]| {
            let cells: Vec<_> = cells.iter().copied().filter(|cell| !others.contains(cell)).collect();
            self.in_cells(&cells)
        };
        let (lost, found) = (only_in(old, new), only_in(new, old));
        self.tell(&lost, GONE, &SyncPid { pid });
        for other in lost {
            self.tell(&[pid], GONE, &SyncPid { pid: other });
        }
        self.tell(&found, BROAD_CAST, &place(pid, IS_SEEN, self.by_pid[&pid].at));
        for other in found {
            self.tell(&[pid], BROAD_CAST, &place(other, IS_SEEN, self.by_pid[&other].at));
        }
    }

    fn in_cells(&self, cells: &[usize]) -> Vec<i32> {
        cells.iter().flat_map(|cell| &self.cells[*cell]).copied().collect()
    }

    /// Never waits: a player that does not read is disconnected (`QueueFull`), so an error means that it is about to leave.
    fn tell(&self, pids: &[i32], msg_id: u32, message: &impl prost::Message) {
        let data = message.encode_to_vec();
        for player in pids.iter().filter_map(|pid| self.by_pid.get(pid)) {
            let _ = player.conn.try_send_msg(msg_id, &data);
        }
    }
}

fn place(pid: i32, tp: i32, at: Position) -> BroadCast {
    BroadCast { pid, tp, data: Some(Data::P(at)) }
}

/// Somewhere in the middle.
fn birthplace(pid: i32) -> Position {
    let scattered = pid.unsigned_abs().wrapping_mul(2_654_435_761);
    let [_, z, x, _] = scattered.to_le_bytes();
    Position { x: 160.0 + f32::from(x % 50), z: 134.0 + f32::from(z % 50), y: 0.0, v: 0.0 }
}
