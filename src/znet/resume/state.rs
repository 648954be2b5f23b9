//! What a connection knows about being resumed.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::away::Absence;
use super::parcel::{Kept, Wanted};
use super::token::{Secret, Tokens};
use super::wire::Token;
use crate::green::{AsyncResult, Bell, Event, Until};
use crate::lock::Lock;
use crate::ziface::{CloseReason, ResumeRefusal};
use crate::znet::conn::addresses::Addresses;
use crate::znet::transport::Transport;

/// What a connection knows of its being resumed. The lock is held for a few instructions, and with no other.
pub(crate) struct Resume {
    state: Lock<State>,
    /// Wakes the connection's own coroutine while its peer is away: there is no socket then.
    pub(super) wake: Arc<Bell>,
    /// What it sends is in Redis first.
    pub(super) durable: AtomicBool,
}

pub(super) struct State {
    pub(super) stage: Stage,
    /// Frames received since the token was asked for.
    pub(super) received: u64,
    /// The last of them that the reader has taken for its handler; what that reads on is behind it.
    pub(super) current: u64,
    /// Of a connection that survives its node: how many of the next frames are here already. The peer was told of what is in Redis.
    pub(super) again: u64,
    /// How many of them the peer has been told of, and the bytes of the others.
    pub(super) told: u64,
    untold_bytes: usize,
    /// Frames about resuming that say nothing new, since they were last asked for.
    useless: usize,
    /// On a server: what its peer may come back with.
    pub(super) tokens: Option<Tokens>,
    /// On a client: what it comes back with.
    pub(super) token: Option<Token>,
    /// How long a peer may be away.
    pub(super) window: Duration,
    /// How long the peer was there before this socket, and since when it is there, in milliseconds of the server's clock.
    pub(super) there: u64,
    pub(super) since: u64,
    pub(super) away: Option<Away>,
    /// Since when, in milliseconds of the server's clock, the peer has been away, as far as the read deadline was not put off for that.
    pub(super) gone: Option<u64>,
    /// A peer that has come back, until the connection's own coroutine takes it up.
    pub(super) handover: Option<Handover>,
    /// The addresses, once resumed.
    pub(super) addresses: Option<Addresses>,
    /// Another node to which the peer has come, until the connection's own coroutine moves the connection there.
    pub(super) wanted: Option<Wanted>,
    /// When it has moved, or tried to: from one epoch of sends to another, both included.
    pub(super) moves: Vec<(u64, u64)>,
    /// On its way to another node.
    pub(super) departure: Option<Departure>,
    /// On its way from another node to here.
    pub(super) arrival: Option<Arrival>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has come yet.
    Fresh,
    /// Without a token.
    Plain,
    /// A client that has asked for a token.
    Opening,
    /// With a token: frames are counted.
    Counting,
    /// A client that has asked to resume: what comes before the answer is not its connection's.
    Resuming,
    /// With a token of another node, which is asked for the connection.
    Arriving,
    /// On its way to another node, or there.
    Leaving,
    /// The peer has said that it closes. It has no use for another token.
    Forgone,
    /// Closing: the peer cannot come back any more.
    Over,
}

/// A connection that moves to another node.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
pub(super) struct Departure {
    /// The question that it moves for.
    pub(super) request: u64,
    /// The frames that it has kept, once the nodes have changed over.
    pub(super) kept: Option<Kept>,
    /// Set then.
    pub(super) changed: Arc<Event>,
}

/// A connection that moves to this node.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
pub(super) struct Arrival {
    /// The number of its login.
    pub(super) login: u64,
    /// The nodes have changed over: what is sent to it now is the peer's.
    pub(super) changed: bool,
}

/// A peer that has gone.
#[derive(Clone)]
pub(super) struct Away {
    pub(super) why: CloseReason,
    pub(super) until: Until,
    /// As it was noted; `None` if a peer had come back already.
    pub(super) absence: Option<Absence>,
    /// On a client: when to connect next, and how often that has failed.
    pub(super) next_try: Until,
    pub(super) failures: u32,
}

impl Resume {
    /// For a connection that begins `now`, whose peer may be away for so long.
    pub(crate) fn new(window: Duration, now: u64) -> Self {
        let state = Lock::new(State {
            stage: Stage::Fresh,
            received: 0,
            current: 0,
            again: 0,
            told: 0,
            untold_bytes: 0,
            useless: 0,
            tokens: None,
            token: None,
            window,
            there: 0,
            since: now,
            away: None,
            gone: None,
            handover: None,
            addresses: None,
            wanted: None,
            moves: Vec::new(),
            departure: None,
            arrival: None,
        });
        Self { state, wake: Arc::default(), durable: AtomicBool::new(false) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// How many frames have come since the token was asked for.
    pub(crate) fn received(&self) -> u64 {
        self.lock().received
    }

    /// Whether so many bytes have come since the peer was told last that it is to be told by now.
    pub(crate) fn has_much_untold(&self) -> bool {
        self.lock().untold_bytes >= TELL_BYTES
    }

    /// The reader takes one for its handler that another handler has kept for later.
    pub(crate) fn takes_kept(&self, number: u64) {
        self.lock().current = number;
    }

    /// Takes note of a frame that says nothing new: a peer could send them without end.
    pub(super) fn note_useless(&self) {
        let mut state = self.lock();
        state.useless = state.useless.saturating_add(1);
    }

    /// How many there were since this was last called.
    pub(crate) fn take_useless(&self) -> usize {
        std::mem::take(&mut self.lock().useless)
    }
}

impl State {
    /// Counts a frame that a handler has read on, or the reader. Returns whether it is the connection's, and what the peer is to be told by
    /// now, until it [has been](Self::has_told).
    pub(super) fn count_frame(&mut self, len: usize, by_handler: bool) -> (bool, Option<u64>) {
        match self.stage {
            Stage::Counting => {}
            Stage::Fresh => {
                self.stage = Stage::Plain;
                return (true, None);
            }
            other => return (other != Stage::Resuming, None),
        }
        self.confirm();
        if self.again > 0 {
            self.again -= 1;
            return (false, None);
        }
        self.received += 1;
        if !by_handler {
            self.current = self.received;
        }
        self.untold_bytes += len;
        let is_due = self.received - self.told >= TELL_FRAMES || self.untold_bytes >= TELL_BYTES;
        (true, is_due.then_some(self.received))
    }

    /// The peer has been told so.
    pub(super) const fn has_told(&mut self, received: u64) {
        (self.told, self.untold_bytes) = (received, 0);
    }

    /// Something has come by which the peer shows that it has the current token.
    pub(super) const fn confirm(&mut self) {
        if let Some(tokens) = &mut self.tokens {
            tokens.confirm();
        }
    }
}

/// The peer is told what has been received at the latest after so many frames,
const TELL_FRAMES: u64 = 32;

/// or so many bytes.
const TELL_BYTES: usize = 16 * 1024;

/// A peer that has come back, on its way to the connection it resumes.
pub(super) struct Handover {
    pub(super) transport: Transport,
    pub(super) addresses: Addresses,
    pub(super) secret: Secret,
    /// Frames the peer has received.
    pub(super) received: u64,
    pub(super) outcome: Arc<AsyncResult<(), ResumeRefusal>>,
}

impl Handover {
    pub(super) fn answer(&self, outcome: Result<(), ResumeRefusal>) {
        self.outcome.set_result(outcome);
    }
}
