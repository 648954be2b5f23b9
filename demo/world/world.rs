//! The players of the world, and what each is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zinx::green;
use zinx::prelude::*;

use crate::grid::{CELLS, cell, seen_from, within};
use crate::message::{
    BROAD_CAST, BroadCast, Data, GONE, HAS_MOVED, IS_SEEN, Player as Seen, Position, SYNC_PID, SYNC_PLAYERS,
    SyncPid, SyncPlayers, TALKS,
};

/// Handlers change the world, and a task of the server tells the players, a hundred times a second.
///
/// One lock for all, so what two players see of each other is the same, in whatever order they move. Nothing waits while it is held.
pub(crate) struct World(Mutex<Players>);

struct Players {
    last: i32,
    by_pid: BTreeMap<i32, Player>,
    cells: Vec<BTreeSet<i32>>,
    /// What has happened and has not been told yet, and to how many players in all.
    news: Vec<News>,
    untold: usize,
}

struct Player {
    conn: Arc<dyn IConnection>,
    at: Position,
}

struct News {
    to: Vec<Arc<dyn IConnection>>,
    msg_id: u32,
    data: Vec<u8>,
}

/// Between one telling and the next.
const TICK: Duration = Duration::from_millis(10);

/// As many messages may wait to be told. Whoever is about to add more waits: a client cannot flood the world.
const MOST_UNTOLD: usize = 100_000;

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let cells = vec![BTreeSet::new(); CELLS];
        let players = Players { last: 0, by_pid: BTreeMap::new(), cells, news: Vec::new(), untold: 0 };
        Arc::new(Self(Mutex::new(players)))
    }

    /// Tells the players what has happened, until the server stops. Whoever is told much gets it in few writes.
    pub(crate) fn tell(&self, context: &dyn IContext) -> Result<()> {
        loop {
            let is_over = context.wait_done_timeout(TICK);
            for News { to, msg_id, data } in self.take_news() {
                for conn in to {
                    // A player that does not read is disconnected (`QueueFull`), so an error means that it is about to leave.
                    let _ = conn.try_send_msg(msg_id, &data);
                }
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// A player enters. It is told its number, its place and the players in sight, and they are told of it.
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
        let all = SyncPlayers { ps: all.collect() };
        players.tell(&[pid], SYNC_PLAYERS, &all);
    }

    /// A player moves. If that takes it into another cell, it loses sight of some, and comes into the sight of others.
    pub(crate) fn walk(&self, pid: i32, to: Position) {
        self.keep_pace();
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
        self.keep_pace();
        let mut players = self.lock();
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

    fn take_news(&self) -> Vec<News> {
        let mut players = self.lock();
        players.untold = 0;
        std::mem::take(&mut players.news)
    }

    /// Waits while too much is untold, a second at most: a server that stops tells nothing more.
    fn keep_pace(&self) {
        let mut ticks = 0..100;
        while self.lock().untold > MOST_UNTOLD && ticks.next().is_some() {
            green::sleep(TICK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Players> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Players {
    /// Tells a player which others are now out of sight and which are in sight, and tells those the same of it.
    fn look_around(&mut self, pid: i32, old: &[usize], new: &[usize]) {
        let only_in = |cells: &[usize], others: &[usize]| {
            let cells: Vec<_> = cells.iter().copied().filter(|cell| !others.contains(cell)).collect();
            self.in_cells(&cells)
        };
        let (lost, found, at) = (only_in(old, new), only_in(new, old), self.by_pid[&pid].at);
        self.tell(&lost, GONE, &SyncPid { pid });
        for other in lost {
            self.tell(&[pid], GONE, &SyncPid { pid: other });
        }
        self.tell(&found, BROAD_CAST, &place(pid, IS_SEEN, at));
        for other in found {
            let at = self.by_pid[&other].at;
            self.tell(&[pid], BROAD_CAST, &place(other, IS_SEEN, at));
        }
    }

    fn in_cells(&self, cells: &[usize]) -> Vec<i32> {
        cells.iter().flat_map(|cell| &self.cells[*cell]).copied().collect()
    }

    fn tell(&mut self, pids: &[i32], msg_id: u32, message: &impl prost::Message) {
        let conns = pids.iter().filter_map(|pid| self.by_pid.get(pid)).map(|player| Arc::clone(&player.conn));
        let to: Vec<_> = conns.collect();
        self.untold += to.len();
        self.news.push(News { to, msg_id, data: message.encode_to_vec() });
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
