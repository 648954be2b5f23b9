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
        let reason = match self.bring_back(resume, &asked, stage) {
            Ok(None) => return Some(()),
            Ok(Some(conn_id)) => CloseReason::Resumed { conn_id },
            Err(why) => {
                self.core().counters.resume_refused.add();
                self.send_uncounted(wire::REFUSED, wire::encode_refusal(why));
                CloseReason::ResumeRefused { why }
            }
        };
        self.stop_because(reason);
        Some(())
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
        let window = resume.offer(handover, || other.outbox().lose_line(self.core().bounds(), other.line()));
        let given = outcome.get_timeout(window).unwrap_or_else(|| resume.withdraw(&outcome));
        match given {
            Ok(()) => self.line().release(),
            Err(_) => self.release_outbox(),
        }
        given
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

    /// Takes back what was offered, unless it is being taken up.
    fn withdraw(&self, outcome: &Arc<AsyncResult<(), ResumeRefusal>>) -> Result<(), ResumeRefusal> {
        let is_it = |handover: &mut Handover| Arc::ptr_eq(&handover.outcome, outcome);
        match self.lock().handover.take_if(is_it) {
            Some(_) => Err(ResumeRefusal::Busy),
            None => outcome.get(),
        }
    }
}
