//! The sweeper: reads the clock, sends the heartbeats, and finds idle, stalled and slow peers. No timer per connection.
//!
//! It looks at all connections only if one may be over a limit of time, or if there are heartbeats. Thousands that rest cost
//! nothing meanwhile.
//!
//! It is a thread, so that all that is on time also while handlers hold the workers. A server has one of its own; clients,
//! of which a program may have thousands, share one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::green::{Event, Thread};
use crate::lock::Lock;
use crate::zconf::Config;
use crate::ziface::CloseReason;
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::read::read_deadline::Over;
use crate::znet::server::core::Core;
use crate::znet::server::tidying::Tidying;

/// Sweeps the connections of a server or a client from now on.
pub(crate) fn begin(core: &Arc<Core>) -> Result<Sweeping> {
    static OF_CLIENTS: LazyLock<Arc<Sweeper>> = LazyLock::new(Arc::default);
    let is_client = *core.stop_reason() == CloseReason::ClientStopped;
    let sweeper = if is_client { Arc::clone(&OF_CLIENTS) } else { Arc::default() };
    let thread = sweeper.add(core).map_err(|source| Error::io("start the sweeper", source))?;
    Ok(Sweeping { core: Arc::clone(core), sweeper, thread: thread.filter(|_| !is_client) })
}

/// A server or client that is swept, until this is dropped.
pub(crate) struct Sweeping {
    core: Arc<Core>,
    sweeper: Arc<Sweeper>,
    /// The thread that is its own.
    thread: Option<Thread>,
}

impl Sweeping {
    /// Ends it, and the thread if that is its own.
    pub(crate) fn end(mut self) {
        let (thread, core) = (self.thread.take(), Arc::clone(&self.core));
        drop(self);
        Tidying::end(&core);
        if let Some(thread) = thread {
            thread.join_timeout(MOMENT);
        }
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.sweeper.remove(&self.core);
    }
}

/// The servers and clients that one thread sweeps.
#[derive(Default)]
struct Sweeper {
    state: Lock<State>,
    changed: Event,
}

#[derive(Default)]
struct State {
    swept: Vec<Arc<Swept>>,
    /// Whether the thread runs, which ends when none is left.
    runs: bool,
}

struct Swept {
    core: Arc<Core>,
    /// In milliseconds, by what the configuration said last.
    period: AtomicU64,
    /// What the clock read at the last sweep.
    last: AtomicU64,
    /// Locked by the thread alone.
    tidying: Lock<Tidying>,
}

impl Sweeper {
    /// Returns the thread if it had to be started.
    fn add(self: &Arc<Self>, core: &Arc<Core>) -> std::io::Result<Option<Thread>> {
        let (core, tidying) = (Arc::clone(core), Lock::new(Tidying::new()));
        let period = AtomicU64::new(period(&core, &core.config()));
        let last = AtomicU64::new(core.clock().now());
        let this = Arc::clone(self);
        let mut state = self.lock();
        let started =
            if state.runs { None } else { Some(Thread::start("zinx-sweeper", move || this.sweep())?) };
        state.runs = true;
        state.swept.push(Arc::new(Swept { core, period, last, tidying }));
        drop(state);
        self.changed.set();
        Ok(started)
    }

    fn remove(&self, core: &Arc<Core>) {
        self.lock().swept.retain(|swept| !Arc::ptr_eq(&swept.core, core));
        self.changed.set();
    }

    fn sweep(&self) {
        let mut last = Instant::now();
        while let Some(all) = self.all() {
            // All as often as the shortest period asks for: it is their clocks that decide.
            let period = all.iter().map(|swept| swept.period()).min().unwrap_or(LONGEST_PERIOD);
            let left = period.saturating_sub(last.elapsed());
            if left.is_zero() {
                let late = last.elapsed().saturating_sub(period);
                last = Instant::now();
                all.iter().for_each(|swept| swept.sweep(late));
            } else {
                self.changed.wait_timeout(left);
                self.changed.clear();
            }
        }
    }

    /// `None` once none is left: then the thread ends.
    fn all(&self) -> Option<Vec<Arc<Swept>>> {
        let mut state = self.lock();
        state.runs = !state.swept.is_empty();
        state.runs.then(|| state.swept.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Swept {
    /// `late`: by how much it should have been earlier.
    fn sweep(&self, late: Duration) {
        let core = &self.core;
        let now = core.clock().tick();
        let last = self.last.swap(now, Ordering::Relaxed);
        #[cfg(feature = "admin")]
        if let Some(history) = core.history() {
            history.sweeper_lag.note(now, late);
        }
        #[cfg(not(feature = "admin"))]
        let _ = late;
        // By its own clock: of those that share a thread, one may hold it while the others wait for their turn.
        let period = self.period.load(Ordering::Relaxed);
        if now.saturating_sub(last) > period + period / 8 {
            core.manager().each(|shared| {
                shared.connection().times().catch_up(last, now);
                true
            });
        }
        if core.heart().is_some() || core.clock().is_due(now) {
            self.look_at_all(now, &core.config());
        }
        self.tidying.lock().look(core);
    }

    fn period(&self) -> Duration {
        Duration::from_millis(self.period.load(Ordering::Relaxed))
    }

    fn look_at_all(&self, now: u64, config: &Config) {
        let core = &self.core;
        // What is noted is as old as the last look at the clock, which may be by the period of before a reload. With a period more, no
        // limit ends too soon.
        let early = self.period.swap(period(core, config), Ordering::Relaxed);
        let at = now.saturating_add(shortest_timeout(core, config)).saturating_sub(early);
        // Any message begins the time in which a peer is idle.
        core.clock().begin_look(now, at, config.idle_timeout_ms > 0);
        core.manager().each(|shared| {
            let conn = shared.connection();
            let due = first_due(core, config, conn, early);
            if now >= due {
                check(core, config, conn, now, early);
            }
            core.clock().due_by(due);
            if let Some(heart) = core.heart() {
                heart.check(shared, now, || !is_not_read(conn, true));
            }
            true
        });
    }
}

/// The time between two looks, in milliseconds: an eighth of the shortest timeout, within 5 ms and 1 s. A limit is kept two of them late at
/// most: one because it is never to be early, one until the next look.
pub(super) fn period(core: &Core, config: &Config) -> u64 {
    let by_timeouts =
        Duration::from_millis(shortest_timeout(core, config) / 8).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
    let period =
        core.heart().map_or(by_timeouts, |heart| by_timeouts.min(heart.period().max(SHORTEST_PERIOD)));
    period.as_millis() as u64
}

/// In milliseconds; `u64::MAX` if there is none.
fn shortest_timeout(core: &Core, config: &Config) -> u64 {
    let timeouts = [
        core.first_frame_timeout_ms(config),
        config.frame_timeout_ms,
        config.idle_timeout_ms,
        config.write_timeout_ms,
    ];
    timeouts.into_iter().filter(|&ms| ms > 0).min().unwrap_or(u64::MAX)
}

/// When the first limit of time of a connection is over, if nothing comes or leaves until then. What is noted may have happened up to
/// `early` later than it says.
fn first_due(core: &Core, config: &Config, conn: &Connection, early: u64) -> u64 {
    let times = conn.times();
    let over = |since: u64, timeout_ms: u64| match (since, timeout_ms) {
        (0, _) | (_, 0) => u64::MAX,
        (since, timeout_ms) => since.saturating_add(timeout_ms).saturating_add(early),
    };
    [
        over(times.first_frame.load(Ordering::Relaxed), core.first_frame_timeout_ms(config)),
        over(times.frame.load(Ordering::Relaxed), config.frame_timeout_ms),
        over(times.active.load(Ordering::Relaxed), config.idle_timeout_ms),
        over(conn.outbox().lock().blocked_since(), config.write_timeout_ms),
        conn.read_deadline(),
        answer_due(core, conn),
    ]
    .into_iter()
    .fold(u64::MAX, u64::min)
}

/// By when a server has to say whether the connection is resumed; `u64::MAX` if nobody has asked.
fn answer_due(core: &Core, conn: &Connection) -> u64 {
    core.talk().redial.get().map_or(u64::MAX, |_| conn.answer_due())
}

fn check(core: &Core, config: &Config, conn: &Connection, now: u64, early: u64) {
    if now >= answer_due(core, conn) {
        // By now the server has given it up, too.
        conn.lose_peer(CloseReason::PeerClosed);
        return;
    }
    // The limits count from what is noted, which may have happened so much later.
    let then = now.saturating_sub(early);
    if is_stuck(conn, config.write_timeout_ms, then) {
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
    let reason = if is_over(first, core.first_frame_timeout_ms(config), then) {
        CloseReason::FirstFrameTimeout
    } else if is_over(frame, config.frame_timeout_ms, then) {
        CloseReason::FrameTimeout
    } else if is_over(active, config.idle_timeout_ms, then) {
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
        conn.ask(Asked::IDLE);
    } else if reason == CloseReason::ReadDeadline || !conn.lose_peer(reason.clone()) {
        conn.stop_because(reason);
    }
}

/// Whether nothing leaves for a full socket any more. The last word has the socket itself: it may take more long before it
/// tells, which is when half of what it may hold unsent has left.
fn is_stuck(conn: &Connection, timeout_ms: u64, now: u64) -> bool {
    let is_stuck = || is_over(conn.outbox().lock().blocked_since(), timeout_ms, now);
    is_stuck() && {
        conn.writer().flush_or_defer();
        is_stuck()
    }
}

/// While a handler runs, or what is sent waits for the peer, nothing is read: what is missing may have come long ago. So
/// it may on a machine too busy to read what waits in the socket, which counts where `will_read`. A peer for whom a worker
/// has yet to answer may well be silent.
fn is_not_read(conn: &Connection, will_read: bool) -> bool {
    let held_up = {
        let state = conn.outbox().lock();
        !state.is_watched() || state.holds_back_reading()
    };
    let has_unread = || will_read && conn.line().get().is_some_and(|transport| transport.has_input());
    held_up || conn.tasks().are_pending() || has_unread()
}

/// Whether `since` is longer than `timeout_ms` ago. `false` if either is 0.
const fn is_over(since: u64, timeout_ms: u64, now: u64) -> bool {
    since != 0 && timeout_ms != 0 && now.saturating_sub(since) >= timeout_ms
}

const SHORTEST_PERIOD: Duration = Duration::from_millis(5);
const LONGEST_PERIOD: Duration = Duration::from_secs(1);

/// How long the stop waits for the thread: code of the program may hold it.
const MOMENT: Duration = Duration::from_millis(500);
