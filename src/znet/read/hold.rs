//! Holding what comes from the peer: while there is no room for it, nothing is read.

use std::time::Duration;

use super::held::{Granted, LOOK_AGAIN};
use crate::error::{Error, Result};
use crate::green::{Readiness, Until, is_unwinding, sleep};
use crate::ziface::CloseReason;
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::Whom;
use crate::znet::write::ledger::Kind;

/// Sets how much is held of what has begun to arrive; while there is no room, waits, and so does not read. In the
/// connection's own coroutine only.
///
/// # Errors
///
/// [`Error::ConnectionClosed`] if the connection closes meanwhile, for example because it has waited too long.
pub(crate) fn hold_arriving(conn: &Connection, bytes: usize) -> Result<()> {
    conn.hold(Kind::Arriving, |_| bytes)
}

impl Connection {
    /// As [`hold_arriving`](Self::hold_arriving), for one more message that is kept for later.
    pub(crate) fn hold_kept(&self, payload: usize) -> Result<()> {
        self.hold(Kind::Replay, |bytes| bytes + payload + MESSAGE_BYTES)
    }

    /// As [`hold_kept`](Self::hold_kept), if there is room, without waiting.
    pub(crate) fn hold_put_back(&self, payload: usize) {
        let (more, ledger) = (payload + MESSAGE_BYTES, &self.core().bounds().ledger);
        self.make_on_demand().held.set(ledger, Kind::Replay, |bytes| bytes + more);
    }

    /// Gives back what a message kept has held.
    pub(crate) fn let_kept_go(&self, payload: usize) {
        self.let_go(Kind::Replay, payload + MESSAGE_BYTES);
    }

    /// Gives back what has begun to arrive: its stream has ended.
    pub(crate) fn let_arriving_go(&self) {
        self.let_go(Kind::Arriving, usize::MAX);
    }

    /// Holds one more request until it is handled, without waiting. `false` if there is no room. Requests of all
    /// connections may take half of the bound: no peer is disconnected for them, because they go only when a worker comes to
    /// them.
    pub(crate) fn hold_task(&self, payload: usize) -> bool {
        let (more, ledger) = (payload + MESSAGE_BYTES, &self.core().bounds().ledger);
        let add = || self.make_on_demand().held.set(ledger, Kind::Tasks, |bytes| bytes + more);
        let has_room = || ledger.held().tasks <= ledger.most() / 2 && add();
        has_room() || (self.core().make_room(more, Whom::Stuck).is_now() && !self.is_aborted() && has_room())
    }

    /// Gives back what a request has held that waits no more.
    pub(crate) fn let_task_go(&self, payload: usize) {
        self.let_go(Kind::Tasks, payload + MESSAGE_BYTES);
    }

    /// Gives back what has held so many bytes.
    pub(crate) fn let_go(&self, kind: Kind, less: usize) {
        if let Some(on_demand) = self.on_demand() {
            on_demand.held.set(&self.core().bounds().ledger, kind, |bytes| bytes.saturating_sub(less));
        }
    }

    fn hold(&self, kind: Kind, to: impl Fn(usize) -> usize) -> Result<()> {
        let (ledger, held) = (&self.core().bounds().ledger, &self.make_on_demand().held);
        let mut end = None;
        loop {
            let (mut before, mut after) = (0, 0);
            let covered = held.set(ledger, kind, |bytes| {
                (before, after) = (bytes, to(bytes));
                after
            });
            if covered {
                return Ok(());
            }
            let (first, last) = *end.get_or_insert_with(|| {
                [1, 3].map(|times| Until::after_running(times * WAIT_FOR_ROOM)).into()
            });
            let of = if first.is_over() { Whom::Anybody } else { Whom::Stuck };
            let has_room = self.core().make_room(after.saturating_sub(before), of).is_now();
            if has_room && !self.is_stopping() {
                continue;
            }
            if self.is_stopping() || is_unwinding() {
                return Err(Error::ConnectionClosed);
            }
            if last.is_over() {
                self.core().counters.evicted.add();
                self.stop_because(CloseReason::HeldTooMuch {
                    held: self.bytes_granted(),
                    max: ledger.most(),
                });
                return Err(Error::ConnectionClosed);
            }
            self.wait_a_moment();
        }
    }

    /// Waits for a moment, or until the connection is asked for something.
    pub(crate) fn wait_a_moment(&self) {
        // Without a socket, while the peer is away, nothing interrupts it.
        let Some(transport) = self.line().get() else { return sleep(LOOK_AGAIN) };
        let _alarm = Until::after(LOOK_AGAIN).end().map(|end| transport.alarm(end));
        transport.wait(Readiness::INTERRUPT);
    }

    /// What is granted beside the queue.
    pub(crate) fn granted_beside(&self) -> Granted {
        self.on_demand().map_or_else(Granted::default, |on_demand| on_demand.held.granted())
    }

    /// All that is granted to this connection.
    pub(crate) fn bytes_granted(&self) -> usize {
        let state = self.outbox().lock();
        let sent = state.granted_queued() + state.granted_resume();
        drop(state);
        let Granted { kept, arriving, tasks, waiting } = self.granted_beside();
        sent + kept + arriving + tasks + waiting
    }

    /// Gives back all that came from the peer: the connection is closed.
    pub(crate) fn let_all_go(&self) {
        if let Some(on_demand) = self.on_demand() {
            on_demand.held.give_back(&self.core().bounds().ledger);
        }
    }
}

/// What a message takes beside its payload.
const MESSAGE_BYTES: usize = 128;

/// How long a peer is not read from for want of room before another, whose frames still arrive, is disconnected for it.
/// After three times as long it is disconnected itself.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(1);
