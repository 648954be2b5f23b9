//! Addresses that are refused for a time, because they connect too often or their peers misbehave too often.
//!
//! Both tables are bounded: if an attacker has many addresses, the oldest entries are forgotten.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::lock::Lock;
use crate::zconf::Config;
use crate::znet::conn::addresses::network;
use crate::znet::conn::recent::Recent;

/// What addresses have done within a minute, and which are banned.
#[derive(Default)]
pub(crate) struct Bans {
    state: Lock<State>,
    /// How many are banned: a server without a ban looks at nothing else.
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    tallies: Recent<Tally>,
    banned: HashMap<IpAddr, Ban>,
    /// All bans, the first one first; those of an address that is banned no more, or again, count no more.
    order: VecDeque<(u64, IpAddr)>,
    last: u64,
}

/// What an address has done since the first of it, which is at most a minute ago.
#[derive(Clone, Copy)]
struct Tally {
    since: Instant,
    connects: usize,
    faults: usize,
}

struct Ban {
    number: u64,
    since: Instant,
    lasts: Duration,
    why: String,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    Connect,
    Fault,
}

/// A ban, as it is shown.
#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    /// For IPv6, the network.
    address: String,
    left_ms: u64,
    why: String,
}

impl Bans {
    /// How many addresses are banned. Some of the bans may be over.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether an address, or the network that counts as one, is refused now.
    pub(crate) fn is_banned(&self, from: IpAddr, now: Instant) -> bool {
        if self.len() == 0 {
            return false;
        }
        let mut state = self.state.lock();
        let Some(ban) = state.banned.get(&from) else { return false };
        let is_over = ban.is_over(now);
        if is_over {
            state.banned.remove(&from);
            self.count.store(state.banned.len(), Ordering::Relaxed);
        }
        !is_over
    }

    /// Counts one more of a kind, of which `most` may be within a minute. Returns how many there are if that bans the address.
    pub(crate) fn count(
        &self,
        strike: Strike,
        from: IpAddr,
        most: usize,
        config: &Config,
        now: Instant,
    ) -> Option<usize> {
        if self.is_banned(from, now) {
            return None;
        }
        let mut state = self.state.lock();
        let tally = state.tally(from, config.ban_addresses, now);
        let count = match strike {
            Strike::Connect => &mut tally.connects,
            Strike::Fault => &mut tally.faults,
        };
        *count += 1;
        let count = *count;
        (count > most).then_some(count)
    }

    /// Refuses it from now on.
    pub(crate) fn ban(&self, from: IpAddr, why: String, config: &Config, now: Instant) {
        let mut state = self.state.lock();
        state.last += 1;
        let ban = Ban { number: state.last, since: now, lasts: Duration::from_millis(config.ban_ms), why };
        let number = ban.number;
        state.tallies.remove(from);
        state.banned.insert(from, ban);
        state.order.push_back((number, from));
        state.forget_the_first(config.ban_addresses, now);
        self.count.store(state.banned.len(), Ordering::Relaxed);
    }

    /// Ends a ban. `false` if the address is not banned.
    #[cfg_attr(not(any(feature = "admin", test)), expect(dead_code, reason = "nobody can ask"))]
    pub(crate) fn lift(&self, address: IpAddr, now: Instant) -> bool {
        let was_banned = self.is_banned(network(address), now);
        let mut state = self.state.lock();
        state.banned.remove(&network(address));
        self.count.store(state.banned.len(), Ordering::Relaxed);
        was_banned
    }

    /// The bans that are in force, the last one first.
    #[cfg_attr(not(any(feature = "admin", test)), expect(dead_code, reason = "nobody can look"))]
    pub(crate) fn all(&self, now: Instant) -> Vec<Shown> {
        let state = self.state.lock();
        let in_force = |(number, from): &(u64, IpAddr)| {
            let ban = state.banned.get(from).filter(|ban| ban.number == *number && !ban.is_over(now))?;
            let left = ban.lasts.saturating_sub(now.saturating_duration_since(ban.since));
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            Some(Shown { address: shown(*from), left_ms, why: ban.why.clone() })
        };
        state.order.iter().rev().filter_map(in_force).collect()
    }
}

impl Ban {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.lasts
    }
}

impl State {
    fn tally(&mut self, from: IpAddr, most: usize, now: Instant) -> &mut Tally {
        let rested = Tally { since: now, connects: 0, faults: 0 };
        let tally = self.tallies.entry(from, most, || rested);
        if now.saturating_duration_since(tally.since) >= WINDOW {
            *tally = rested;
        }
        tally
    }

    /// Forgets bans that are over, and the first ones where there are more than `most`.
    fn forget_the_first(&mut self, most: usize, now: Instant) {
        while let Some((number, from)) = self.order.front().copied() {
            let ban = self.banned.get(&from).filter(|ban| ban.number == number);
            if ban.is_some_and(|ban| self.banned.len() <= most && !ban.is_over(now)) {
                return;
            }
            if ban.is_some() {
                self.banned.remove(&from);
            }
            self.order.pop_front();
        }
    }
}

/// An address, or the network that counts as one.
pub(crate) fn shown(from: IpAddr) -> String {
    if from.is_ipv6() { format!("{from}/64") } else { from.to_string() }
}

const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(most: usize) -> Config {
        let mut config = Config::default();
        (config.ban_addresses, config.ban_ms) = (most, 10_000);
        config
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn more_than_the_limit_within_a_minute_is_a_ban_for_its_time() {
        let (bans, config, begin) = (Bans::default(), config(10), Instant::now());
        let strike = |at| bans.count(Strike::Fault, address(1), 2, &config, begin + Duration::from_secs(at));
        assert_eq!([strike(0), strike(1), strike(60), strike(61)], [None; 4], "in two minutes");
        assert_eq!(strike(62), Some(3));
        bans.ban(address(1), "3 faults".to_string(), &config, begin + Duration::from_secs(62));
        let is_banned = |n, at| bans.is_banned(address(n), begin + Duration::from_secs(at));
        assert!(is_banned(1, 71) && !is_banned(2, 71));
        assert_eq!(strike(70), None, "it is banned already");
        assert!(!is_banned(1, 72) && bans.len() == 0);
        assert_eq!([strike(73), strike(73)], [None; 2], "it begins anew");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_first() {
        let (bans, config, now) = (Bans::default(), config(100), Instant::now());
        for n in 0..1000 {
            bans.count(Strike::Connect, address(n), 5, &config, now);
            bans.ban(address(n), String::new(), &config, now);
            let state = bans.state.lock();
            assert!(state.banned.len() <= 100 && state.order.len() <= 101);
            assert!(state.tallies.len() <= 100);
        }
        assert!(!bans.is_banned(address(899), now) && bans.is_banned(address(900), now));
        assert!(bans.lift(address(950), now) && !bans.lift(address(950), now));
        assert_eq!((bans.len(), bans.all(now).len()), (99, 99));
        assert_eq!(bans.all(now)[0].address, address(999).to_string());
        assert!(bans.all(now + Duration::from_secs(10)).is_empty());
    }
}
