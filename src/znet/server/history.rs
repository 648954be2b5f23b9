//! What a server remembers for those who look from outside: what its routes took, which connections have closed, and why.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use super::counters::Counter;
use crate::lock::Lock;
#[cfg(feature = "admin")]
use crate::longest::Longest;
use crate::ziface::{CloseReason, Unsent};
use crate::znet::route::route_stats::{Durations, RouteStats};

/// What a server remembers, if it has an admin plane.
#[derive(Default)]
pub(crate) struct History {
    /// Set when the routes are frozen.
    pub(crate) routes: OnceLock<RouteStats>,
    closed: Lock<Closed>,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) messages_out: Counter,
    pub(crate) calls: CallCounts,
    /// How long messages were in the queues of workers.
    pub(crate) task_waits: Durations,
    /// How late the sweeper was.
    #[cfg(feature = "admin")]
    pub(crate) sweeper_lag: Longest,
}

/// How the questions to peers have ended.
#[derive(Default)]
pub(crate) struct CallCounts {
    pub(crate) answered: Counter,
    pub(crate) timed_out: Counter,
    /// The connection closed, or there was no room for the question.
    pub(crate) failed: Counter,
}

#[derive(Default)]
struct Closed {
    /// The last ones, oldest first.
    last: VecDeque<Arc<ClosedConn>>,
    /// How many have closed for each kind of reason.
    by_kind: BTreeMap<String, u64>,
}

/// A connection that has closed.
#[derive(Debug, Default)]
pub(crate) struct ClosedConn {
    pub(crate) id: u64,
    pub(crate) transport: String,
    pub(crate) remote: String,
    pub(crate) user: Option<Arc<str>>,
    /// By the clock of the server.
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) messages: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) unsent: Unsent,
    pub(crate) reason: String,
}

impl History {
    /// Remembers a connection that has closed for this reason. Texts in which there may be something of its peer are cut.
    pub(crate) fn note_closed(&self, reason: &CloseReason, conn: ClosedConn) {
        let user = conn.user.map(|user| shortened(&user).map_or_else(|| Arc::clone(&user), Arc::from));
        let text = shortened(&conn.reason).unwrap_or(conn.reason);
        let (kind, conn) = (kind(reason), ClosedConn { user, reason: text, ..conn });
        let mut closed = self.closed.lock();
        // Dropped after the lock.
        let oldest = if closed.last.len() >= MOST_CLOSED { closed.last.pop_front() } else { None };
        closed.last.push_back(Arc::new(conn));
        *closed.by_kind.entry(kind).or_default() += 1;
        drop(closed);
        drop(oldest);
    }

    /// The connections that have closed last, the latest first.
    pub(crate) fn closed(&self) -> Vec<Arc<ClosedConn>> {
        self.closed.lock().last.iter().rev().cloned().collect()
    }

    /// How many have closed for each kind of reason.
    pub(crate) fn closed_by_kind(&self) -> BTreeMap<String, u64> {
        self.closed.lock().by_kind.clone()
    }
}

/// What is kept of a text, if that is not all of it.
pub(crate) fn shortened(text: &str) -> Option<String> {
    let (cut, _) = text.char_indices().nth(LONGEST_TEXT)?;
    Some(format!("{}…", text.get(..cut)?))
}

/// The kind of a reason, without what was special about it: `peer_closed`.
pub(crate) fn kind(reason: &CloseReason) -> String {
    let mut kind = String::new();
    // `PacketTooLarge { len: 1, max: 2 }`: the name of the variant ends at the space.
    for character in format!("{reason:?}").chars().take_while(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !kind.is_empty() {
            kind.push('_');
        }
        kind.push(character.to_ascii_lowercase());
    }
    kind
}

/// How many closed connections are remembered.
const MOST_CLOSED: usize = 10_000;

/// How many characters are kept of a reason, and of the name of a user.
const LONGEST_TEXT: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_peer_has_put_into_a_reason_or_a_name_little_is_kept() {
        let history = History::default();
        for (len, kept) in [(500, 500), (501, 501), (1 << 20, 501)] {
            let reason = CloseReason::SessionFailed { error: String::new() };
            let text = "中".repeat(len);
            let conn = ClosedConn { user: Some((&*text).into()), reason: text, ..ClosedConn::default() };
            history.note_closed(&reason, conn);
            let closed = &history.closed()[0];
            let user = closed.user.as_deref().unwrap();
            assert_eq!([user, &closed.reason].map(|text| text.chars().count()), [kept, kept]);
            assert_eq!(user.ends_with('…'), len > 500);
        }
        assert_eq!(history.closed_by_kind()["session_failed"], 3);
    }

    #[test]
    fn reasons_of_a_kind_have_one_name() {
        assert_eq!(kind(&CloseReason::PeerClosed), "peer_closed");
        assert_eq!(kind(&CloseReason::PacketTooLarge { len: 1, max: 2 }), "packet_too_large");
        assert_eq!(kind(&CloseReason::Failed { error: "Some Error".to_string() }), "failed");
    }
}
