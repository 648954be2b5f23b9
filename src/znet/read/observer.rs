//! What the reader notes for those who look from outside; nothing if nobody can.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::green::turns_here;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Position;
use crate::znet::route::route_stats::{RouteStat, RouteStats, Slow};

/// Notes what one ride of a connection does. Without an admin plane, each call is one look at nothing.
pub(super) struct Observer<'a> {
    conn: &'a Connection,
    /// `None` also if a worker handles what is read: then it notes that itself.
    timer: Option<Timer<'a>>,
}

/// Times handlers. To read the clock for each message would cost more than many handlers do: those that do not wait are timed
/// together, some at a time, and each counts with the mean.
struct Timer<'a> {
    position: &'a Position,
    routes: &'a RouteStats,
    /// The message id of those that are timed together; [`NONE`] between two batches.
    msg_id: u64,
    stat: &'a RouteStat,
    begun: Option<Instant>,
    /// How many more may be timed together.
    room: u32,
    /// The turns of this thread, and how many there were when the batch began: once there are more, a handler has waited.
    turns: &'static AtomicU64,
    before: u64,
}

impl<'a> Observer<'a> {
    pub(super) fn new(conn: &'a Connection) -> Self {
        let notes = conn.notes().position().zip(conn.core().route_stats());
        let notes = notes.filter(|_| conn.tasks().worker().is_none());
        Self { conn, timer: notes.map(|(position, routes)| Timer::new(position, routes)) }
    }

    /// The next message goes to its handler.
    #[inline]
    pub(super) fn handles(&mut self, msg_id: u32) {
        if let Some(timer) = &mut self.timer {
            timer.begin(msg_id, self.conn);
        }
    }

    /// Its handler has returned.
    #[inline]
    pub(super) fn handled(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.count(self.conn);
        }
    }

    /// One read has brought so much, and all of it has been handled.
    pub(super) fn passed(&mut self, bytes: usize, messages: usize) {
        self.conn.count_in(bytes, messages);
        if let Some(timer) = &mut self.timer {
            timer.end(self.conn);
        }
    }

    /// The ride ends.
    pub(super) fn rests(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.position.rests();
            timer.end(self.conn);
        }
    }
}

impl<'a> Timer<'a> {
    fn new(position: &'a Position, routes: &'a RouteStats) -> Self {
        let (stat, turns) = (routes.unknown(), &NO_TURNS);
        Self { position, routes, msg_id: NONE, stat, begun: None, room: 0, turns, before: 0 }
    }

    #[inline]
    fn begin(&mut self, msg_id: u32, conn: &Connection) {
        if self.msg_id != u64::from(msg_id) {
            self.end(conn);
            self.begin_batch(msg_id);
        }
    }

    fn begin_batch(&mut self, msg_id: u32) {
        self.position.handles(msg_id);
        (self.msg_id, self.stat, self.room) = (msg_id.into(), self.routes.of(msg_id), TOGETHER);
        self.turns = turns_here().unwrap_or(&NO_TURNS);
        self.before = self.turns.load(Ordering::Relaxed);
        self.begun = Some(Instant::now());
    }

    #[inline]
    fn count(&mut self, conn: &Connection) {
        self.room = self.room.saturating_sub(1);
        if self.room == 0 || self.has_waited() {
            self.end(conn);
        }
    }

    #[inline]
    fn has_waited(&self) -> bool {
        self.turns.load(Ordering::Relaxed) != self.before
    }

    fn end(&mut self, conn: &Connection) {
        let count = TOGETHER - self.room;
        let Ok(msg_id) = u32::try_from(std::mem::replace(&mut self.msg_id, NONE)) else { return };
        if count == 0 {
            return;
        }
        let took = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let took = if !self.has_waited() {
            self.stat.record_together(took, count.into())
        } else {
            // The last has waited: it took the time.
            self.stat.record(took, 1);
            self.stat.record(Duration::ZERO, u64::from(count) - 1);
            took
        };
        let ended = conn.core().clock().now();
        self.routes.note_slow(Slow { conn_id: conn.id(), msg_id, took, ended });
    }
}

/// No message id.
const NONE: u64 = u64::MAX;

/// Of a thread that counts none.
static NO_TURNS: AtomicU64 = AtomicU64::new(0);

/// Messages that are timed together at most.
const TOGETHER: u32 = 64;
