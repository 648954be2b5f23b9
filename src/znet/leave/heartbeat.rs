//! The heartbeat: the sweeper sends it, and finds those that stay silent.

use super::beat::{Heart, OwnBeat, millis};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::green::contain;
use crate::log_line::{Shown, throttled};
use crate::ziface::{
    CloseReason, HEART_BEAT_DEFAULT_MSG_ID, HeartBeat, HeartBeatDirection, HeartBeatOption, IConnection,
    IMsgHandler, IRequest,
};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;

impl Core {
    /// Sets the heartbeat up, once, before the start.
    pub(crate) fn start_heart_beat(&self, interval: Duration, mut option: HeartBeatOption) -> Result<()> {
        if self.heart().is_some() {
            return Err(Error::AlreadyStarted { what: "start a second heartbeat" });
        }
        let msg_id = option.msg_id.unwrap_or(HEART_BEAT_DEFAULT_MSG_ID);
        let router = option.router.take().unwrap_or_else(|| Box::new(|_: &dyn IRequest| Ok(())));
        self.handler().add_router(msg_id, router)?;
        let interval = interval.max(SHORTEST);
        let heart = Heart { msg_id, interval, limit: AtomicU64::new(0), option };
        heart.configure(self.config().heartbeat_max);
        self.set_heart(heart);
        Ok(())
    }
}

/// The silence after which a peer is not alive.
fn limit(interval: Duration, option: &HeartBeatOption, heartbeat_max: u64) -> Option<Duration> {
    let by_config =
        (heartbeat_max > 0).then(|| Duration::from_secs(heartbeat_max).max(interval.saturating_mul(2)));
    let by_misses = option.misses.map(|misses| interval.saturating_mul(misses.max(1)));
    (option.direction != HeartBeatDirection::SendOnly).then_some(by_misses.or(by_config)).flatten()
}

impl Heart {
    pub(crate) fn beat(&self) -> HeartBeat {
        let limit = self.limit.load(Ordering::Relaxed);
        let limit = (limit > 0).then(|| Duration::from_millis(limit));
        HeartBeat { msg_id: self.msg_id, interval: self.interval, limit }
    }

    /// Goes by this `HeartbeatMax` from now on.
    pub(crate) fn configure(&self, heartbeat_max: u64) {
        let limit = limit(self.interval, &self.option, heartbeat_max);
        self.limit.store(limit.map_or(0, |limit| millis(limit).max(1)), Ordering::Relaxed);
    }

    /// How often connections must be looked at to find a silent one in time.
    pub(crate) fn period(&self) -> Duration {
        (self.interval / 8).min(LONGEST_PERIOD)
    }

    /// Sends what is due, and asks what is to become of a silent peer. `now` in milliseconds, as the times; `readable`:
    /// what the peer sends is being read.
    pub(crate) fn check(&self, shared: &Arc<dyn IConnection>, now: u64, readable: impl Fn() -> bool) {
        let conn = shared.connection();
        let is_away = conn.is_away();
        // A server that has been asked to resume has a socket again, and may be silent on it.
        if conn.is_stopping() || (is_away && !conn.is_unanswered()) {
            return;
        }
        if self.is_silent(conn, now) && readable() {
            return conn.ask(Asked::NOT_ALIVE);
        }
        if is_away {
            return;
        }
        if self.option.direction != HeartBeatDirection::WatchOnly && self.is_due(conn, now) {
            self.send(shared);
        }
    }

    /// Whether a heartbeat is due, and notes when it was: whole intervals after the one before, however late this looks.
    /// Of several that were missed, one is sent.
    fn is_due(&self, conn: &Connection, now: u64) -> bool {
        let interval = own(conn, OwnBeat::interval).unwrap_or_else(|| millis(self.interval)).max(1);
        let before = conn.times().beat.load(Ordering::Relaxed);
        let intervals = now.saturating_sub(before) / interval;
        if intervals > 0 {
            conn.times().beat.store(before + intervals * interval, Ordering::Relaxed);
        }
        intervals > 0
    }

    /// Times are as old as the look at the clock before them: with a period more, no peer is called silent early.
    fn is_silent(&self, conn: &Connection, now: u64) -> bool {
        let since = now.saturating_sub(conn.times().active.load(Ordering::Relaxed));
        let limit = own(conn, OwnBeat::limit)
            .or_else(|| Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit > 0));
        limit.is_some_and(|limit| since >= limit.saturating_add(millis(self.period())))
    }

    fn send(&self, shared: &Arc<dyn IConnection>) {
        let conn = shared.connection();
        let beat = || match (&self.option.heart_beat_func, &self.option.make_msg) {
            (Some(beat), _) => beat(shared),
            (None, Some(make)) => shared.try_send_msg(self.msg_id, make(shared)),
            (None, None) => {
                let (local, remote) = (shared.get_local_addr(), shared.get_remote_addr());
                shared.try_send_msg(self.msg_id, format!("heartbeat [{local}->{remote}]"))
            }
        };
        let sent = contain(|| {
            // A queue that is full says as much as a heartbeat.
            beat().unwrap_or_else(|error| {
                log::debug!("connection {conn}: no heartbeat sent: {}", Shown(&error))
            });
        });
        if let Err(words) = sent {
            let core = conn.core();
            core.counters.hook_panics.add();
            throttled!(error, core.hook_log, "connection {conn}: the heartbeat panicked: {words}");
        }
    }
}

impl dyn IConnection {
    /// Gives this connection another heartbeat than its server, or client, has for all: another interval, and another
    /// silence after which its peer is not alive (`None`: it always is). It may be changed again at any time. Looked after
    /// as often as the others', so an interval shorter than an eighth of theirs, or than 400 ms if that is less, is as long as
    /// that.
    ///
    /// `false` if no heartbeat was set up before the start: then none is sent here either.
    #[doc(alias = "SetHeartBeat")]
    pub fn set_heart_beat(&self, interval: Duration, limit: Option<Duration>) -> bool {
        let conn = self.connection();
        let own = &conn.make_on_demand().own_beat;
        own.interval.store(millis(interval).max(1), Ordering::Relaxed);
        own.limit.store(limit.map_or(u64::MAX, |limit| millis(limit).max(1)), Ordering::Relaxed);
        conn.core().heart().is_some()
    }
}

impl Connection {
    /// The peer has been silent for too long, unless something has come since. Runs in the reader coroutine.
    pub(crate) fn not_alive(&self) {
        let now = self.core().clock().now();
        let Some(heart) = self.core().heart().filter(|heart| heart.is_silent(self, now)) else { return };
        match &heart.option.on_remote_not_alive {
            None if self.lose_peer(CloseReason::HeartbeatLost) => {}
            None => self.abort_because(CloseReason::HeartbeatLost),
            Some(hook) => {
                self.contain("not-alive hook", || hook(&(self.arc() as Arc<dyn IConnection>)));
                self.times().active.store(self.core().clock().now(), Ordering::Relaxed);
            }
        }
    }
}

fn own(conn: &Connection, part: impl FnOnce(&OwnBeat) -> Option<u64>) -> Option<u64> {
    part(&conn.on_demand()?.own_beat)
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST_PERIOD: Duration = Duration::from_millis(400);
