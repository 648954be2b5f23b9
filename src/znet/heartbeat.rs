//! The heartbeat: the sweeper sends it, and finds those that stay silent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::Connection;
use super::core::Core;
use crate::error::{Error, Result};
use crate::green::Panicked;
use crate::ziface::{
    CloseReason, HEART_BEAT_DEFAULT_MSG_ID, HeartBeat, HeartBeatDirection, HeartBeatOption, IConnection,
    IMsgHandler, IRequest,
};

/// The heartbeat of all connections of a server or of a client.
pub(crate) struct Heart {
    beat: HeartBeat,
    option: HeartBeatOption,
}

impl Core {
    /// Sets the heartbeat up, once, before the start.
    pub(super) fn start_heart_beat(&self, interval: Duration, mut option: HeartBeatOption) -> Result<()> {
        if self.heart().is_some() {
            return Err(Error::AlreadyStarted { what: "start a second heartbeat" });
        }
        let msg_id = option.msg_id.unwrap_or(HEART_BEAT_DEFAULT_MSG_ID);
        let router = option.router.take().unwrap_or_else(|| Box::new(|_: &dyn IRequest| Ok(())));
        self.handler().add_router(msg_id, router)?;
        let interval = interval.max(SHORTEST);
        let limit = limit(interval, &option, self.config().heartbeat_max);
        self.set_heart(Heart { beat: HeartBeat { msg_id, interval, limit }, option });
        Ok(())
    }
}

/// The silence after which a peer is not alive.
fn limit(interval: Duration, option: &HeartBeatOption, heartbeat_max: u64) -> Option<Duration> {
    let by_config = (heartbeat_max > 0).then(|| Duration::from_secs(heartbeat_max).max(interval * 2));
    let by_misses = option.misses.map(|misses| interval.saturating_mul(misses.max(1)));
    (option.direction != HeartBeatDirection::SendOnly).then_some(by_misses.or(by_config)).flatten()
}

impl Heart {
    pub(super) const fn beat(&self) -> &HeartBeat {
        &self.beat
    }

    /// How often connections must be looked at to find a silent one in time.
    pub(super) fn period(&self) -> Duration {
        (self.beat.interval / 8).min(LONGEST_PERIOD)
    }

    /// Sends what is due, and asks what is to become of a silent peer. `now` in milliseconds, as the times; `readable`:
    /// what the peer sends is being read.
    pub(super) fn check(&self, conn: &Arc<Connection>, now: u64, readable: impl Fn() -> bool) {
        if conn.is_stopping() {
            return;
        }
        if self.is_silent(conn, now) && readable() {
            return conn.ask_not_alive();
        }
        let times = conn.times();
        let beaten = times.beat.load(Ordering::Relaxed);
        if self.option.direction != HeartBeatDirection::WatchOnly
            && now.saturating_sub(beaten) >= millis(self.beat.interval)
        {
            times.beat.store(now, Ordering::Relaxed);
            self.send(conn);
        }
    }

    /// Times are as old as the look at the clock before them: a period more, and nobody is called silent early.
    fn is_silent(&self, conn: &Connection, now: u64) -> bool {
        let since = now.saturating_sub(conn.times().active.load(Ordering::Relaxed));
        self.beat.limit.is_some_and(|limit| since >= millis(limit + self.period()))
    }

    fn send(&self, conn: &Arc<Connection>) {
        let shared = Arc::clone(conn) as Arc<dyn IConnection>;
        let sent =
            catch_unwind(AssertUnwindSafe(|| match (&self.option.heart_beat_func, &self.option.make_msg) {
                (Some(beat), _) => beat(&shared),
                (None, Some(make)) => shared.try_send_msg(self.beat.msg_id, make(&shared)),
                (None, None) => {
                    let (local, remote) = (shared.get_local_addr(), shared.get_remote_addr());
                    shared.try_send_msg(self.beat.msg_id, format!("heartbeat [{local}->{remote}]"))
                }
            }));
        match sent {
            Ok(Ok(())) => {}
            // A queue that is full says as much as a heartbeat.
            Ok(Err(error)) => log::debug!("connection {conn}: heartbeat: {error}"),
            Err(payload) => {
                conn.core().counters.hook_panics.add();
                log::error!("connection {conn}: heartbeat panicked: {}", Panicked::new(payload));
            }
        }
    }
}

impl Connection {
    /// The peer has been silent for too long, unless something has come since. Runs in the reader coroutine.
    pub(super) fn not_alive(&self) {
        let now = self.core().clock().now();
        let Some(heart) = self.core().heart().filter(|heart| heart.is_silent(self, now)) else { return };
        match &heart.option.on_remote_not_alive {
            None => self.abort_because(CloseReason::HeartbeatLost),
            Some(hook) => {
                // The hook may wait: someone else has to watch the socket meanwhile.
                self.outbox().lock().set_busy(true);
                self.contain("not-alive", || hook(&(self.arc() as Arc<dyn IConnection>)));
                self.times().active.store(self.core().clock().now(), Ordering::Relaxed);
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST_PERIOD: Duration = Duration::from_millis(400);
