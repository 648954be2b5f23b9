//! How a peer comes back: its new socket goes from the connection it came on to the one it resumes.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::away::{Absence, Noted};
use super::state::{Away, Handover, Resume, Stage, State};
use super::token::Secret;
use super::wire::{self, Asked, Granted, Token};
use crate::green::{Alarm, Halt, Readiness, Until, yield_now};
use crate::ziface::{CloseReason, ResumeRefusal};
use crate::znet::conn::addresses::{Addresses, network};
use crate::znet::conn::connection::Connection;
use crate::znet::read::backlog::Backlog;
use crate::znet::server::talk::Redial;

/// The time from the loss of a socket until the peer is back on another, or is given up.
pub(crate) struct Return {
    alarm: Option<Alarm>,
}

/// What has come of it.
pub(crate) enum Outcome {
    /// The peer is back.
    Back,
    /// It does not come back. The reason is noted.
    Gone,
    /// It is to be looked again at the next ring, or then.
    Later(Until),
}

/// In the connection's own coroutine.
impl Return {
    /// The stream has ended. `None` if the peer cannot come back.
    pub(crate) fn begin(conn: &Connection, why: CloseReason) -> Option<Self> {
        let resume = conn.resume()?;
        if !is_loss(&why) || conn.line().is_breached() || !conn.lose_peer(why) {
            return None;
        }
        let now = conn.core().clock().now();
        resume.lock().gone.get_or_insert(now);
        conn.let_arriving_go();
        conn.settle();
        conn.outbox().lock().release_lost(conn.line());
        Some(Self { alarm: None })
    }

    /// Takes up a peer that is there, or connects again.
    pub(crate) fn look(conn: &Connection) -> Outcome {
        let Some(resume) = conn.resume() else { return Outcome::Gone };
        let away = resume.lock().away.clone();
        let is_over = |away: &Away| away.until.is_over() || conn.is_given_up(away);
        if conn.is_stopping() || !conn.outbox().lock().keeps() || away.as_ref().is_some_and(is_over) {
            away.into_iter().for_each(|away| conn.note_reason(away.why));
            return Outcome::Gone;
        }
        match away {
            Some(away) if !conn.take_handover(resume) && !conn.try_redial(resume, &away) => {
                if !conn.is_noted_as_away(resume) {
                    conn.note_reason(away.why);
                    return Outcome::Gone;
                }
                Outcome::Later(conn.next_look(resume))
            }
            // Also where a task that ran meanwhile has waited for it.
            _ => {
                // The time of the absence does not count for the program's read deadline.
                let gone = resume.lock().gone.take();
                gone.into_iter().for_each(|gone| {
                    conn.put_off_read_deadline(conn.core().clock().tick().saturating_sub(gone));
                });
                Outcome::Back
            }
        }
    }

    /// How the connection rests until it is to look again.
    pub(crate) fn rest(&mut self, conn: &Connection, until: Until) -> Halt {
        let Some(resume) = conn.resume() else { return Halt::Again };
        let bell = Arc::clone(&resume.wake);
        Alarm::keep(&mut self.alarm, &bell, until);
        Halt::AtRest(bell, Readiness::INTERRUPT)
    }
}

/// The stream has ended in the middle of a handler, which waits until the peer is back on another socket, or `until`.
/// `false` if it does not come back; the reason is noted.
pub(crate) fn wait_for_return(conn: &Connection, why: CloseReason, until: Until) -> bool {
    let (Some(resume), Some(_)) = (conn.resume(), Return::begin(conn, why)) else { return false };
    // What has begun to arrive comes once more, from its first byte.
    conn.ahead().with(Backlog::begin_again);
    loop {
        match Return::look(conn) {
            Outcome::Back => return true,
            Outcome::Gone => return false,
            Outcome::Later(_) if until.is_over() => return true,
            Outcome::Later(next) => resume.wake.wait(next.or(until)),
        }
    }
}

/// The connection that has lost its peer.
impl Connection {
    /// Takes the peer for lost, because the socket says so or because nothing is heard of it. `false` if it cannot come
    /// back: then the connection ends.
    pub(crate) fn lose_peer(&self, why: CloseReason) -> bool {
        let Some(resume) = self.resume() else { return false };
        let (bounds, by_peer) = (self.core().bounds(), ends_itself(&why));
        {
            let mut state = resume.lock();
            let can_resume = matches!(state.stage, Stage::Counting | Stage::Resuming);
            if !can_resume || self.is_stopping() {
                return false;
            }
            if state.away.is_none() {
                let now = self.core().clock().tick();
                state.there += now.saturating_sub(std::mem::replace(&mut state.since, now));
                let Ok(absence) = self.note_absence(&state) else { return false };
                let until = Until::after_running(state.window);
                let next_try = Until::after(Duration::ZERO);
                state.away = Some(Away { why, until, absence, next_try, failures: 0 });
            }
        }
        // A peer that has ended its stream may still read what is on its way; any other is cut off.
        let (outbox, line) = (self.outbox(), self.line());
        if !(if by_peer { outbox.lose_line(bounds, line) } else { outbox.cut_line(bounds, line) }) {
            self.end_away(resume);
            return false;
        }
        self.wake_away();
        self.core().backoff().end_pause();
        true
    }

    /// Takes note that the peer is away. `Err` if there are enough already, which were there for longer; one that was for
    /// a shorter time ends.
    fn note_absence(&self, state: &State) -> Result<Option<Absence>, ()> {
        if state.handover.is_some() || state.wanted.is_some() {
            return Ok(None);
        }
        let from =
            network(state.addresses.as_ref().map_or_else(|| self.accepted_from(), Addresses::remote).ip());
        let absence = Absence { there: state.there, conn_id: Reverse(self.id()), from };
        match self.core().absent.note(absence, &self.core().config()) {
            Noted::No => return Err(()),
            Noted::Yes => {}
            Noted::Instead(conn_id) => {
                if let Some(other) = self.core().manager().find(conn_id) {
                    other.connection().wake_away();
                }
            }
        }
        Ok(Some(absence))
    }

    /// Takes note of it late, if the peer was about to come back and is not back. `false` if there are enough already.
    fn is_noted_as_away(&self, resume: &Resume) -> bool {
        let mut state = resume.lock();
        // One that closes takes no place of another.
        if self.is_stopping() || state.away.as_ref().is_none_or(|away| away.absence.is_some()) {
            return true;
        }
        let noted = self.note_absence(&state);
        if let (Ok(absence), Some(away)) = (noted, &mut state.away) {
            away.absence = absence;
        }
        noted.is_ok()
    }

    /// A read deadline has been set: of an absence, only what follows does not count for it.
    pub(crate) fn absence_begins_anew(&self) {
        let Some(resume) = self.resume() else { return };
        if let Some(gone) = &mut resume.lock().gone {
            *gone = self.core().clock().tick();
        }
    }

    pub(super) fn end_away(&self, resume: &Resume) {
        let (ended, now) = (resume.lock().away.take(), self.core().clock().tick());
        if let Some(away) = ended {
            resume.lock().since = now;
            away.absence.iter().for_each(|absence| self.core().absent.forget(absence));
        }
    }

    /// Why the peer is away, if it is.
    pub(crate) fn why_away(&self) -> Option<CloseReason> {
        self.resume()?.lock().away.as_ref().map(|away| away.why.clone())
    }

    /// Whether another has taken its place among those that are away.
    fn is_given_up(&self, away: &Away) -> bool {
        away.absence.is_some_and(|absence| !self.core().absent.has(&absence))
    }

    /// Waits until the lost socket is not in use any more.
    fn settle(&self) {
        self.wait_for_writer();
        while !self.outbox().lock().is_settled() {
            yield_now();
        }
    }

    /// When to look again, if nothing rings before.
    fn next_look(&self, resume: &Resume) -> Until {
        let redials = self.core().talk().redial.get().is_some();
        let state = resume.lock();
        state
            .away
            .as_ref()
            .map_or_else(Until::never, |away| if redials { away.next_try.or(away.until) } else { away.until })
    }

    /// On a server: goes on with the socket of a peer that has come back, the last one where there are several.
    fn take_handover(&self, resume: &Resume) -> bool {
        let Some(handover) = resume.lock().handover.take() else { return false };
        let outcome = self.take_up(resume, &handover);
        if let Err(why @ ResumeRefusal::OverBound) = outcome {
            // It can never be resumed: nothing should have to wait for its end.
            self.stop_because(CloseReason::ResumeRefused { why });
        }
        handover.answer(outcome);
        if resume.lock().handover.is_some() {
            // It came while this one was being taken up, and is next.
            self.outbox().lose_line(self.core().bounds(), self.line());
        }
        outcome.is_ok()
    }

    fn take_up(&self, resume: &Resume, handover: &Handover) -> Result<(), ResumeRefusal> {
        let fresh = Secret::random().ok_or(ResumeRefusal::Busy)?;
        let mut granted = {
            let mut state = resume.lock();
            let tokens = state.tokens.as_mut().ok_or(ResumeRefusal::Gone)?;
            let secret = tokens.take(&handover.secret, fresh)?;
            state.told = state.received;
            let token = Token { address: self.address(), secret };
            Granted { token, received: state.received, window: state.window }
        };
        if resume.is_durable() {
            // Of what a handler has at hand, Redis does not know yet: the peer sends that again, for another node.
            let saved = self.save_tokens(resume).ok_or(ResumeRefusal::Busy)?;
            let mut state = resume.lock();
            granted.received = saved.min(state.received);
            state.again = state.received - granted.received;
        }
        let frame = self.packed(wire::TOKEN, granted.encode()).ok_or(ResumeRefusal::Gone)?;
        {
            let mut state = self.outbox().lock();
            state.forget_received(handover.received)?;
            // Asked last: if it is not needed, nothing leaves that would give it back.
            if !state.may_send_again(self.core().bounds()) {
                return Err(ResumeRefusal::Busy);
            }
            state.begin_again(self.line(), handover.transport.clone(), &frame);
            state.send_again(self.core().bounds());
        }
        resume.lock().addresses = Some(handover.addresses.clone());
        self.end_away(resume);
        self.begin_again();
        self.core().counters.resumed.add();
        Ok(())
    }

    /// On another socket: nothing is known of its input, and time begins again.
    fn begin_again(&self) {
        self.ahead().begin_again();
        self.times().begin_again(self.core().clock().now());
        self.writer().flush_soon(self.outbox().lock());
    }

    /// On a client: connects again, and asks to resume.
    fn try_redial(&self, resume: &Resume, away: &Away) -> bool {
        let Some(dialer) = self.core().talk().redial.get() else { return false };
        if !away.next_try.is_over() {
            return false;
        }
        let has_connected = self.redial(resume, &**dialer);
        // Also if it has: until the server has answered, a socket that is lost again is one more failure, and the next one waits.
        let failures = away.failures.saturating_add(1);
        if let Some(away) = &mut resume.lock().away {
            let next_try = dialer.resume_pause(failures).map_or_else(Until::never, Until::after);
            (away.failures, away.next_try) = (failures, next_try);
        }
        has_connected
    }

    fn redial(&self, resume: &Resume, dialer: &dyn Redial) -> bool {
        let Some((transport, addresses)) = dialer.dial_again() else { return false };
        let asked = {
            let mut state = resume.lock();
            let Some(token) = state.token else { return false };
            (state.stage, state.addresses) = (Stage::Resuming, Some(addresses));
            Asked { token, received: state.received }
        };
        let Some(frame) = self.packed(wire::RESUME, asked.encode()) else { return false };
        self.outbox().lock().begin_again(self.line(), transport, &frame);
        self.begin_again();
        self.core().clock().due_by(self.answer_due());
        true
    }

    /// Whether the server has been asked to resume and has not answered.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.resume().is_some_and(|resume| resume.lock().stage == Stage::Resuming)
    }

    /// By when it has to answer, by the clock of the client; `u64::MAX` if it was not asked.
    pub(crate) fn answer_due(&self) -> u64 {
        let end = |state: &State| state.away.as_ref().filter(|_| state.stage == Stage::Resuming)?.until.end();
        let end = self.resume().and_then(|resume| end(&resume.lock()));
        end.map_or(u64::MAX, |end| self.core().clock().reads_at(end))
    }

    /// On a client: the server has received `count` frames and goes on.
    pub(super) fn go_on(&self, resume: &Resume, count: u64) -> Result<(), ResumeRefusal> {
        self.end_away(resume);
        let received = resume.lock().received;
        // By this the server knows that the new token has arrived.
        self.send_uncounted(wire::COUNT, received.to_le_bytes().to_vec());
        let mut state = self.outbox().lock();
        state.forget_received(count)?;
        if !state.may_send_again(self.core().bounds()) {
            return Err(ResumeRefusal::Busy);
        }
        state.send_again(self.core().bounds());
        self.writer().flush_soon(state);
        self.core().counters.resumed.add();
        Ok(())
    }
}

/// Whether the peer itself has ended the stream.
const fn ends_itself(why: &CloseReason) -> bool {
    matches!(why, CloseReason::PeerClosed | CloseReason::PeerClosedInFrame { .. })
}

/// Whether a stream ended so may be gone on with: its bytes were good.
const fn is_loss(why: &CloseReason) -> bool {
    matches!(
        why,
        CloseReason::PeerClosed | CloseReason::PeerClosedInFrame { .. } | CloseReason::Failed { .. }
    )
}
