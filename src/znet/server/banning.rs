//! What peers do wrong, counted against their addresses, and who may come in all the same.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Instant;

use super::core::Core;
use crate::log_line::throttled;
use crate::zconf::Config;
use crate::ziface::CloseReason;
use crate::znet::conn::addresses::network;
use crate::znet::enter::bans::{Strike, shown};

impl Core {
    /// Whether a peer may come in, as far as bans go. Counts that it wants to.
    pub(crate) fn lets_in(&self, peer: IpAddr) -> bool {
        let config = self.config();
        let is_banned = self.bans.is_banned(network(peer), Instant::now())
            || self.strike(Strike::Connect, peer, config.ban_connects, &config, &"connections");
        if is_banned {
            self.counters.refused_banned.add();
        }
        !is_banned
    }

    /// Counts a fault of a peer against its address. Returns whether that is banned now.
    pub(crate) fn note_fault(&self, peer: IpAddr, what: &dyn Display) -> bool {
        let config = self.config();
        self.strike(
            Strike::Fault,
            peer,
            config.ban_faults,
            &config,
            &format_args!("faults, the last: {what}"),
        )
    }

    fn strike(&self, kind: Strike, peer: IpAddr, most: usize, config: &Config, what: &dyn Display) -> bool {
        let is_of_a_client = *self.stop_reason() == CloseReason::ClientStopped;
        // A proxy speaks for many, who are known by then.
        if most == 0 || is_of_a_client || config.trusted_proxies.contain(peer) {
            return false;
        }
        let (from, now) = (network(peer), Instant::now());
        let Some(count) = self.bans.count(kind, from, most, config, now) else { return false };
        let why: String = format!("{count} {what}").chars().take(MAX_WHY).collect();
        let (address, seconds) = (shown(from), config.ban_ms.div_ceil(1000));
        throttled!(warn, self.ban_log, "banned {address} for {seconds} s, for a minute of {why}");
        self.bans.ban(from, why, config, now);
        // Who sees that it is counted finds it banned.
        self.counters.bans.add();
        true
    }
}

/// Characters of a reason that are kept.
const MAX_WHY: usize = 120;
