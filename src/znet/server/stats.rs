//! What a program sees of what its server counts.

use serde::Serialize;

use super::core::Core;
use crate::green;
use crate::znet::write::ledger::HeldBytes;

impl Core {
    /// Counts since the server was made.
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            accepted: counters.accepted.get(),
            over_max_conn: counters.over_max_conn.get(),
            over_max_conn_per_address: counters.over_max_conn_per_address.get(),
            bans: counters.bans.get(),
            refused_banned: counters.refused_banned.get(),
            refused: counters.refused.get(),
            handshakes_failed: counters.handshakes_failed.get(),
            handshakes_displaced: counters.handshakes_displaced.get(),
            bad_datagrams: counters.bad_datagrams.get(),
            unproved_datagrams: counters.unproved_datagrams.get(),
            requests: counters.requests.get(),
            unknown_ids: counters.unknown_ids.get(),
            late_answers: counters.late_answers.get(),
            resumed: counters.resumed.get(),
            resume_refused: counters.resume_refused.get(),
            start_hooks: counters.start_hooks.get(),
            stop_hooks: counters.stop_hooks.get(),
            handler_panics: counters.handler_panics.get(),
            hook_panics: counters.hook_panics.get(),
            unsent_messages: counters.unsent_messages.get(),
            unsent_bytes: counters.unsent_bytes.get(),
            held: self.bounds().ledger.held(),
            held_peak: self.bounds().ledger.peak(),
            evicted: counters.evicted.get(),
            stacks: green::live_coroutines(),
        }
    }
}

/// What a server has counted since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted and begun.
    pub accepted: usize,
    /// Connections closed because `MaxConn` were open.
    pub over_max_conn: usize,
    /// Connections closed because `MaxConnPerAddress` of their address were open.
    pub over_max_conn_per_address: usize,
    /// Addresses banned, each time one was.
    pub bans: usize,
    /// Connections closed because their address was banned.
    pub refused_banned: usize,
    /// Connections, writers and accepts refused for want of stacks or descriptors.
    pub refused: usize,
    /// Peers that became no connection because the handshake of their transport failed, or took too long.
    pub handshakes_failed: usize,
    /// Handshakes among them that ended because `MaxHandshakes` newer ones were in progress.
    pub handshakes_displaced: usize,
    /// Datagrams that are none of KCP, or of no conversation that there is.
    pub bad_datagrams: usize,
    /// Datagrams of KCP from peers that had not shown yet that they receive at their address: the first of each, and those
    /// whose sender is forged.
    pub unproved_datagrams: usize,
    /// Messages handled; counted when their connection next waits for input.
    pub requests: usize,
    /// Messages whose id had no router.
    pub unknown_ids: usize,
    /// Answers that no call waited for any more. They are dropped.
    pub late_answers: usize,
    /// Connections whose peer has come back. The connections on which they came count as accepted too.
    pub resumed: usize,
    /// Peers that came back and were refused.
    pub resume_refused: usize,
    /// Start hooks called, even if none is set.
    pub start_hooks: usize,
    /// Stop hooks called, even if none is set.
    pub stop_hooks: usize,
    /// Handlers that panicked.
    pub handler_panics: usize,
    /// Hooks, and other code of the program outside of handlers, that panicked.
    pub hook_panics: usize,
    /// Messages queued but not sent before their connection closed.
    pub unsent_messages: usize,
    /// Their bytes.
    pub unsent_bytes: usize,
    /// What peers make the server hold now: `MaxQueuedBytes` bounds it.
    pub held: HeldBytes,
    /// The most that was held at once, in bytes.
    pub held_peak: usize,
    /// Connections disconnected because the bound was reached and they held most.
    pub evicted: usize,
    /// Stacks in use by the process now: by coroutines, and by handlers that wait. `MaxStacks` bounds them.
    pub stacks: usize,
}
