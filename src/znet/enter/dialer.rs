//! The dialer coroutine: from host and port to a connection, which it then runs itself, and again if that is wanted.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

#[cfg(feature = "kcp")]
use super::kcp_dial::KcpDial;
use super::place::Place;
use super::target::{Shaking, Target};
use crate::error::{Error, Result};
use crate::green::{Builder, Connector, Event, PutError, Queue, Until};
use crate::lock::Lock;
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::addresses::Addresses;
use crate::znet::conn::connection::Connection;
use crate::znet::read::rider::Rider;
use crate::znet::server::core::Core;
use crate::znet::server::talk::Redial;
use crate::znet::transport::Transport;

/// How a client connects again. Pauses double from the first to the longest, and each is shortened by a random part,
/// at most a half, so that clients that were cut off together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The pause after the first failure. Default 100 ms.
    pub first_pause: Duration,
    /// The longest pause. Default 30 s. A connection that holds as long begins the count of failures again.
    pub longest_pause: Duration,
    /// After how many failures in a row, lost connections included, the client gives up and stops. Default 0: never.
    pub attempts: u32,
}

impl Default for Reconnect {
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(100), Duration::from_secs(30));
        Self { first_pause, longest_pause, attempts: 0 }
    }
}

impl Reconnect {
    /// The pause after the `failures`-th failure in a row, counted from 1; `None` if it gives up.
    fn pause(&self, failures: u32) -> Option<Duration> {
        if self.attempts != 0 && failures >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(30));
        let whole = doubled.min(self.longest_pause);
        Some(whole - whole.mul_f64(random() / 2.0))
    }
}

/// Makes a client's connections, one after the other.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    connector: Connector,
    target: Target,
    shaking: Shaking,
    errors: Queue<Error>,
    state: Lock<State>,
    /// Set while there is a connection.
    connected: Event,
    /// Set once the first attempt is over.
    tried: Event,
    /// Ends a pause.
    wake: Event,
}

struct State {
    timeout: Duration,
    reconnect: Option<Reconnect>,
    conn: Option<Arc<Connection>>,
    next_id: u64,
    /// How the first attempt ended, until [`Dialer::first_outcome`] takes it.
    first: Option<Result<()>>,
    /// A new connection is wanted at once.
    redial: bool,
    /// No further connection will be made.
    pub(super) over: bool,
}

impl Dialer {
    pub(crate) fn new(host: String, port: u16, target: Target) -> Self {
        let state = State {
            timeout: DIAL_TIMEOUT,
            reconnect: None,
            conn: None,
            next_id: 0,
            first: None,
            redial: false,
            over: false,
        };
        Self {
            host,
            port,
            connector: Connector::default(),
            target,
            shaking: Shaking::default(),
            errors: Queue::bounded(MAX_ERRORS),
            state: Lock::new(state),
            connected: Event::new(),
            tried: Event::new(),
            wake: Event::new(),
        }
    }

    /// The dialer coroutine: connects, runs the connection, and begins again as long as that is wanted.
    pub(crate) fn run(&self, core: &Arc<Core>) {
        self.target.prepare(core);
        let mut failures = 0;
        loop {
            // How long a connection has held. An attempt that fails has not, however long it took.
            let mut held = None;
            let lost = match self.connect() {
                Ok((transport, addresses)) => {
                    let since = Instant::now();
                    let lost = self.talk(core, transport, addresses);
                    held = Some(since.elapsed());
                    lost
                }
                Err(error) => self.note_failure(core, error),
            };
            if core.stopping().is_set() {
                return self.end();
            }
            if self.take_redial() {
                failures = 0;
                continue;
            }
            let Some(pause) = self.next_pause(&lost, held, &mut failures) else { break };
            self.wake.wait_timeout(pause);
            self.wake.clear();
        }
        core.stop();
    }

    fn connect(&self) -> Result<(Transport, Addresses)> {
        let timeout = self.lock().timeout;
        let until = Until::after(timeout);
        #[cfg(feature = "kcp")]
        if let Some(kcp) = &self.target.kcp {
            let found = self.connector.addresses(&self.host, self.port, until);
            let dialled = found.and_then(|addresses| kcp.dial(&addresses, until, &self.shaking));
            return dialled
                .map_err(|source| Error::io(format!("connect {}:{}, KCP", self.host, self.port), source));
        }
        let connected = self.connector.connect(&self.host, self.port, timeout).and_then(|stream| {
            // A peer that has gone already leaves no address; its connection begins and ends all the same.
            let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
            let remote = stream.peer_addr().unwrap_or(nowhere);
            let addresses = Addresses::new(stream.local_addr().unwrap_or(remote), remote);
            Ok((self.target.open(stream, until, &self.shaking)?, addresses))
        });
        connected.map_err(|source| Error::io(format!("connect {}:{}", self.host, self.port), source))
    }

    /// Runs a connection to its end; returns why it ended.
    fn talk(&self, core: &Arc<Core>, transport: Transport, addresses: Addresses) -> CloseReason {
        let place = {
            let mut state = self.lock();
            let place = match Place::take(core, state.next_id, transport, addresses) {
                Ok(place) => place,
                Err(source) => {
                    drop(state);
                    return self.note_failure(core, Error::io("start a worker", source));
                }
            };
            state.next_id += 1;
            state.conn = Some(place.conn().arc());
            // Whoever has asked for a new connection has it.
            state.redial = false;
            place
        };
        let conn = place.conn().arc();
        core.counters.accepted.add();
        if core.stopping().is_set() {
            // It came too late for the stop to find it.
            conn.stop_because(core.stop_reason().clone());
        }
        self.connected.set();
        self.note_first(Ok(()));
        if let Some(rider) = Rider::new(place, None) {
            rider.run();
        }
        self.connected.clear();
        self.lock().conn = None;
        conn.get_close_reason().unwrap_or(CloseReason::Stopped)
    }

    fn note_failure(&self, core: &Core, error: Error) -> CloseReason {
        let reason = CloseReason::Failed { error: error.to_string() };
        if core.stopping().is_set() {
            self.note_first(Err(Error::Stopped));
            return reason;
        }
        log::warn!("{error}");
        if self.lock().reconnect.is_some() {
            self.keep(error);
            self.note_first(Ok(()));
        } else {
            self.keep(Error::other(error.to_string()));
            self.note_first(Err(error));
        }
        reason
    }

    /// Keeps an error until it is asked for, in the place of the oldest if there is no room.
    fn keep(&self, mut error: Error) {
        while let Err(PutError::Full(refused)) = self.errors.try_put(error) {
            error = refused;
            drop(self.errors.try_get());
        }
    }

    fn note_first(&self, outcome: Result<()>) {
        if !self.tried.is_set() {
            self.lock().first = Some(outcome);
            self.tried.set();
        }
    }

    /// Whether a new connection is wanted at once; then the next pause is a whole one again.
    fn take_redial(&self) -> bool {
        let mut state = self.lock();
        if state.redial {
            self.wake.clear();
        }
        std::mem::take(&mut state.redial)
    }

    /// The pause before the next attempt; `None`, and the end is noted, if there is none.
    fn next_pause(&self, lost: &CloseReason, held: Option<Duration>, failures: &mut u32) -> Option<Duration> {
        let mut state = self.lock();
        let asked_for = matches!(lost, CloseReason::Stopped | CloseReason::Aborted);
        let pause = state.reconnect.filter(|_| !asked_for).and_then(|reconnect| {
            let has_held = held.is_some_and(|held| held >= reconnect.longest_pause);
            *failures = if has_held { 1 } else { failures.saturating_add(1) };
            reconnect.pause(*failures)
        });
        state.over = pause.is_none() && !state.redial;
        if state.redial { Some(Duration::ZERO) } else { pause }
    }

    fn end(&self) {
        self.lock().over = true;
        self.note_first(Err(Error::Stopped));
    }

    /// May run again.
    pub(crate) fn reset(&self) {
        self.connector.reset();
        self.shaking.reset();
        self.tried.clear();
        self.wake.clear();
        let mut state = self.lock();
        (state.first, state.redial, state.over) = (None, false, false);
    }

    /// Waits for the first attempt; returns how it ended.
    pub(crate) fn first_outcome(&self) -> Result<()> {
        self.tried.wait();
        self.lock().first.take().unwrap_or(Ok(()))
    }

    /// Ends what is waited for, so that the dialer looks whether all stops.
    pub(crate) fn call_off(&self) {
        self.connector.call_off();
        self.shaking.call_off();
        self.wake.set();
    }

    /// Asks for a new connection in place of the one there is. `false` if no further one will be made.
    pub(crate) fn redial(&self) -> bool {
        let mut state = self.lock();
        if state.over {
            return false;
        }
        state.redial = true;
        self.wake.set();
        let conn = state.conn.clone();
        drop(state);
        if let Some(conn) = conn {
            conn.stop_because(CloseReason::ClientStopped);
        }
        true
    }

    #[cfg(feature = "kcp")]
    pub(crate) fn kcp(&self) -> Option<Arc<KcpDial>> {
        self.target.kcp.clone()
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.lock().timeout = timeout;
    }

    pub(crate) fn set_reconnect(&self, reconnect: Option<Reconnect>) {
        self.lock().reconnect = reconnect;
    }

    pub(crate) const fn errors(&self) -> &Queue<Error> {
        &self.errors
    }

    pub(crate) fn conn(&self) -> Option<Arc<dyn IConnection>> {
        self.lock().conn.clone().map(|conn| conn as Arc<dyn IConnection>)
    }

    pub(crate) fn wait_connected(&self, timeout: Duration) -> Option<Arc<dyn IConnection>> {
        let until = Until::after(timeout);
        loop {
            let conn = self.conn();
            let left = until.left().unwrap_or(Duration::MAX);
            if conn.is_some() || !self.connected.wait_timeout(left) {
                return conn;
            }
        }
    }

    /// Whether the coroutine that handles the connection's messages asks.
    pub(crate) fn is_current(&self) -> bool {
        self.lock().conn.as_ref().is_some_and(|conn| conn.is_current())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Redial for Dialer {
    fn dial_again(&self) -> Option<(Transport, Addresses)> {
        let keep = |error| {
            log::warn!("{error}");
            self.keep(error);
        };
        self.connect().map_err(keep).ok()
    }

    fn resume_pause(&self, failures: u32) -> Option<Duration> {
        self.lock().reconnect.unwrap_or_default().pause(failures)
    }
}

pub(crate) fn builder() -> Builder {
    Builder::new().name("dialer").shielded()
}

/// A random number from 0 to 1; the keys of a hasher are as random as the system can make them.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Errors that are kept.
const MAX_ERRORS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_differ() {
        let reconnect = Reconnect::default();
        for (failures, whole) in [(1, 100), (2, 200), (3, 400), (9, 25_600), (10, 30_000), (u32::MAX, 30_000)]
        {
            let whole = Duration::from_millis(whole);
            let pauses: Vec<_> = (0..50).map(|_| reconnect.pause(failures).unwrap()).collect();
            assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{failures}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }

    #[test]
    fn attempts_are_counted() {
        let reconnect = Reconnect { attempts: 3, ..Reconnect::default() };
        assert!(reconnect.pause(2).is_some());
        assert_eq!(reconnect.pause(3), None);
    }
}
