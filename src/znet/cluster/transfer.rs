//! A connection moves to the node that its peer has come to.
//!
//! The node that the peer has come to asks the node that has the connection. That one finishes what it has received, and then has
//! Redis change over in one step: the user's login is of the other node from then on, and a mark is in the stream of each of the
//! two nodes. So whatever is sent to the user or to a group is before both marks or behind both. What is before them, the first node
//! reads, and keeps for the peer; what is behind them, the other node does. When the first node comes to its mark, it closes the
//! connection and sends what is kept to the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::Value;

use super::entry::{
    BEFORE, CONNECTION, DATA, Entry, FROM, FROM_INCARNATION, GENERATION, LOGIN, MESSAGE, REQUEST, Said, USER,
    items, number, text,
};
use super::joined::{Joined, LONGEST_STREAM};
use super::requests::Request;
use super::scripts::{CHANGE_OVER, FIND, STAY};
use crate::green::{Until, sleep};
use crate::ziface::{IConnection, ResumeRefusal};
use crate::znet::people::membership::{Claim, User};
use crate::znet::resume::parcel::{
    Ask, Decision, Fetched, Leaving, Parcel, Wanted, read_names, refusal_number, refusal_of, write_names,
};
use crate::znet::resume::token::Secret;
use crate::znet::resume::wire::{address, parts_of};
use crate::znet::server::core::Core;
use crate::zredis::Failed;

/// On the node that the peer has come to.
impl Joined {
    pub(super) fn fetch_from_others(&self, ask: &Ask) -> Result<Fetched, ResumeRefusal> {
        let request = self.requests.begin();
        let opened = self.opened();
        let mut command = FIND.on(&self.nodes_key());
        command.arg(&self.prefix).arg(&self.incarnation).arg(name_of(ask.address)).arg(LONGEST_STREAM);
        command.arg("k").arg("T").arg("f").arg(&self.node).arg("j").arg(&self.incarnation);
        command.arg("r").arg(request.number).arg("n").arg(ask.conn_id).arg("l").arg(ask.login);
        command.arg("d").arg(&ask.secret.0[..]).arg("m").arg(ask.received);
        let (mut is_alive, mut survives) = (false, false);
        match self.link.run(&command).map(items) {
            Ok(said) => match (said.first().and_then(number), said.get(1)) {
                (Some(1), survives_too) => survives = survives_too.and_then(number) == Some(1),
                (Some(2), conn_id) => {
                    return conn_id.and_then(number).map(Fetched::Here).ok_or(ResumeRefusal::Gone);
                }
                (_, at) => {
                    let at = at.and_then(text).ok_or(ResumeRefusal::Gone)?;
                    return self.take_over(ask, &request, &at);
                }
            },
            // It may have been asked.
            Err(Failed::Unknown(_)) => is_alive = true,
            Err(_) => return Err(ResumeRefusal::Busy),
        }
        let parcel = self.wait_for_parcel(ask, &request, (is_alive, survives));
        if matches!(parcel, Err(ResumeRefusal::Gone)) && survives {
            // Its node may be dead: what that has left behind is free once its lease is over.
            return Err(ResumeRefusal::Busy);
        }
        if parcel.is_err() && (!self.link.is_up() || !self.inbox.is_up() || self.opened() != opened) {
            // The answer may have been lost here.
            return Err(ResumeRefusal::Busy);
        }
        parcel
    }

    /// What becomes of a question, within the time; of a connection that survives its node, until that is known.
    fn wait_for_parcel(
        &self,
        ask: &Ask,
        request: &Request<'_>,
        (mut is_alive, survives): (bool, bool),
    ) -> Result<Fetched, ResumeRefusal> {
        let (mut until, mut changed) = (Until::after_running(LIMIT), false);
        // What it was called on the other node, if it is in Redis, once this node has come to its mark.
        let mut before: Option<String> = None;
        loop {
            match request.wait(until.left().unwrap_or(LIMIT)) {
                Some(Said::Answer(HEARD, _)) => is_alive = true,
                Some(Said::Answer(CHANGED, name)) => {
                    (changed, until) = (true, Until::after_running(LIMIT));
                    before = Some(String::from_utf8(name).unwrap_or_default());
                }
                Some(Said::Answer(PARCEL, data)) => {
                    let parcel = Parcel::decode(Bytes::from(data)).ok_or(ResumeRefusal::Gone)?;
                    return Ok(Fetched::Moved(parcel.into()));
                }
                Some(Said::Answer(_, why)) => return Err(refusal_of(&why).unwrap_or(ResumeRefusal::Gone)),
                Some(_) => return Err(ResumeRefusal::Gone),
                None if !until.is_over() => {}
                None if changed => {
                    let is_in_redis = before.as_ref().map_or(survives, |before| !before.is_empty());
                    if !is_in_redis {
                        return Err(ResumeRefusal::Gone);
                    }
                    if let Some(settled) = before.as_ref().and_then(|before| self.settle(ask, before)) {
                        return settled;
                    }
                    if !self.is_awaited(ask.conn_id) {
                        return Err(ResumeRefusal::Busy);
                    }
                    until = Until::after_running(LIMIT);
                }
                // From here on it stays where it is, unless it has moved.
                None => match self.decide(&self.question(&self.incarnation, request.number)) {
                    Decision::Moved => (changed, until) = (true, Until::after_running(LIMIT)),
                    Decision::Stays if !is_alive => return Err(ResumeRefusal::Gone),
                    // If it is to come, nobody else would take it.
                    Decision::Unknown if survives && self.is_awaited(ask.conn_id) => {
                        until = Until::after_running(LIMIT);
                    }
                    _ => return Err(ResumeRefusal::Busy),
                },
            }
        }
    }

    /// Whether a connection has moved. If not, it stays, also if Redis is told later that it moves.
    pub(super) fn decide(&self, question: &str) -> Decision {
        self.link.run(&STAY.on(question)).map_or(Decision::Unknown, |said| decided(&said))
    }

    pub(super) fn question(&self, incarnation: &str, request: u64) -> String {
        format!("{}:q:{incarnation}-{request}", self.prefix)
    }

    /// The mark of this node: what is for the connection comes here now.
    pub(super) fn change_over_to_here(&self, core: &Core, entry: &Entry) {
        let numbers = (entry.number(CONNECTION), entry.number(LOGIN), entry.number(REQUEST));
        let (Some(conn_id), Some(login), Some(request)) = numbers else { return };
        let groups = read_names(entry.bytes(DATA)).unwrap_or_default();
        let claim = entry.number(GENERATION).map(|generation| Claim {
            login,
            generation,
            is_shared: entry.text(MESSAGE) == "1",
        });
        let uid: Arc<str> = entry.text(USER).into();
        let user = claim.map(|claim| User { uid: Arc::clone(&uid), valid: true, claim: Some(claim) });
        // What it was called there, if it is in Redis.
        let before = entry.bytes(BEFORE);
        let is_durable = !before.is_empty();
        let here = |conn: Arc<dyn IConnection>| {
            conn.connection().change_over_to_here(user, login, &groups, is_durable)
        };
        if core.manager().find_any(conn_id).is_some_and(here) {
            return self.requests.answer(request, Said::Answer(CHANGED, before.to_vec()));
        }
        // Nobody waits for it any more.
        if claim.is_some() {
            self.release_login(&uid, login);
        }
        if is_durable {
            self.forget_durable(conn_id);
        }
    }
}

/// On the node that has the connection.
impl Joined {
    /// The peer has come to another node. Never waits: the connection's own coroutine does it.
    pub(super) fn wanted_by_other(&self, core: &Core, entry: &Entry) {
        let Some((conn_id, wanted)) = wanted(entry) else { return };
        self.answer(&wanted.node, &wanted.incarnation, wanted.request, Said::Answer(HEARD, Vec::new()));
        let asked = match core.manager().find(conn_id) {
            Some(conn) => conn.connection().want_to_move(wanted.clone()),
            None => Err(ResumeRefusal::Gone),
        };
        if let Err(why) = asked {
            self.refuse_wanted(&wanted, why);
        }
    }

    pub(super) fn refuse_wanted(&self, wanted: &Wanted, why: ResumeRefusal) {
        let said = Said::Answer(REFUSED, vec![refusal_number(why)]);
        self.answer(&wanted.node, &wanted.incarnation, wanted.request, said);
    }

    /// If Redis does not answer, it is asked whether it has done it, and if not, never to do it.
    pub(super) fn change_over_now(&self, wanted: &Wanted, leaving: &Leaving) -> Decision {
        let here = name_of(address(self.mark_of_this(), leaving.conn_id));
        let there = name_of(address(mark_of(&wanted.incarnation), wanted.conn_id));
        let question = self.question(&wanted.incarnation, wanted.request);
        let moved_key = format!("{}:w:{here}", self.prefix);
        let mut command = CHANGE_OVER.on(&moved_key);
        command.arg(&self.prefix).arg(&self.node).arg(&self.incarnation);
        command.arg(&*wanted.node).arg(&*wanted.incarnation).arg(&there).arg(MOVED_STAYS.as_millis() as u64);
        command.arg(&question).arg(wanted.asked_at + LAST_MOMENT.as_millis() as u64).arg(LONGEST_STREAM);
        command.arg(leaving.conn_id).arg(wanted.request).arg(wanted.conn_id).arg(wanted.login);
        command.arg(write_names(&leaving.groups)).arg(&here);
        if let Some((uid, login, is_shared)) = &leaving.user {
            let field = format!("{}/{}/{}", wanted.node, wanted.incarnation, wanted.login);
            command.arg(self.logins_of(uid)).arg(self.field(*login)).arg(field);
            command.arg(&**uid).arg(u8::from(*is_shared));
        }
        match self.link.run(&command) {
            Ok(said) => decided(&said),
            Err(Failed::NotSent(_) | Failed::Refused(_)) => Decision::Stays,
            Err(Failed::Unknown(_)) => self.ask_whether_moved(&question, leaving),
        }
    }

    fn ask_whether_moved(&self, question: &str, leaving: &Leaving) -> Decision {
        let until = Until::after(UNDECIDED);
        // One that survives its node is somewhere: that is to be known, however long it takes.
        let waits = || match leaving.is_durable {
            true => self.is_awaited(leaving.conn_id),
            false => !until.is_over() && !self.leaving.is_set(),
        };
        while waits() {
            match self.decide(question) {
                Decision::Unknown => sleep(PAUSE),
                decision => return decision,
            }
        }
        Decision::Unknown
    }

    /// The mark of this node: what is for the connection does not come here any more.
    pub(super) fn change_over_from_here(&self, core: &Core, entry: &Entry) {
        let (Some(conn_id), Some(request)) = (entry.number(CONNECTION), entry.number(REQUEST)) else {
            return;
        };
        if let Some(conn) = core.manager().find_any(conn_id) {
            conn.connection().change_over_from_here(request);
        }
    }

    /// Sent again if it is not known whether it has arrived: the other node takes the first.
    pub(super) fn deliver_parcel(&self, wanted: &Wanted, parcel: Vec<u8>) {
        let until = Until::after(LIMIT);
        let said = Said::Answer(PARCEL, parcel);
        let command = self.answer_command(&wanted.node, &wanted.incarnation, wanted.request, said);
        while let Err(failed) = self.link.run(&command) {
            if until.is_over() || self.leaving.is_set() {
                log::warn!("a connection that moves to node {:?} is lost on its way: {failed}", wanted.node);
                return;
            }
            sleep(PAUSE);
        }
    }

    /// Whether this node runs on, and this connection of it.
    pub(super) fn is_awaited(&self, conn_id: u64) -> bool {
        let conn = self.core.upgrade().and_then(|core| core.manager().find(conn_id));
        !self.leaving.is_set() && conn.is_some_and(|conn| !conn.connection().is_stopping())
    }

    pub(super) fn mark_of_this(&self) -> u64 {
        mark_of(&self.incarnation)
    }
}

fn wanted(entry: &Entry) -> Option<(u64, Wanted)> {
    let wanted = Wanted {
        node: entry.text(FROM).into(),
        incarnation: entry.text(FROM_INCARNATION).into(),
        request: entry.number(REQUEST)?,
        asked_at: entry.id.0,
        conn_id: entry.number(THEIR_CONNECTION)?,
        login: entry.number(LOGIN)?,
        secret: Secret(entry.bytes(DATA).try_into().ok()?),
        received: entry.number(MESSAGE)?,
        until: Until::after_running(LAST_MOMENT),
    };
    Some((entry.number(CONNECTION)?, wanted))
}

fn decided(said: &Value) -> Decision {
    if number(said) == Some(1) { Decision::Moved } else { Decision::Stays }
}

/// The beginning of an incarnation, as a number: within a token, it names a node.
pub(super) fn mark_of(incarnation: &str) -> u64 {
    incarnation.get(..MARK_DIGITS).and_then(|mark| u64::from_str_radix(mark, 16).ok()).unwrap_or_default()
}

/// A connection, as the keys of Redis name it.
pub(super) fn name_of(address: u64) -> String {
    let (mark, conn_id) = parts_of(address);
    format!("{mark:0MARK_DIGITS$x}-{conn_id}")
}

/// What is said of a question: it has come,
const HEARD: u32 = 0;
/// the nodes have changed over,
pub(super) const CHANGED: u32 = 1;
/// here is the connection,
const PARCEL: u32 = 2;
/// the connection does not move.
const REFUSED: u32 = 3;

const THEIR_CONNECTION: u8 = b'n';
/// 24 bits.
const MARK_DIGITS: usize = 6;
/// How long a node waits for the answer of another, and for the connection after that.
pub(super) const LIMIT: Duration = Duration::from_secs(1);
/// How long after a question the nodes may still change over: the other has to learn of it while it waits.
const LAST_MOMENT: Duration = Duration::from_millis(800);
/// How long it is known where a connection has moved to, for a peer that has not got the next token.
pub(super) const MOVED_STAYS: Duration = Duration::from_secs(3600);
/// How long a node tries to learn what has become of a connection. It closes then: it may be on the other node.
const UNDECIDED: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_named_by_its_node_and_its_number() {
        let mark = mark_of("0012ab3456789abc");
        assert_eq!((mark, name_of(address(mark, 77))), (0x12AB, "0012ab-77".to_string()));
        assert_eq!(name_of(u64::MAX), "ffffff-1099511627775");
        assert_eq!(mark_of("none"), 0);
    }
}
