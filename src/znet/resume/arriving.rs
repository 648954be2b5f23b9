//! A connection that comes from another node: the one on which its peer has come becomes it.

use std::sync::Arc;
use std::time::Duration;

use super::parcel::{Ask, Fetched, Parcel};
use super::state::{Arrival, Resume, Stage};
use super::token::{Secret, Tokens};
use super::wire::{self, Asked, Granted, Token};
use crate::green::Until;
use crate::ziface::{CloseReason, IConnection, ResumeRefusal};
use crate::znet::cluster::remote::Remote;
use crate::znet::conn::connection::Connection;
#[cfg(feature = "redis")]
use crate::znet::people::membership::User;

impl Connection {
    /// Asks the other nodes for the connection that the peer has lost. From the moment on in which the nodes change over,
    /// this one keeps what is sent to it for the peer.
    pub(super) fn fetch(
        &self,
        resume: &Resume,
        asked: &Asked,
        remote: &dyn Remote,
    ) -> Result<Fetched, ResumeRefusal> {
        if self.is_hung_up() {
            return Err(ResumeRefusal::Busy);
        }
        let transport = self.line().get().ok_or(ResumeRefusal::Gone)?;
        // All that this connection has sent leaves first, and nothing after.
        self.hold_outbox(&transport).map_err(|_| ResumeRefusal::Gone)?;
        let config = self.core().config();
        self.outbox().lock().keep_only((config.resume_frames, config.resume_bytes));
        self.release_outbox();
        let Token { address, secret } = asked.token;
        let login = remote.next_login();
        {
            let mut state = resume.lock();
            state.stage = Stage::Arriving;
            state.tokens = Some(Tokens::new(secret));
            state.arrival = Some(Arrival { login, changed: false });
        }
        let ask = Ask { address, secret, received: asked.received, conn_id: self.id(), login };
        let moving = self.begin_move(resume, Until::after_running(LIMIT));
        let fetched = moving.and_then(|_moving| remote.fetch(&ask));
        if !matches!(fetched, Ok(Fetched::Moved(_))) {
            self.give_up_arrival(resume);
        }
        fetched
    }

    pub(super) fn give_up_arrival(&self, resume: &Resume) {
        {
            let mut state = resume.lock();
            (state.stage, state.arrival, state.tokens) = (Stage::Plain, None, None);
        }
        self.outbox().lock().stop_keeping(self.core().bounds());
    }

    /// Becomes the connection that the peer has lost, and answers the peer.
    pub(super) fn become_it(
        &self,
        resume: &Resume,
        asked: &Asked,
        parcel: Parcel,
    ) -> Result<(), ResumeRefusal> {
        let settled = self.settle_in(resume, asked, parcel);
        if settled.is_err() {
            self.give_up_arrival(resume);
        }
        settled
    }

    fn settle_in(&self, resume: &Resume, asked: &Asked, parcel: Parcel) -> Result<(), ResumeRefusal> {
        let Parcel { received, mut tokens, there, is_logged_in, is_durable, groups, kept, luggage } = parcel;
        if !resume.lock().arrival.as_ref().is_some_and(|arrival| arrival.changed) {
            return Err(ResumeRefusal::Gone);
        }
        let fresh = Secret::random().ok_or(ResumeRefusal::Gone)?;
        let secret = tokens.take(&asked.token.secret, fresh)?;
        self.keep_places(is_logged_in, &groups);
        if !self.unpack(&luggage) {
            return Err(ResumeRefusal::Gone);
        }
        let token = Token { address: self.address(), secret };
        let window = resume.lock().window;
        let frame = self.packed(wire::TOKEN, Granted { token, received, window }.encode());
        let frame = frame.ok_or(ResumeRefusal::Gone)?;
        {
            let mut state = resume.lock();
            (state.stage, state.tokens, state.arrival) = (Stage::Counting, Some(tokens), None);
            (state.received, state.current) = (received, received);
            (state.told, state.there) = (received, there);
        }
        let bounds = self.core().bounds();
        if !self.outbox().lock().put_before(bounds, kept) {
            return Err(ResumeRefusal::Gone);
        }
        if is_durable && (!self.survive_again(resume) || resume.lock().handover.is_some()) {
            // It is here: the peer is to come again, or has done so.
            let error = "Redis has not taken the connection".to_string();
            let waits = self.lose_peer(CloseReason::Failed { error });
            return if waits { Ok(()) } else { Err(ResumeRefusal::Gone) };
        }
        {
            let mut state = self.outbox().lock();
            if !state.may_send_again(bounds) {
                return Err(ResumeRefusal::Gone);
            }
            state.forget_received(asked.received)?;
            state.append_uncounted(&frame);
            state.send_again(bounds);
            self.writer().flush_soon(state);
        }
        self.core().counters.resumed.add();
        Ok(())
    }

    /// What the program has given along. `false` if it cannot take it.
    fn unpack(&self, luggage: &[u8]) -> bool {
        let carry = self.core().talk().carry.get().filter(|_| !luggage.is_empty());
        carry.is_none_or(|carry| {
            let shared = self.arc() as Arc<dyn IConnection>;
            self.contain("hook that unpacks", || (carry.unpack)(&shared, luggage))
        })
    }

    /// What a token of this connection names.
    pub(super) fn address(&self) -> u64 {
        wire::address(self.core().talk().mark(), self.id())
    }
}

#[cfg(feature = "redis")]
impl Connection {
    /// The nodes have changed over: what is sent to this connection from now on is for the peer. `false` if it does not wait
    /// for that any more.
    pub(crate) fn change_over_to_here(
        &self,
        user: Option<User>,
        login: u64,
        groups: &[Arc<str>],
        is_durable: bool,
    ) -> bool {
        let Some(resume) = self.resume() else { return false };
        {
            let mut state = resume.lock();
            let waits = state.arrival.as_mut().filter(|arrival| arrival.login == login);
            let Some(arrival) = waits else { return false };
            arrival.changed = true;
        }
        if is_durable {
            // From now on it is this node that has it stay in Redis, or forgets it.
            resume.set_durable(true);
        }
        self.outbox().lock().forget_all(self.core().bounds());
        self.take_places(user, groups)
    }
}

/// How long the sends may take that have begun before.
const LIMIT: Duration = Duration::from_secs(1);
