//! What happens when the bound over all memory is reached: the largest and slowest holders are disconnected, as Redis does
//! with `maxmemory-clients`, until there is room again and a sixteenth of the bound to spare, so that looking through all
//! connections is paid for by many messages.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::sweeper::period;
use crate::green::drop_contained;
use crate::ziface::{CloseReason, IMessage};
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;

/// Who may be disconnected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Those that hold what does not move.
    Stuck,
    /// Also those of whose frames more arrives.
    Anybody,
    /// Also those for whom anything waits to be sent.
    Unsent,
}

/// Whether there is room now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MadeRoom {
    /// Connections have been disconnected for it, by this thread or by another meanwhile.
    Now,
    /// There is when others, which are being disconnected, have given back what is queued for them: another thread has it in hand.
    Soon { leaving: usize },
    /// No connection could be disconnected: all that is held moves, or those that hold it are closing already, or it would
    /// never fit. Or that was so a moment ago.
    No,
}

impl MadeRoom {
    pub(crate) fn is_now(self) -> bool {
        self == Self::Now
    }
}

impl Core {
    /// Makes room for so many bytes more. Never waits.
    pub(crate) fn make_room(&self, bytes: usize, of: Whom) -> MadeRoom {
        let ledger = &self.bounds().ledger;
        if bytes > ledger.most() {
            return MadeRoom::No;
        }
        let now = self.clock().tick();
        let victims = {
            let Some(_looking) = ledger.look(of as usize, now) else { return MadeRoom::No };
            if ledger.missing(bytes) == 0 {
                // Another has made room meanwhile.
                return MadeRoom::Now;
            }
            let missing = ledger.missing(bytes + ledger.most() / SPARE);
            let (victims, leaving) = self.choose(missing, of, now);
            if victims.is_empty() {
                // What is queued goes in a moment, so it may be counted on; other things may stay for long.
                if of == Whom::Unsent && leaving >= ledger.missing(bytes) {
                    return MadeRoom::Soon { leaving };
                }
                ledger.look_again(of as usize, now + REST_MS);
            }
            victims
        };
        for victim in &victims {
            victim.evict();
        }
        if victims.is_empty() { MadeRoom::No } else { MadeRoom::Now }
    }

    /// Those to be disconnected for so many bytes, and what they and those before them give back. They are marked, so that they do
    /// not count twice.
    fn choose(&self, missing: usize, of: Whom, now: u64) -> (Vec<Arc<Connection>>, usize) {
        let (max, mut leaving, mut candidates) = (self.bounds().ledger.most(), 0_usize, Vec::new());
        // What a peer has sent since the clock was last read is noted as if it had come then.
        let early = period(self, &self.config());
        self.manager().each(|shared| {
            let conn = shared.connection();
            if conn.is_aborted() {
                leaving += conn.bytes_leaving(of);
            } else if let Some(rank) = conn.rank(now, early, self.slow_after(), of) {
                candidates.push((rank, conn.arc()));
            }
            true
        });
        candidates.sort_unstable_by_key(|(rank, _)| Reverse(*rank));
        let mut victims = Vec::new();
        for (_, conn) in candidates {
            if leaving >= missing {
                break;
            }
            leaving += conn.bytes_leaving(of);
            conn.doom(CloseReason::HeldTooMuch { held: conn.bytes_granted(), max });
            victims.push(conn);
        }
        (victims, leaving)
    }

    /// From when on a peer whose socket takes nothing counts as slow, in milliseconds.
    fn slow_after(&self) -> u64 {
        match self.config().write_timeout_ms {
            0 => SLOW_WITHOUT_TIMEOUT_MS,
            timeout => (timeout / 8).clamp(50, 1000),
        }
    }
}

/// Which go first: those that hold what does not move; the largest, and of two sizes that differ by less than twice the
/// slower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_stuck: bool,
    size: u32,
    /// How long the peer has neither sent nor taken anything, in milliseconds.
    slow: u64,
}

impl Connection {
    /// `None` if it is none of those, or holds nothing.
    fn rank(&self, now: u64, early: u64, slow_after: u64, of: Whom) -> Option<Rank> {
        let (queued, resume, blocked, is_read) = {
            let state = self.outbox().lock();
            (state.granted_queued(), state.granted_resume(), state.blocked_since(), state.is_watched())
        };
        let beside = self.granted_beside();
        let deaf = if blocked == 0 { 0 } else { now.saturating_sub(blocked) };
        let silent = now.saturating_sub(self.times().active.load(Ordering::Relaxed)).saturating_sub(early);
        let mut stuck = resume + beside.kept;
        stuck += if deaf >= slow_after { queued + beside.waiting } else { 0 };
        // While a handler runs or room is waited for, the peer is not read from: it may have sent all.
        stuck += if is_read && silent >= slow_after { beside.arriving } else { 0 };
        if stuck > 0 {
            return Some(Rank { is_stuck: true, size: stuck.ilog2(), slow: deaf.max(silent) });
        }
        match of {
            Whom::Stuck => None,
            // The one that takes longest: a peer that sends a large one fast is not to blame.
            Whom::Anybody => {
                let begun = self.times().frame.load(Ordering::Relaxed);
                let slow = if begun == 0 { 0 } else { now.saturating_sub(begun) };
                (beside.arriving > 0).then_some(Rank { is_stuck: false, size: 0, slow })
            }
            Whom::Unsent => {
                let size = queued.checked_ilog2()?;
                Some(Rank { is_stuck: false, size, slow: deaf })
            }
        }
    }

    /// What is given back when it is disconnected: at once, where a sender cannot wait for more.
    fn bytes_leaving(&self, of: Whom) -> usize {
        if of == Whom::Unsent { self.outbox().lock().granted_queued() } else { self.bytes_granted() }
    }

    /// Disconnects it at once. It has its reason already.
    fn evict(&self) {
        self.core().counters.evicted.add();
        self.abort_because(CloseReason::Aborted);
        self.drop_kept();
    }

    /// What is kept for a handler goes at once; the handler itself may not notice for long.
    fn drop_kept(&self) {
        let Some(on_demand) = self.on_demand() else { return };
        for message in on_demand.ahead.take_all_kept() {
            self.let_kept_go(message.get_data().len());
            drop_contained(message);
        }
    }
}

/// The part of the bound that is made free beyond what is needed.
const SPARE: usize = 16;

/// If none was found, none is looked for again so soon.
const REST_MS: u64 = 10;

/// If `WriteTimeoutMs` is 0, and slowness alone disconnects no peer.
const SLOW_WITHOUT_TIMEOUT_MS: u64 = 5000;
