//! A connection that moves to another node, because its peer has come back there.

use std::sync::Arc;
use std::time::Duration;

use super::parcel::{Decision, Leaving, Parcel, Wanted};
use super::returning::{Outcome, Return};
use super::state::{Departure, Resume, Stage};
use crate::green::{Event, sleep};
use crate::ziface::{CloseReason, IConnection, ResumeRefusal};
use crate::znet::cluster::remote::Remote;
use crate::znet::conn::connection::Connection;

/// Looks for the peer, which may have come to another node. Not inside of handlers: what has been received has been handled, and
/// is not known elsewhere.
pub(crate) fn look_or_depart(conn: &Connection) -> Outcome {
    if depart(conn) { Outcome::Gone } else { Return::look(conn) }
}

/// Moves a connection to the node that its peer has come to, if there is one. Whether it has left: then it closes here. In the
/// connection's own coroutine.
fn depart(conn: &Connection) -> bool {
    let Some(resume) = conn.resume() else { return false };
    let Some(wanted) = resume.lock().wanted.take() else { return false };
    let Some(remote) = conn.core().talk().remote() else { return false };
    match conn.try_to_depart(resume, &*remote, &wanted) {
        Ok(()) => {
            conn.note_reason(CloseReason::Moved { node: wanted.node.to_string() });
            true
        }
        Err(why) => {
            remote.refuse(&wanted, why);
            false
        }
    }
}

impl Connection {
    fn try_to_depart(
        &self,
        resume: &Resume,
        remote: &dyn Remote,
        wanted: &Wanted,
    ) -> Result<(), ResumeRefusal> {
        self.wait_for_tasks(wanted)?;
        let changed = self.begin_to_leave(resume, wanted)?;
        let moving = self.begin_move(resume, wanted.until).inspect_err(|_| stay(resume))?;
        let claim = self.membership().login_to_move();
        let user = claim.as_ref().map(|(uid, claim)| (Arc::clone(uid), claim.login, claim.is_shared));
        let (groups, is_durable) = (self.membership().groups(), resume.is_durable());
        let leaving = Leaving { conn_id: self.id(), user, groups, is_durable };
        match remote.change_over(wanted, &leaving) {
            Decision::Stays => {
                stay(resume);
                return Err(ResumeRefusal::Busy);
            }
            // It may be the other node's, so it is not this one's any more.
            Decision::Unknown => return Ok(()),
            Decision::Moved => {}
        }
        // Everything up to the change is read first: it is for this connection. If that takes too long, nobody waits for it.
        if !changed.wait_timeout(PATIENCE) {
            return Ok(());
        }
        drop(moving);
        if self.is_stopping() {
            // Closed at the last moment, on purpose.
            return Err(ResumeRefusal::Gone);
        }
        if let Some(parcel) = self.parcel(resume, leaving.user.as_ref().map(|(_, login, _)| *login)) {
            remote.deliver(wanted, parcel);
        }
        Ok(())
    }

    /// Workers may still handle what was received; their answers are of this connection.
    fn wait_for_tasks(&self, wanted: &Wanted) -> Result<(), ResumeRefusal> {
        while self.tasks().are_pending() {
            if wanted.until.is_over() || self.is_stopping() {
                return Err(ResumeRefusal::Busy);
            }
            sleep(MOMENT);
        }
        Ok(())
    }

    fn begin_to_leave(&self, resume: &Resume, wanted: &Wanted) -> Result<Arc<Event>, ResumeRefusal> {
        if self.is_stopping() {
            return Err(ResumeRefusal::Gone);
        }
        if wanted.until.is_over() {
            return Err(ResumeRefusal::Busy);
        }
        resume.check(&wanted.secret)?;
        self.outbox().lock().forget_received(wanted.received)?;
        let changed = Arc::new(Event::new());
        let mut state = resume.lock();
        state.stage = Stage::Leaving;
        let theirs = Arc::clone(&changed);
        state.departure = Some(Departure { request: wanted.request, kept: None, changed: theirs });
        Ok(changed)
    }

    fn parcel(&self, resume: &Resume, login: Option<u64>) -> Option<Vec<u8>> {
        let claim = self.membership().login_to_move().map(|(_, claim)| claim.login);
        let groups = self.membership().groups();
        let mut state = resume.lock();
        let kept = state.departure.as_mut()?.kept.take()?;
        let (received, there) = (state.received, state.there);
        let tokens = state.tokens.take()?;
        drop(state);
        let (is_logged_in, is_durable, luggage) = (claim == login, resume.is_durable(), self.pack());
        let parcel = Parcel { received, tokens, there, is_logged_in, is_durable, groups, kept, luggage };
        Some(parcel.encode())
    }

    /// What the program gives along.
    pub(super) fn pack(&self) -> Vec<u8> {
        let mut luggage = Vec::new();
        if let Some(carry) = self.core().talk().carry.get() {
            self.contain("hook that packs", || {
                luggage = (carry.pack)(&(self.arc() as Arc<dyn IConnection>))?;
                Ok(())
            });
        }
        luggage
    }
}

fn stay(resume: &Resume) {
    let mut state = resume.lock();
    (state.stage, state.departure) = (Stage::Counting, None);
}

impl Resume {
    /// Whether it is no longer on this node.
    pub(super) fn has_moved(&self) -> bool {
        self.lock().departure.as_ref().is_some_and(|departure| departure.changed.is_set())
    }
}

#[cfg(feature = "redis")]
impl Connection {
    /// Whether it is on its way to another node: its login may be there already.
    pub(crate) fn is_leaving(&self) -> bool {
        self.resume().is_some_and(|resume| resume.lock().departure.is_some())
    }

    /// The peer has come to another node. The connection's own coroutine looks.
    pub(crate) fn want_to_move(&self, wanted: Wanted) -> Result<(), ResumeRefusal> {
        let resume = self.resume().ok_or(ResumeRefusal::Gone)?;
        resume.check(&wanted.secret)?;
        if self.core().talk().dialogue.get().is_some() {
            // Where it is in its dialogue cannot be moved.
            return Err(ResumeRefusal::Gone);
        }
        {
            let mut state = resume.lock();
            if state.wanted.as_ref().is_some_and(|earlier| !earlier.until.is_over()) {
                return Err(ResumeRefusal::Busy);
            }
            // It finds the stream ended, or is waiting already.
            if state.stage != Stage::Counting || !self.outbox().lose_line(self.core().bounds(), self.line()) {
                return Err(ResumeRefusal::Gone);
            }
            state.wanted = Some(wanted);
        }
        self.wake_away();
        Ok(())
    }

    /// The nodes have changed over: what comes from now on is read by the other.
    pub(crate) fn change_over_from_here(&self, request: u64) {
        let Some(resume) = self.resume() else { return };
        let is_it = |departure: &&mut Departure| departure.request == request && departure.kept.is_none();
        if resume.lock().departure.as_mut().filter(is_it).is_none() {
            return;
        }
        // What it has read up to here is in Redis before the other node is told, or is asked for.
        self.save_now();
        let kept = self.outbox().lock().take_kept(self.core().bounds());
        self.withdraw_from_places();
        let mut state = resume.lock();
        if let Some(departure) = &mut state.departure {
            departure.kept = kept;
            departure.changed.set();
        }
    }
}

/// How long it may take until this node has read what was for the connection.
const PATIENCE: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
