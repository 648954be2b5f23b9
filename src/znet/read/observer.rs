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
    notes: Option<(&'a Position, Timer<'a>)>,
}

/// Times handlers. To read the clock for each message would cost more than many handlers do: those that do not wait are timed
/// together, some at a time, and each counts with the mean.
struct Timer<'a> {
    routes: &'a RouteStats,
    batch: Option<Batch<'a>>,
}

/// Messages of one route that are timed together.
struct Batch<'a> {
    msg_id: u32,
    stat: &'a RouteStat,
    begun: Instant,
    handled: u32,
    /// The turns of this thread, and how many there were when it began: once there are more, a handler has waited.
    turns: Option<&'static AtomicU64>,
    before: u64,
}

impl Batch<'_> {
    #[inline]
    fn has_waited(&self) -> bool {
        self.turns.is_some_and(|turns| turns.load(Ordering::Relaxed) != self.before)
    }
}

impl<'a> Observer<'a> {
    pub(super) fn new(conn: &'a Connection) -> Self {
        let timer = |routes| Timer { routes, batch: None };
        let routes = conn.core().route_stats().map(timer);
        let notes = conn.notes().position().zip(routes).filter(|_| conn.tasks().worker().is_none());
        Self { conn, notes }
    }

    /// The next message goes to its handler.
    #[inline]
    pub(super) fn handles(&mut self, msg_id: u32) {
        if let Some((position, timer)) = &mut self.notes {
            position.handles(msg_id);
            timer.begin(msg_id, self.conn);
        }
    }

    /// Its handler has returned.
    #[inline]
    pub(super) fn handled(&mut self) {
        if let Some((_, timer)) = &mut self.notes {
            timer.count(self.conn);
        }
    }

    /// One read has brought so much, and all of it has been handled.
    pub(super) fn passed(&mut self, bytes: usize, messages: usize) {
        self.conn.count_in(bytes, messages);
        if let Some((_, timer)) = &mut self.notes {
            timer.end(self.conn);
        }
    }

    /// The ride ends.
    pub(super) fn rests(&mut self) {
        if let Some((position, timer)) = &mut self.notes {
            position.rests();
            timer.end(self.conn);
        }
    }
}

impl<'a> Timer<'a> {
    #[inline]
    fn begin(&mut self, msg_id: u32, conn: &Connection) {
        if self.batch.as_ref().is_some_and(|batch| batch.msg_id == msg_id) {
            return;
        }
        self.end(conn);
        let (stat, turns) = (self.routes.of(msg_id), turns_here());
        let before = turns.map_or(0, |turns| turns.load(Ordering::Relaxed));
        self.batch = Some(Batch { msg_id, stat, begun: Instant::now(), handled: 0, turns, before });
    }

    #[inline]
    fn count(&mut self, conn: &Connection) {
        let Some(batch) = &mut self.batch else { return };
        batch.handled += 1;
        if batch.handled >= TOGETHER || batch.has_waited() {
            self.end(conn);
        }
    }

    fn end(&mut self, conn: &Connection) {
        let Some(batch) = self.batch.take() else { return };
        let (took, count) = (batch.begun.elapsed(), batch.handled);
        if count == 0 {
            return;
        }
        let took = if !batch.has_waited() {
            batch.stat.record(took / count, count.into());
            took / count
        } else {
            // The last has waited: it took the time.
            batch.stat.record(took, 1);
            batch.stat.record(Duration::ZERO, u64::from(count) - 1);
            took
        };
        let ended = conn.core().clock().now();
        self.routes.note_slow(Slow { conn_id: conn.id(), msg_id: batch.msg_id, took, ended });
    }
}

/// Messages that are timed together at most.
const TOGETHER: u32 = 64;
