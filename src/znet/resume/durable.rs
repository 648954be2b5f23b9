//! A connection that survives its node: what it sends and what it has handled is in Redis before anything leaves.
//!
//! `docs/resume.md` says what that promises. What its own handler sends counts with the message that it handles: both are written in
//! one step when the handler has returned. What others send is written at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::parcel::{Facts, Standing};
use super::state::{Resume, Stage};
use super::wire;
use crate::error::{Error, Result};
use crate::green::{Until, sleep};
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::connection::Connection;

impl dyn IConnection {
    /// In a cluster: has the connection survive its node. From now on what it sends is in Redis before it leaves, so that the client
    /// can come back to another node if this one is killed, once its lease is over; nothing is lost or doubled then.
    ///
    /// To be called by a handler of the connection. The login and the groups may change later; of what
    /// [`carry`](crate::znet::Cluster::carry) packs, Redis has what was there at the last call, and when the client came back last.
    /// Waits for Redis, a second at most.
    ///
    /// # Errors
    ///
    /// [`ClusterUnavailable`](Error::ClusterUnavailable) if Redis cannot be reached: then it does not survive its node, or, if it did
    /// before, still does. [`ConnectionClosed`](Error::ConnectionClosed) if the connection closes. Others if there is no cluster, if
    /// `ResumeMs` is 0, if the client has not asked for a token or raw bytes were sent, with workers, with a dialogue (`on_session`), and
    /// outside of its handlers.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn begin_match(request: &dyn IRequest) -> zinx::Result<()> {
    ///     request.get_connection().keep_durably()?;
    ///     request.get_connection().send_msg(2, "begin")
    /// }
    /// ```
    pub fn keep_durably(&self) -> Result<()> {
        self.connection().keep_durably()
    }
}

impl Connection {
    fn keep_durably(&self) -> Result<()> {
        let remote = self.core().talk().remote();
        let remote = remote.ok_or("a connection survives its node only in a cluster")?;
        if self.tasks().worker().is_some() {
            return Err("with WorkerPoolSize, connections do not survive their node".into());
        }
        if self.core().talk().dialogue.get().is_some() {
            return Err("with on_session, connections do not survive their node".into());
        }
        if !self.reader_mark().is_current() {
            return Err("only its own handler can have a connection survive its node".into());
        }
        if self.is_stopping() {
            return Err(Error::ConnectionClosed);
        }
        let no_token = "the client has not asked for a token, so it cannot come back";
        let resume = self.resume().ok_or("ResumeMs is 0, so clients cannot come back")?;
        let handled = resume.handled_before().ok_or(no_token)?;
        let facts = self.facts(resume).ok_or(no_token)?;
        let unavailable =
            || Error::ClusterUnavailable { reason: "Redis has not taken the connection".to_string() };
        if !remote.can_save() {
            return Err(unavailable());
        }
        {
            let mut state = self.outbox().lock();
            if !state.begin_durable(facts, handled) {
                return Err("raw bytes were sent, so the client cannot come back".into());
            }
        }
        let was_durable = resume.set_durable(true);
        if self.save_whole().is_some() {
            return Ok(());
        }
        if !was_durable {
            // It may have been written all the same.
            self.end_durable(resume);
        }
        Err(unavailable())
    }

    /// What is known of it beside its frames.
    fn facts(&self, resume: &Resume) -> Option<Facts> {
        let (standing, luggage) = (self.standing(), self.pack());
        let state = resume.lock();
        Some(Facts { tokens: state.tokens.clone()?, there: state.there, standing, luggage })
    }

    fn standing(&self) -> Standing {
        let user = self.membership().login_to_move();
        Standing { user: user.map(|(uid, claim)| (uid, claim.is_shared)), groups: self.membership().groups() }
    }

    /// The login or the groups have changed: that is written down, if the connection survives its node. Never waits; what is said to Redis
    /// from now on comes behind it.
    pub(crate) fn note_standing(&self) {
        if self.is_durable() {
            // Under the lock, so that the last to look finds what is there at last.
            self.outbox().lock().set_standing(|| self.standing());
            self.save_again();
        }
    }

    /// For a peer that is back, on this node: it is given the next token, which Redis has first. How many messages are handled by what
    /// Redis has then.
    pub(super) fn save_tokens(&self, resume: &Resume) -> Option<u64> {
        let facts = self.facts(resume)?;
        let handled = self.handled(resume);
        self.outbox().lock().begin_durable(facts, handled);
        let saved = self.save_whole()?;
        self.outbox().lock().has_told(saved);
        Some(saved)
    }

    /// On the node that it has come to. Nothing has left here yet. `false` if Redis has not taken it so far: it is written as soon as
    /// that does.
    pub(super) fn survive_again(&self, resume: &Resume) -> bool {
        let Some(facts) = self.facts(resume) else { return false };
        let received = resume.received();
        self.outbox().lock().begin_durable_again(facts, received);
        resume.set_durable(true);
        let until = Until::after(PATIENCE);
        while self.save_whole().is_none() {
            if until.is_over() || self.is_stopping() {
                return false;
            }
            sleep(PAUSE);
        }
        true
    }

    /// The handler has returned that the last message was for.
    pub(crate) fn end_handler(&self) {
        if let Some(resume) = self.resume().filter(|resume| resume.is_durable()) {
            self.count_as_handled(resume);
        }
    }

    #[inline(never)]
    fn count_as_handled(&self, resume: &Resume) {
        let handled = self.handled(resume);
        let mut state = self.outbox().lock();
        if state.end_turn(Some(handled)) {
            self.writer().flush_soon(state);
        }
    }

    /// How many messages are handled, once no handler runs: those behind the first that is kept for later come again.
    fn handled(&self, resume: &Resume) -> u64 {
        self.come_before_kept().unwrap_or_else(|| resume.received())
    }

    /// Whether it survives its node.
    pub(crate) fn is_durable(&self) -> bool {
        self.resume().is_some_and(Resume::is_durable)
    }

    /// Whether what was sent to it would be lost with its node, although it survives that: Redis does not take it just now, or it has just
    /// come from another node.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_durable() && !self.outbox().lock().is_well_saved()
    }

    /// So many messages are handled, and that is in Redis.
    pub(crate) fn tell_handled(&self, handled: u64) {
        if let Some(resume) = self.resume() {
            resume.lock().has_told(handled);
        }
        self.send_uncounted(wire::COUNT, handled.to_le_bytes().to_vec());
    }

    /// This node was taken for dead, and the client is elsewhere.
    pub(crate) fn was_taken_over(&self, node: String) {
        let Some(resume) = self.resume() else { return };
        {
            let mut state = resume.lock();
            if state.departure.is_some() {
                // It is just going there itself.
                return;
            }
            state.stage = Stage::Leaving;
        }
        // What is not in Redis the other node does not know of: the client must not count it.
        self.outbox().lock().abandon(self.core().bounds());
        self.stop_because(CloseReason::Moved { node });
    }

    /// It survives its node no longer: what waits for Redis leaves, and Redis forgets it.
    pub(crate) fn survives_no_longer(&self) {
        if let Some(resume) = self.resume().filter(|resume| resume.is_durable()) {
            self.end_durable(resume);
        }
    }

    pub(super) fn end_durable(&self, resume: &Resume) {
        if !resume.set_durable(false) {
            return;
        }
        let mut state = self.outbox().lock();
        state.end_durable(self.core().bounds());
        self.writer().flush_soon(state);
        if let Some(remote) = self.core().talk().remote() {
            remote.forget(self.id());
        }
    }
}

impl Resume {
    pub(super) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether it was.
    pub(super) fn set_durable(&self, is_durable: bool) -> bool {
        self.durable.swap(is_durable, Ordering::AcqRel)
    }

    /// How many messages have been handled before the one that its handler has now. `None` if they are not counted.
    fn handled_before(&self) -> Option<u64> {
        let state = self.lock();
        // What the peer was told has come, it does not send again.
        (state.stage == Stage::Counting).then(|| state.told.max(state.current.saturating_sub(1)))
    }
}

const PAUSE: Duration = Duration::from_millis(20);
/// How long a node tries to write down a connection that has come from another, before the peer is to try again.
const PATIENCE: Duration = Duration::from_secs(5);
