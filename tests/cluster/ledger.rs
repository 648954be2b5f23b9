//! What was said of each push, and what has arrived where.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Ledger {
    numbers: AtomicU32,
    sessions: AtomicU64,
    pushes: Mutex<HashMap<u32, Push>>,
    /// The sessions that each number has come to.
    arrived: Mutex<HashMap<u32, Vec<u64>>>,
    /// When a node was killed, and who was connected to it.
    killed: Mutex<Vec<(Time, HashSet<String>)>>,
}

struct Push {
    user: String,
    /// What the node has said. `None` if it has said nothing.
    said: Option<String>,
    at: Time,
}

/// From when to when: what happens in between may take long on a busy machine.
type Time = (Instant, Instant);

/// How many pushes had which end.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) delivered: usize,
    pub(crate) offline: usize,
    pub(crate) unknown: usize,
    pub(crate) not_sent: usize,
    pub(crate) unanswered: usize,
    /// Of those that were delivered: ended with the node that had them.
    pub(crate) ended_with_node: usize,
    /// Of those that were unknown or unanswered: arrived.
    pub(crate) arrived_unsaid: usize,
}

impl Ledger {
    pub(crate) fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn said(&self, number: u32, user: &str, asked: Instant, said: Option<String>) {
        let push = Push { user: user.to_string(), said, at: (asked, Instant::now()) };
        self.pushes.lock().unwrap().insert(number, push);
    }

    pub(crate) fn arrived(&self, number: u32, session: u64) {
        self.arrived.lock().unwrap().entry(number).or_default().push(session);
    }

    pub(crate) fn has_arrived(&self, number: u32) -> bool {
        self.arrived.lock().unwrap().contains_key(&number)
    }

    pub(crate) fn node_was_killed(&self, begun: Instant, with: HashSet<String>) {
        self.killed.lock().unwrap().push(((begun, Instant::now()), with));
    }

    /// Checks that everything that was said is true, and that nothing came twice.
    pub(crate) fn check(&self) -> Figures {
        let (pushes, arrived) = (self.pushes.lock().unwrap(), self.arrived.lock().unwrap());
        for (number, sessions) in arrived.iter() {
            let different: HashSet<_> = sessions.iter().collect();
            assert_eq!(different.len(), sessions.len(), "{number} came twice to a session");
        }
        let mut figures = Figures::default();
        for (number, push) in pushes.iter() {
            let came = arrived.contains_key(number);
            let count = match push.said.as_deref() {
                Some("delivered") => {
                    if !came {
                        let (user, at) = (&push.user, push.at);
                        assert!(self.ended_with_node(push), "{number} was delivered to {user} at {at:?}");
                        figures.ended_with_node += 1;
                    }
                    &mut figures.delivered
                }
                None | Some("unknown") => {
                    figures.arrived_unsaid += usize::from(came);
                    if push.said.is_none() { &mut figures.unanswered } else { &mut figures.unknown }
                }
                Some(said) => {
                    assert!(!came, "{number} to {} came, and was {said}", push.user);
                    assert!(said == "offline" || said.starts_with("the cluster cannot be reached"), "{said}");
                    if said == "offline" { &mut figures.offline } else { &mut figures.not_sent }
                }
            };
            *count += 1;
        }
        figures
    }

    /// A push that was in the queue of a connection when its node was killed.
    fn ended_with_node(&self, push: &Push) -> bool {
        let killed = self.killed.lock().unwrap();
        killed.iter().any(|((begun, ended), with)| {
            let (asked, said) = push.at;
            let apart = begun.saturating_duration_since(said).max(asked.saturating_duration_since(*ended));
            with.contains(&push.user) && apart < Duration::from_secs(1)
        })
    }
}
