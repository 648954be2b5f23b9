//! One connection: the messages that are on their way, and those that are to go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zinx::green;

use super::Order;
use super::tally::Tally;

pub(super) struct Lane {
    pub(super) tally: Arc<Tally>,
    number: u32,
    connections: u32,
    /// Messages per second on all connections, in an open loop.
    rate: Option<u32>,
    way: Mutex<Way>,
}

#[derive(Default)]
struct Way {
    /// When each message that is on its way was due, the oldest first.
    due: VecDeque<Instant>,
    /// When the open loop began, and the number of its next message.
    begun: Option<Instant>,
    next: u64,
}

impl Lane {
    pub(super) fn new(tally: Arc<Tally>, number: u32, order: &Order) -> Self {
        Self { tally, number, connections: order.connections, rate: order.rate, way: Mutex::default() }
    }

    /// Notes messages that are about to be sent.
    pub(super) fn send(&self, count: usize, due: Instant) {
        self.way().due.extend(std::iter::repeat_n(due, count));
    }

    /// Counts answers that have come; those without a message do not count.
    pub(super) fn answered(&self, count: usize) {
        let mut way = self.way();
        let count = count.min(way.due.len());
        self.tally.note(self.number, way.due.drain(..count), Instant::now());
    }

    /// Counts what was due in an open loop and is not answered as if it were answered now, also what could not be sent; returns how
    /// much that is. In a closed loop, what is on its way at the end is as much as at the beginning.
    pub(super) fn give_up(&self) -> u64 {
        if self.rate.is_none() {
            return 0;
        }
        let (now, mut way) = (Instant::now(), self.way());
        let mut noted = self.tally.note(self.number, way.due.drain(..), now);
        // Bit by bit: there may be more of them than memory.
        while self.fill(&mut way, now) > 0 {
            noted += self.tally.note(self.number, way.due.drain(..), now);
        }
        noted
    }

    /// Sends by `send` what the open loop wants, until the end.
    pub(super) fn keep_pace<E>(&self, mut send: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        self.way().begun = Some(Instant::now());
        while !self.tally.is_over() {
            let now = Instant::now();
            let (count, wait) = {
                let mut way = self.way();
                let count = self.fill(&mut way, now);
                let next = self.due_at(&way, way.next);
                (count, next.map_or(LOOK_EVERY, |next| next.saturating_duration_since(now).min(LOOK_EVERY)))
            };
            match count {
                0 => green::sleep(wait),
                count => send(count)?,
            }
        }
        Ok(())
    }

    /// Adds the messages that are due by now; at most as many as fit one go.
    fn fill(&self, way: &mut Way, now: Instant) -> usize {
        let first = way.next;
        while let Some(due) = self.due_at(way, way.next)
            && due <= now
            && way.next - first < MOST_AT_ONCE
        {
            way.due.push_back(due);
            way.next += 1;
        }
        (way.next - first) as usize
    }

    /// When a message is due: those of all connections take turns.
    fn due_at(&self, way: &Way, number: u64) -> Option<Instant> {
        let place = number * u64::from(self.connections) + u64::from(self.number);
        way.begun?.checked_add(Duration::from_secs_f64(place as f64 / f64::from(self.rate?)))
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often to look whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const MOST_AT_ONCE: u64 = 1000;
