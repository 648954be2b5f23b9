//! The handshakes in progress of a server. There are only so many: one too many takes the place of the oldest, so that peers that do
//! not go on keep no other out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::green::Socket;
use crate::lock::Lock;

/// The handshakes in progress.
#[derive(Default)]
pub(super) struct Handshakes {
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    /// By age.
    open: BTreeMap<u64, Arc<Socket>>,
    next: u64,
    closed: bool,
}

/// A handshake that has begun, until this is dropped.
pub(super) struct Begun {
    all: Arc<Handshakes>,
    pub(super) number: u64,
    /// It has displaced another.
    pub(super) displaced: bool,
}

impl Handshakes {
    /// Notes one more, of `most`. `None` once the server stops.
    pub(super) fn begin(self: &Arc<Self>, socket: &Arc<Socket>, most: usize) -> Option<Begun> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Arc::clone(socket));
        let oldest = (state.open.len() > most).then(|| state.open.pop_first()).flatten();
        drop(state);
        let displaced = oldest.is_some();
        if let Some((_, socket)) = oldest {
            socket.shutdown_both();
        }
        Some(Begun { all: Arc::clone(self), number, displaced })
    }

    /// Ends all, and those to come.
    pub(super) fn close(&self) {
        let open = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.open)
        };
        open.values().for_each(|socket| socket.shutdown_both());
    }
}

impl Begun {
    /// Whether it had to end for others.
    pub(super) fn was_displaced(&self) -> bool {
        !self.all.state.lock().open.contains_key(&self.number)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Dropped after the lock: its descriptor may close.
        let ended = self.all.state.lock().open.remove(&self.number);
        drop(ended);
    }
}
