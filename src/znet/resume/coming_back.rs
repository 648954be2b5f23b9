//! The connection on which a peer comes back: its socket goes to the connection that the peer has lost. If another node has
//! that, it is fetched, and this connection becomes it.

use std::sync::Arc;
use std::time::Duration;

use super::parcel::Fetched;
use super::state::{Handover, Resume, Stage};
use super::token::Secret;
use super::wire::{self, Asked};
use crate::green::AsyncResult;
use crate::ziface::{CloseReason, IConnection, ResumeRefusal};
use crate::znet::conn::addresses::Addresses;
use crate::znet::conn::connection::Connection;
use crate::znet::read::backlog::Backlog;

impl Connection {
    /// Hands the socket over to the connection that is to be resumed, or becomes that connection, or says why not. In the
    /// second case alone this one goes on.
    pub(super) fn hand_over_to_resumed(&self, resume: &Resume, stage: Stage, data: &[u8]) -> Option<()> {
        let asked = Asked::decode(data)?;
        if !self.ahead().with(Backlog::take_bytes).is_empty() {
            // It cannot know yet what to send.
            return None;
        }
        resume.lock().stage = Stage::Plain;
        let attempt = Attempt { conn: self, resume };
        let brought_back = self.bring_back(resume, &asked, stage);
        std::mem::forget(attempt);
        match brought_back {
            Ok(None) => {}
            Ok(Some(conn_id)) => self.stop_because(CloseReason::Resumed { conn_id }),
            Err(why) => self.refuse(why),
        }
        Some(())
    }

    /// Tells the peer why it does not get its connection again, and closes.
    fn refuse(&self, why: ResumeRefusal) {
        self.core().counters.resume_refused.add();
        self.send_uncounted(wire::REFUSED, wire::encode_refusal(why));
        self.stop_because(CloseReason::ResumeRefused { why });
    }

    /// The id of the connection that has the socket now; `None` if this one has become it.
    fn bring_back(&self, resume: &Resume, asked: &Asked, stage: Stage) -> Result<Option<u64>, ResumeRefusal> {
        if stage != Stage::Fresh {
            return Err(ResumeRefusal::NotFirst);
        }
        let (mark, conn_id) = asked.token.parts();
        if mark == self.core().talk().mark()
            && let Some(other) = self.still_here(conn_id)
        {
            return self.hand_over(&*other, asked).map(|()| Some(conn_id));
        }
        let remote = self.core().talk().remote().ok_or(ResumeRefusal::Gone)?;
        let mut missed = None;
        loop {
            let conn_id = match self.fetch(resume, asked, &*remote)? {
                Fetched::Moved(parcel) => return self.become_it(resume, asked, *parcel).map(|()| None),
                Fetched::Here(conn_id) => conn_id,
            };
            if let Some(other) = self.still_here(conn_id) {
                return self.hand_over(&*other, asked).map(|()| Some(conn_id));
            }
            // It may have moved on since.
            if missed.replace(conn_id) == Some(conn_id) {
                return Err(ResumeRefusal::Gone);
            }
        }
    }

    /// A connection of this node, unless it has moved to another.
    fn still_here(&self, conn_id: u64) -> Option<Arc<dyn IConnection>> {
        let other = self.core().manager().find(conn_id)?;
        let has_moved = other.connection().resume().is_some_and(Resume::has_moved);
        (!has_moved).then_some(other)
    }

    fn hand_over(&self, other: &dyn IConnection, asked: &Asked) -> Result<(), ResumeRefusal> {
        let other = other.connection();
        let resume = other.resume().ok_or(ResumeRefusal::Gone)?;
        resume.check(&asked.token.secret)?;
        if self.is_hung_up() {
            // It has gone again, and may be back elsewhere.
            return Err(ResumeRefusal::Busy);
        }
        let transport = self.line().get().ok_or(ResumeRefusal::Gone)?;
        // All that this connection has sent leaves first, and nothing after.
        self.hold_outbox(&transport).map_err(|_| ResumeRefusal::Gone)?;
        let outcome = Arc::new(AsyncResult::new());
        let handover = Handover {
            transport,
            addresses: Addresses::new(self.get_local_addr(), self.get_remote_addr()),
            secret: asked.token.secret,
            received: asked.received,
            outcome: Arc::clone(&outcome),
        };
        // Its coroutine finds the stream ended, or is waiting already.
        let offered = Offered { conn: self, resume, conn_id: other.id(), outcome: &outcome };
        let window = resume.offer(handover, || other.outbox().lose_line(self.core().bounds(), other.line()));
        let given = outcome.get_timeout(window).unwrap_or_else(|| resume.withdraw(&outcome));
        std::mem::forget(offered);
        self.has_given(given);
        given
    }

    /// Goes on without the socket, or with it if it was not taken.
    fn has_given(&self, given: Result<(), ResumeRefusal>) {
        match given {
            Ok(()) => self.line().release(),
            Err(_) => self.release_outbox(),
        }
    }
}

/// A peer that is being brought back. Dropped, a time limit or a forced stop has ended that: the peer may try again.
struct Attempt<'a> {
    conn: &'a Connection,
    resume: &'a Resume,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { conn, resume } = self;
        if resume.lock().stage == Stage::Arriving {
            conn.give_up_arrival(resume);
        }
        if !conn.is_stopping() {
            conn.refuse(ResumeRefusal::Busy);
        }
    }
}

/// A socket that another connection may take. Dropped, a time limit or a forced stop has ended the wait for that: no other may
/// take it later, and if one has, it is that one's alone.
struct Offered<'a> {
    conn: &'a Connection,
    resume: &'a Resume,
    conn_id: u64,
    outcome: &'a Arc<AsyncResult<(), ResumeRefusal>>,
}

/// Nothing here waits: if it is being taken up just now, it counts as taken.
impl Drop for Offered<'_> {
    fn drop(&mut self) {
        let Self { conn, resume, conn_id, outcome } = self;
        let given = match resume.take_back(outcome) {
            true => Err(ResumeRefusal::Busy),
            false => outcome.try_get().unwrap_or(Ok(())),
        };
        conn.has_given(given);
        if given.is_ok() {
            conn.stop_because(CloseReason::Resumed { conn_id: *conn_id });
        }
    }
}

impl Resume {
    pub(super) fn check(&self, secret: &Secret) -> Result<(), ResumeRefusal> {
        let state = self.lock();
        // A peer without a token learns nothing of the connection.
        let tokens = state.tokens.as_ref().ok_or(ResumeRefusal::WrongToken)?;
        tokens.check(secret)?;
        match state.stage {
            Stage::Counting => Ok(()),
            Stage::Arriving | Stage::Leaving => Err(ResumeRefusal::Busy),
            _ => Err(ResumeRefusal::Gone),
        }
    }

    /// Leaves a peer that has come back to the connection's own coroutine, which `wake` has look; `wake` returns `false`
    /// where there is nothing to come back to. Under the lock: once the peer is taken up, there is no waking any more, for
    /// that would cost it its new socket. Returns how long it may take.
    fn offer(&self, handover: Handover, wake: impl FnOnce() -> bool) -> Duration {
        let mut state = self.lock();
        let refused = if state.stage == Stage::Over || !wake() {
            Some((handover, ResumeRefusal::Gone))
        } else {
            state.handover.replace(handover).map(|earlier| (earlier, ResumeRefusal::Busy))
        };
        let window = state.window;
        drop(state);
        self.wake.ring();
        if let Some((refused, why)) = refused {
            refused.answer(Err(why));
        }
        window
    }

    /// Takes back what was offered, or, if it is being taken up, waits for the outcome.
    fn withdraw(&self, outcome: &Arc<AsyncResult<(), ResumeRefusal>>) -> Result<(), ResumeRefusal> {
        if self.take_back(outcome) { Err(ResumeRefusal::Busy) } else { outcome.get() }
    }

    /// Takes back what was offered. `false` if it has been taken up, or refused, or is about to be.
    fn take_back(&self, outcome: &Arc<AsyncResult<(), ResumeRefusal>>) -> bool {
        let is_it = |handover: &mut Handover| Arc::ptr_eq(&handover.outcome, outcome);
        let taken_back = self.lock().handover.take_if(is_it);
        taken_back.is_some()
    }
}
