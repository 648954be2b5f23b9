//! The stream of this node: what other nodes want of it, and what they have answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::delivery::Delivery;
use super::entry::{
    ABOUT, CONNECTION, DATA, Entry, FILTER, FROM, FROM_INCARNATION, GENERATION, INCARNATION, LOGIN, MESSAGE,
    REPLY, REQUEST, Said, TIME, USER, entries, items, text,
};
use super::far::nonsense;
use super::joined::{Joined, unavailable};
use super::member::ClusterMember;
use super::place::{Facts, Place};
use super::remote::Audience;
use super::tasks::ClusterTask;
use crate::error::{Error, Result};
use crate::green::{Builder, fairness_point};
use crate::ziface::{CloseReason, IConnection, IMessage};
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;
use crate::zredis::{Failed, Link};

impl Joined {
    /// Reads the stream from a place on, until the node leaves. Each entry is acted on once: their ids only go up.
    pub(super) fn read_entries(self: &Arc<Self>, mut place: Place) {
        let (mut may_have_lost, mut trimmed, mut redis, mut at_once) = (true, place.read, None, AT_ONCE);
        self.counts.behind.store(place.read, Ordering::Relaxed);
        while !self.leaving.is_set() {
            if !self.inbox.is_up() {
                may_have_lost = true;
                self.leaving.wait_timeout(PAUSE);
                continue;
            }
            if may_have_lost && !self.count_lost(&mut place, &mut redis) {
                self.leaving.wait_timeout(PAUSE);
                continue;
            }
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(at_once).arg("BLOCK").arg(BLOCK.as_millis() as u64);
            command
                .arg("STREAMS")
                .arg(self.stream_of(&self.node))
                .arg(format!("{}-{}", place.last.0, place.last.1));
            match self.inbox.run_within(&command, BLOCK * 2) {
                Ok(value) => {
                    let entries = entries(value);
                    may_have_lost = entries.len() == at_once;
                    at_once = (at_once * 2).min(AT_ONCE);
                    for entry in entries {
                        if entry.id > place.last {
                            place.last = entry.id;
                            place.read += 1;
                            self.counts.entries_read.fetch_add(1, Ordering::Relaxed);
                            self.act_on(&entry);
                        }
                        fairness_point();
                    }
                    self.counts.behind.store(place.read, Ordering::Relaxed);
                    // Another stream counts from its own beginning.
                    trimmed = trimmed.min(place.read);
                    if place.read - trimmed >= TRIM_AFTER {
                        trimmed = place.read;
                        self.trim(&place);
                    }
                }
                Err(_) if self.leaving.is_set() => return,
                Err(failed) => {
                    may_have_lost = true;
                    log::warn!("the stream of node {:?}: {failed}", self.node);
                    if failed.was_slow() {
                        // Perhaps they are so large that so many do not come in time: they would not the next time either.
                        at_once = (at_once / 4).max(1);
                        self.inbox.cut();
                    }
                    self.leaving.wait_timeout(PAUSE);
                }
            }
        }
    }

    /// Lets Redis forget what has been read.
    fn trim(&self, place: &Place) {
        let mut command = redis::cmd("XTRIM");
        command.arg(self.stream_of(&self.node)).arg("MINID").arg("~");
        let _ = self.link.tell(command.arg(format!("{}-{}", place.last.0, place.last.1)));
    }

    /// Counts what was trimmed before it was read, or got lost with another Redis. `false` if Redis does not say.
    fn count_lost(&self, place: &mut Place, redis: &mut Option<String>) -> bool {
        let Ok(facts) = self.facts(&self.inbox) else { return false };
        let mut lost = place.lost(&facts);
        if let Some(now) = self.which_redis() {
            let is_another = redis.as_ref().is_some_and(|was| *was != now);
            *redis = Some(now);
            // What it did not get from the one before, nobody knows.
            lost = lost.max(u64::from(is_another));
        }
        if lost > 0 {
            self.counts
                .entries_lost
                .fetch_add(usize::try_from(lost).unwrap_or(usize::MAX), Ordering::Relaxed);
            log::warn!("node {:?} has missed {lost} entries of its stream, at least", self.node);
            // Perhaps one of them was the kick of a login that has been replaced.
            self.look_at_logins();
        }
        true
    }

    /// Which run of which Redis it is. `None` if it does not say.
    fn which_redis(&self) -> Option<String> {
        let said = self.inbox.run(redis::cmd("INFO").arg("server")).ok()?;
        text(&said)?.lines().find_map(|line| line.strip_prefix("run_id:").map(str::to_string))
    }

    /// What Redis says of the stream of this node.
    pub(super) fn facts(&self, link: &Link) -> Result<Facts> {
        let command = redis::cmd("XINFO").arg("STREAM").arg(self.stream_of(&self.node)).clone();
        match link.run(&command) {
            Ok(value) => Facts::of(&items(value)).ok_or_else(nonsense),
            Err(Failed::Refused(words)) if words.contains("no such key") => Ok(Facts::default()),
            Err(failed) => Err(unavailable(failed)),
        }
    }

    /// Never waits: what has to wait gets a coroutine.
    fn act_on(self: &Arc<Self>, entry: &Entry) {
        let Some(core) = self.core.upgrade() else { return };
        // Those for an earlier life of this node are none of its business.
        if entry.text(INCARNATION) != self.incarnation {
            return;
        }
        match entry.kind() {
            b'a' => {
                if let (Some(number), Some(said)) = (entry.number(REQUEST), Said::of(entry)) {
                    self.requests.answer(number, said);
                }
            }
            b'p' => self.push_here(&core, entry),
            b'x' => self.lose_login_here(&core, entry),
            b'o' => kick_here(&core, entry),
            b'g' => self.broadcast_here(&core, Audience::Group(entry.text(USER)), entry),
            b'n' => self.broadcast_here(&core, Audience::Users, entry),
            b'w' => self.tell_members(&core, entry),
            b'T' => self.wanted_by_other(&core, entry),
            b'L' => self.change_over_from_here(&core, entry),
            b'A' => self.change_over_to_here(&core, entry),
            b'c' => self.spawn(&core, entry, call_here),
            b'q' => self.spawn(&core, entry, run_here),
            _ => log::debug!("an entry of an unknown kind: {entry:?}"),
        }
    }

    fn push_here(&self, core: &Arc<Core>, entry: &Entry) {
        let Some(msg_id) = entry.number(MESSAGE) else { return };
        let takes = |conn: &Connection| self.is_for(conn, entry);
        let said = match core.push_to_user(entry.text(USER), msg_id, entry.bytes(DATA).into(), takes) {
            Ok(Delivery::Delivered) => Said::Delivered,
            Ok(Delivery::Full) => Said::Full,
            // The asker takes it for unknown.
            Ok(Delivery::Unknown) => Said::TimedOut,
            Ok(_) => Said::Offline,
            Err(error) => Said::Failed(error.to_string()),
        };
        if let Some(request) = entry.number(REQUEST) {
            self.answer(entry.text(FROM), entry.text(FROM_INCARNATION), request, said);
        }
    }

    /// What this node has sent to itself is for connections that were moving at that time.
    fn is_for(&self, conn: &Connection, entry: &Entry) -> bool {
        let moves = || entry.number(EPOCH).is_some_and(|epoch| conn.is_moving_at(epoch));
        entry.text(FROM) != self.node || moves()
    }

    fn lose_login_here(&self, core: &Core, entry: &Entry) {
        let (Some(conn_id), Some(login)) = (entry.number(CONNECTION), entry.number(LOGIN)) else { return };
        if let Some(conn) = core.manager().find_any(conn_id) {
            self.lose_login(&*conn, login);
        }
    }

    fn tell_members(&self, core: &Arc<Core>, entry: &Entry) {
        let Some(request) = entry.number(REQUEST) else { return };
        let members = ClusterMember::write_all(&self.node, &core.members_here(entry.text(USER)));
        self.answer(entry.text(FROM), entry.text(FROM_INCARNATION), request, Said::Answer(0, members));
    }

    fn broadcast_here(&self, core: &Arc<Core>, audience: Audience<'_>, entry: &Entry) {
        let Some(msg_id) = entry.number(MESSAGE) else { return };
        let chosen = entry.number(FILTER).map(|filter_id| (filter_id, entry.bytes(ABOUT)));
        let takes = |conn: &Arc<dyn IConnection>| self.is_for(conn.connection(), entry);
        let data = entry.bytes(DATA).into();
        if let Err(error) = core.send_to_audience(audience, chosen, msg_id, data, takes) {
            log::warn!("a broadcast of node {:?}: {error}", entry.text(FROM));
        }
    }

    /// Does what waits in a coroutine of its own, and answers.
    fn spawn(self: &Arc<Self>, core: &Arc<Core>, entry: &Entry, act: fn(&Core, &Wanted) -> Said) {
        let Some(wanted) = Wanted::of(entry) else { return };
        let (this, theirs) = (Arc::clone(self), Arc::clone(core));
        let (from, incarnation, request) = (wanted.from.clone(), wanted.incarnation.clone(), wanted.request);
        let run =
            move || this.answer(&wanted.from, &wanted.incarnation, wanted.request, act(&theirs, &wanted));
        if let Err(error) = core.tasks().spawn(Builder::new().name("request of a node"), run) {
            self.answer(&from, &incarnation, request, Said::Failed(error.to_string()));
        }
    }
}

/// What another node asks for.
struct Wanted {
    from: String,
    incarnation: String,
    request: u64,
    user: String,
    id: u32,
    reply_id: u32,
    timeout: Duration,
    data: Vec<u8>,
}

impl Wanted {
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            from: entry.text(FROM).to_string(),
            incarnation: entry.text(FROM_INCARNATION).to_string(),
            request: entry.number(REQUEST)?,
            user: entry.text(USER).to_string(),
            id: entry.number(MESSAGE)?,
            reply_id: entry.number(REPLY).unwrap_or_default(),
            timeout: Duration::from_millis(entry.number(TIME)?),
            data: entry.bytes(DATA).to_vec(),
        })
    }
}

fn call_here(core: &Core, wanted: &Wanted) -> Said {
    let Some(conn) = core.talk().users.connections(&wanted.user).pop() else { return Said::Offline };
    let answer = conn.call(wanted.id, &wanted.data[..], wanted.reply_id, wanted.timeout);
    said(answer.map(|message| (message.get_msg_id(), message.get_data().to_vec())))
}

fn run_here(core: &Core, wanted: &Wanted) -> Said {
    let task = ClusterTask::new(wanted.from.as_str().into(), wanted.id, wanted.data.clone());
    said(core.run_now(&task).map(|data| (0, data)))
}

fn said(result: Result<(u32, Vec<u8>)>) -> Said {
    match result {
        Ok((msg_id, data)) => Said::Answer(msg_id, data),
        Err(Error::ConnectionClosed) => Said::Offline,
        Err(Error::TimedOut { .. }) => Said::TimedOut,
        Err(Error::TaskNotFound { .. }) => Said::NoTask,
        Err(error) => Said::Failed(error.to_string()),
    }
}

/// Not those that have logged in after the kick.
fn kick_here(core: &Core, entry: &Entry) {
    let newest = entry.number(GENERATION).unwrap_or(u64::MAX);
    for conn in core.talk().users.connections(entry.text(USER)) {
        let conn = conn.connection();
        if conn.membership().claim().is_none_or(|claim| claim.generation <= newest) {
            conn.stop_because(CloseReason::Kicked);
        }
    }
}

/// Of the node's own sends, in which it was sent.
const EPOCH: u8 = b'e';
const PAUSE: Duration = Duration::from_millis(20);
/// How long a read of the stream waits for an entry.
const BLOCK: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 512;
/// Entries that have been read, until Redis is told to forget them.
const TRIM_AFTER: u64 = 1000;
