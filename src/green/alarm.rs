//! Alarms: a deadline for a coroutine that waits on a socket, where a wait in epoll has none of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::Event;
use super::greenlet::Builder;
use super::socket::Socket;

/// Interrupts `socket` at `deadline`, unless it is closed by then. Whoever is interrupted looks at the clock: an alarm
/// set for a wait that has ended goes off all the same.
pub(crate) fn set_alarm(socket: &Arc<Socket>, deadline: Instant) {
    let earliest = {
        let mut alarms = ALARMS.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = alarms.peek().is_none_or(|Reverse(next)| deadline < next.deadline);
        alarms.push(Reverse(Alarm { deadline, socket: Arc::downgrade(socket) }));
        earliest
    };
    if earliest {
        CHANGED.set();
    }
}

/// Starts the coroutine that rings the alarms. Called once, when the runtime starts.
pub(super) fn start_alarms() -> std::io::Result<()> {
    Builder::new().name("alarms").detach(|| {
        loop {
            CHANGED.clear();
            match ring_due() {
                Some(next) => {
                    CHANGED.wait_timeout(next.saturating_duration_since(Instant::now()));
                }
                None => CHANGED.wait(),
            }
        }
    })
}

/// Rings what is due; returns when the next is.
fn ring_due() -> Option<Instant> {
    let now = Instant::now();
    loop {
        let due = {
            let mut alarms = ALARMS.lock().unwrap_or_else(PoisonError::into_inner);
            let next = alarms.peek()?.0.deadline;
            if next > now {
                return Some(next);
            }
            alarms.pop()?
        };
        if let Some(socket) = due.0.socket.upgrade() {
            socket.interrupt();
        }
    }
}

struct Alarm {
    deadline: Instant,
    socket: Weak<Socket>,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

static ALARMS: Mutex<BinaryHeap<Reverse<Alarm>>> = Mutex::new(BinaryHeap::new());
static CHANGED: Event = Event::new();
