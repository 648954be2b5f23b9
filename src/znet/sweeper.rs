//! The sweeper: one coroutine a server that reads the clock and finds idle, stalled and slow peers. No timer a
//! connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::Connection;
use super::core::Core;
use super::read_deadline::Over;
use super::tidying::Tidying;
use crate::green::Event;
use crate::ziface::CloseReason;

/// Sweeps until `end` is set.
pub(crate) fn sweep_until(core: &Core, end: &Event) {
    let (period, mut tidying) = (period(core), Tidying::new());
    while !end.wait_timeout(period) {
        let now = core.clock().tick();
        core.manager().each(|conn| {
            check(core, conn, now);
            if let Some(heart) = core.heart() {
                heart.check(conn, now, || !is_not_read(conn, true));
            }
            true
        });
        tidying.look(core);
    }
}

/// An eighth of the shortest timeout, so that none is missed by more, within 5 ms and 1 s.
fn period(core: &Core) -> Duration {
    let config = core.config();
    let timeouts = [
        core.first_frame_timeout_ms(),
        config.frame_timeout_ms,
        config.idle_timeout_ms,
        config.write_timeout_ms,
    ];
    let shortest = timeouts.into_iter().filter(|&ms| ms > 0).min().unwrap_or(u64::MAX);
    let by_timeouts = Duration::from_millis((shortest / 8).clamp(5, 1000));
    core.heart().map_or(by_timeouts, |heart| by_timeouts.min(heart.period().max(Duration::from_millis(5))))
}

fn check(core: &Core, conn: &Connection, now: u64) {
    let config = core.config();
    if is_stuck(conn, config.write_timeout_ms, now) {
        if !conn.lose_peer(CloseReason::SlowReader) {
            conn.abort_because(CloseReason::SlowReader);
        }
        return;
    }
    let times = conn.times();
    let first = times.first_frame.load(Ordering::Relaxed);
    let frame = times.frame.load(Ordering::Relaxed);
    let active = times.active.load(Ordering::Relaxed);
    let deadline = conn.is_read_deadline_over(now);
    let reason = if is_over(first, core.first_frame_timeout_ms(), now) {
        CloseReason::FirstFrameTimeout
    } else if is_over(frame, config.frame_timeout_ms, now) {
        CloseReason::FrameTimeout
    } else if is_over(active, config.idle_timeout_ms, now) {
        CloseReason::IdleTimeout
    } else if deadline != Over::No {
        CloseReason::ReadDeadline
    } else {
        return;
    };
    // What comes after the last read is left in the socket: it has not come in time.
    if is_not_read(conn, deadline != Over::LastRead) || conn.is_stopping() {
        return;
    }
    if reason == CloseReason::IdleTimeout && core.hooks().idle.is_some() {
        conn.ask_idle();
    } else if reason == CloseReason::ReadDeadline || !conn.lose_peer(reason.clone()) {
        conn.stop_because(reason);
    }
}

/// Whether nothing leaves for a full socket any more. The last word has the socket itself: it may take more long before it
/// tells, which is when a third of its buffer is free.
fn is_stuck(conn: &Connection, timeout_ms: u64, now: u64) -> bool {
    let is_stuck = || is_over(conn.outbox().lock().blocked_since(), timeout_ms, now);
    is_stuck() && {
        conn.flush_or_defer();
        is_stuck()
    }
}

/// While a handler runs, or what is sent waits for the peer, nothing is read: what is missing may have come long ago. So
/// it may on a machine too busy to read what waits in the socket, which counts where `will_read`. A peer for whom a worker
/// has yet to answer may well be silent.
fn is_not_read(conn: &Connection, will_read: bool) -> bool {
    let (held_up, socket) = {
        let state = conn.outbox().lock();
        (!state.is_watched() || state.holds_back_reading(), state.socket())
    };
    let has_unread = || will_read && socket.is_some_and(|socket| socket.is_readable());
    held_up || conn.tasks().are_pending() || has_unread()
}

/// Whether `since`, where it is not 0, is longer than `timeout_ms` ago, where that is not 0.
const fn is_over(since: u64, timeout_ms: u64, now: u64) -> bool {
    since != 0 && timeout_ms != 0 && now.saturating_sub(since) >= timeout_ms
}
