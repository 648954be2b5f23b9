//! What this node asks of the others.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Cmd;

use super::delivery::Delivery;
use super::entry::{Said, items, number, text};
use super::joined::{Joined, LOGINS_STAY, LONGEST_STREAM, unavailable};
use super::member::ClusterMember;
#[cfg(feature = "admin")]
use super::place::Facts;
use super::remote::{Audience, Chosen, Question, Remote};
use super::requests::Request;
use super::scripts::{CLAIM, SEND, SEND_ALL, SEND_TO};
use super::sends::Sending;
use super::stats::ClusterStats;
use crate::error::{Error, Result};
use crate::green::Until;
use crate::ziface::ResumeRefusal;
use crate::znet::people::registry::OnDuplicate;
use crate::znet::resume::parcel::{Ask, Decision, Fetched, Leaving, Save, Saving, Wanted};
use crate::znet::route::aside::step_aside;
use crate::zpack::Message;
use crate::zredis::Failed;

impl Remote for Joined {
    fn next_login(&self) -> u64 {
        self.logins.fetch_add(1, Ordering::Relaxed)
    }

    fn claim(&self, uid: &str, login: u64, conn_id: u64, on_duplicate: OnDuplicate) -> Result<u64> {
        let policy = match on_duplicate {
            OnDuplicate::KickOld => "kick",
            OnDuplicate::Reject => "reject",
            OnDuplicate::Multi => "multi",
        };
        let mut command = CLAIM.on(&self.logins_of(uid));
        let opened = self.opened();
        command.arg(&self.prefix).arg(&self.node).arg(&self.incarnation).arg(login).arg(conn_id).arg(policy);
        command.arg(uid).arg(LONGEST_STREAM).arg(opened).arg(millis(LOGINS_STAY));
        drop(step_aside());
        let said = self.link.run(&command).inspect_err(|failed| {
            if matches!(failed, Failed::Unknown(_)) {
                // It may have been claimed.
                self.release_login(uid, login);
            }
        });
        let said = items(said.map_err(unavailable)?);
        match (said.first().and_then(number), said.get(1), said.get(2)) {
            (Some(1), Some(generation), _) => {
                self.counts.logins_won.fetch_add(1, Ordering::Relaxed);
                if self.opened() != opened {
                    // Redis may have forgotten it since, and the look at all logins may have come before it was one.
                    self.look_at_logins();
                }
                number(generation).ok_or_else(nonsense)
            }
            (Some(0), _, Some(conn)) => {
                let conn_id = number(conn).unwrap_or_default();
                Err(Error::LoggedIn { uid: uid.to_string(), conn_id })
            }
            (Some(2), ..) => {
                // The lease was lost: it is taken again before the next login.
                self.look.set();
                Err(Error::ClusterUnavailable { reason: "the lease of this node is over".to_string() })
            }
            _ => Err(nonsense()),
        }
    }

    fn release(&self, uid: &str, login: u64) {
        self.release_login(uid, login);
    }

    fn online(&self, uids: &[String]) -> Result<Vec<bool>> {
        let command = |uid: &String| self.to_user(uid, "none");
        drop(step_aside());
        let mut online = Vec::with_capacity(uids.len());
        for some in uids.chunks(BATCH) {
            let commands: Vec<_> = some.iter().map(command).collect();
            for said in self.link.run_all(&commands) {
                online.push(number(&said.map_err(unavailable)?).unwrap_or_default() > 0);
            }
        }
        Ok(online)
    }

    fn push(&self, uid: &str, msg_id: u32, data: &[u8], sending: Sending<'_>) -> Result<Delivery> {
        let request = self.requests.begin();
        let mut command = self.to_user_by(uid, &sending);
        self.asks(&mut command, "p", &request);
        command.arg("u").arg(uid).arg("m").arg(msg_id).arg("d").arg(data);
        drop(step_aside());
        let until = Until::after_running(LIMIT);
        let nodes = match self.link.run(&command) {
            Ok(nodes) => number(&nodes).unwrap_or_default(),
            Err(Failed::Unknown(_)) => return Ok(Delivery::Unknown),
            Err(failed) => return Err(unavailable(failed)),
        };
        // It is on its way.
        drop(sending);
        let mut delivery = Delivery::Offline;
        for _ in 0..nodes {
            delivery = delivery.or(match request.wait(until.left().unwrap_or(LIMIT)) {
                Some(Said::Delivered) => Delivery::Delivered,
                Some(Said::Full) => Delivery::Full,
                Some(Said::Offline) => Delivery::Offline,
                Some(Said::Failed(words)) => return Err(words.into()),
                _ => Delivery::Unknown,
            });
        }
        Ok(delivery)
    }

    fn push_also(&self, uid: &str, msg_id: u32, data: &[u8], sending: &Sending<'_>) {
        let mut command = self.to_user_by(uid, sending);
        command.arg("k").arg("p").arg("f").arg(&self.node).arg("u").arg(uid);
        command.arg("m").arg(msg_id).arg("d").arg(data);
        let _ = self.link.tell_or_count(&command, &self.counts.entries_unsent);
    }

    fn call(&self, uid: &str, question: Question<'_>) -> Result<Option<Message>> {
        let Question { msg_id, data, reply_id, timeout } = question;
        let request = self.requests.begin();
        let mut command = self.to_user(uid, "newest");
        self.asks(&mut command, "c", &request);
        command.arg("u").arg(uid).arg("m").arg(msg_id).arg("a").arg(reply_id).arg("d").arg(data);
        command.arg("t").arg(millis(timeout));
        drop(step_aside());
        let until = Until::after_running(timeout.saturating_add(LIMIT));
        if number(&self.link.run(&command).map_err(unavailable)?) != Some(1) {
            return Ok(None);
        }
        match request.wait(until.left().unwrap_or(Duration::MAX)) {
            Some(Said::Answer(msg_id, data)) => Ok(Some(crate::zpack::new_message(msg_id, data))),
            Some(Said::Offline) => Ok(None),
            Some(Said::Failed(words)) => Err(words.into()),
            _ => Err(Error::TimedOut { what: "call", waited: timeout }),
        }
    }

    fn kick(&self, uid: &str) -> Result<bool> {
        let mut command = self.to_user(uid, "kick");
        command.arg("k").arg("o").arg("u").arg(uid);
        drop(step_aside());
        Ok(number(&self.link.run(&command).map_err(unavailable)?).unwrap_or_default() > 0)
    }

    fn broadcast(
        &self,
        audience: Audience<'_>,
        chosen: Chosen<'_>,
        msg_id: u32,
        data: &[u8],
        sending: &Sending<'_>,
    ) -> bool {
        let mut command = self.to_all_by(sending);
        match audience {
            Audience::Group(name) => command.arg("k").arg("g").arg("u").arg(name),
            Audience::Users => command.arg("k").arg("n"),
        };
        if let Some((filter_id, about)) = chosen {
            command.arg("w").arg(filter_id).arg("v").arg(about);
        }
        command.arg("f").arg(&self.node).arg("m").arg(msg_id).arg("d").arg(data);
        self.link.tell_or_count(&command, &self.counts.entries_unsent).is_ok()
    }

    fn members(&self, group: &str) -> Result<Vec<ClusterMember>> {
        let request = self.requests.begin();
        let mut command = self.to_all();
        self.asks(&mut command, "w", &request);
        command.arg("u").arg(group);
        drop(step_aside());
        let until = Until::after_running(LIMIT);
        let nodes = number(&self.link.run(&command).map_err(unavailable)?).unwrap_or_default();
        let mut members = Vec::new();
        for _ in 0..nodes {
            let said = request.wait(until.left().unwrap_or(LIMIT));
            let Some(Said::Answer(_, told)) = said else {
                return Err(Error::ClusterUnavailable { reason: "a node has not answered".to_string() });
            };
            members.extend(ClusterMember::read_all(&told).ok_or_else(nonsense)?);
        }
        members.sort_by(|one, other| (&one.node, one.conn_id).cmp(&(&other.node, other.conn_id)));
        Ok(members)
    }

    fn run_on(&self, node: &str, task_id: u32, data: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let request = self.requests.begin();
        let mut command = SEND_TO.on(&self.lease_of(node));
        command.arg(self.stream_of(node)).arg(LONGEST_STREAM);
        command.arg(self.facts_of(&self.incarnation)).arg(self.opened());
        self.asks(&mut command, "q", &request);
        command.arg("m").arg(task_id).arg("d").arg(data).arg("t").arg(millis(timeout));
        drop(step_aside());
        let until = Until::after_running(timeout);
        if number(&self.link.run(&command).map_err(unavailable)?) != Some(1) {
            return Err(Error::NodeNotFound { node: node.to_string() });
        }
        match request.wait(until.left().unwrap_or(Duration::MAX)) {
            Some(Said::Answer(_, data)) => Ok(data),
            Some(Said::NoTask) => Err(Error::TaskNotFound { task_id }),
            Some(Said::Failed(words)) => Err(words.into()),
            _ => Err(Error::TimedOut { what: "run_on", waited: timeout }),
        }
    }

    fn mark(&self) -> u64 {
        self.mark_of_this()
    }

    fn fetch(&self, ask: &Ask) -> std::result::Result<Fetched, ResumeRefusal> {
        self.fetch_from_others(ask)
    }

    fn refuse(&self, wanted: &Wanted, why: ResumeRefusal) {
        self.refuse_wanted(wanted, why);
    }

    fn change_over(&self, wanted: &Wanted, leaving: &Leaving) -> Decision {
        self.change_over_now(wanted, leaving)
    }

    fn deliver(&self, wanted: &Wanted, parcel: Vec<u8>) {
        self.deliver_parcel(wanted, parcel);
    }

    fn save(&self, conn_id: u64, save: &Save) -> Option<Saving> {
        self.save_now(conn_id, save)
    }

    fn forget(&self, conn_id: u64) {
        self.forget_durable(conn_id);
    }

    fn can_save(&self) -> bool {
        self.link.is_up()
    }

    fn nodes(&self) -> Result<Vec<String>> {
        let alive = self.alive(Until::after(LIMIT))?;
        Ok(alive.into_iter().map(|(name, _)| name).collect())
    }

    #[cfg(feature = "admin")]
    fn lags(&self) -> Result<Vec<(String, u64)>> {
        let until = Until::after(LIMIT);
        let alive = self.alive(until)?;
        let ask = |(name, incarnation): &(String, String)| {
            let behind = redis::cmd("HGET").arg(self.facts_of(incarnation)).arg("r").clone();
            [behind, redis::cmd("XINFO").arg("STREAM").arg(self.stream_of(name)).clone()]
        };
        let asked: Vec<_> = alive.iter().flat_map(ask).collect();
        let mut said = self.link.run_all_until(&asked, until).into_iter();
        let mut lags = Vec::new();
        for (name, _) in alive {
            let (Some(behind), Some(stream)) = (said.next(), said.next()) else { return Err(nonsense()) };
            let behind = number(&behind.map_err(unavailable)?).unwrap_or_default();
            let facts = Facts::of(&items(stream.map_err(unavailable)?)).unwrap_or_default();
            let is_this = name == self.node;
            let behind = if is_this { self.counts.behind.load(Ordering::Relaxed) } else { behind };
            lags.push((name, facts.unread(behind)));
        }
        Ok(lags)
    }

    fn stats(&self) -> ClusterStats {
        let counts = &self.counts;
        ClusterStats {
            is_connected: self.link.is_up(),
            reconnects: usize::try_from(self.opened().saturating_sub(1)).unwrap_or(usize::MAX),
            round_trip: Duration::from_micros(counts.round_trip.load(Ordering::Relaxed)),
            logins_won: counts.logins_won.load(Ordering::Relaxed),
            logins_lost: counts.logins_lost.load(Ordering::Relaxed),
            entries_read: counts.entries_read.load(Ordering::Relaxed),
            entries_lost: counts.entries_lost.load(Ordering::Relaxed),
            entries_unsent: counts.entries_unsent.load(Ordering::Relaxed),
            leases_lost: counts.leases_lost.load(Ordering::Relaxed),
        }
    }
}

impl Joined {
    /// The nodes that are alive, in order, each with its incarnation. Takes several steps, and all of them no longer than `until`.
    fn alive(&self, until: Until) -> Result<Vec<(String, String)>> {
        drop(step_aside());
        let range = redis::cmd("ZRANGE").arg(self.nodes_key()).arg(0).arg(-1).clone();
        let known = items(self.link.run(&range).map_err(unavailable)?);
        let mut names: Vec<_> = known.iter().filter_map(text).collect();
        names.sort();
        let leases = names.iter().map(|name| redis::cmd("GET").arg(self.lease_of(name)).clone());
        let leases = self.link.run_all_until(&leases.collect::<Vec<_>>(), until);
        let mut alive = Vec::new();
        for (name, lease) in names.into_iter().zip(leases) {
            if let Some(incarnation) = text(&lease.map_err(unavailable)?) {
                alive.push((name, incarnation));
            }
        }
        Ok(alive)
    }

    /// A command to those nodes on which the user is logged in.
    fn to_user(&self, uid: &str, which: &str) -> Cmd {
        self.to_user_except(uid, which, &self.node)
    }

    /// The same for a send: to this node too if a connection moves.
    fn to_user_by(&self, uid: &str, sending: &Sending<'_>) -> Cmd {
        let Some(epoch) = sending.to_itself() else { return self.to_user(uid, "all") };
        let mut command = self.to_user_except(uid, "all", "");
        command.arg("e").arg(epoch);
        command
    }

    fn to_all_by(&self, sending: &Sending<'_>) -> Cmd {
        let Some(epoch) = sending.to_itself() else { return self.to_all() };
        let mut command = self.to_all_except("");
        command.arg("e").arg(epoch);
        command
    }

    /// A command to all other nodes.
    fn to_all(&self) -> Cmd {
        self.to_all_except(&self.node)
    }

    fn to_user_except(&self, uid: &str, which: &str, node: &str) -> Cmd {
        let mut command = SEND.on(&self.logins_of(uid));
        command.arg(&self.prefix).arg(node).arg(which).arg(LONGEST_STREAM);
        command.arg(&self.incarnation).arg(self.opened());
        command
    }

    fn to_all_except(&self, node: &str) -> Cmd {
        let mut command = SEND_ALL.on(&self.nodes_key());
        command.arg(&self.prefix).arg(node).arg(LONGEST_STREAM).arg(&self.incarnation).arg(self.opened());
        command
    }

    /// Says what is asked for, and where the answer goes.
    fn asks(&self, command: &mut Cmd, kind: &str, request: &Request<'_>) {
        command.arg("k").arg(kind).arg("f").arg(&self.node).arg("j").arg(&self.incarnation);
        command.arg("r").arg(request.number);
    }
}

pub(super) fn nonsense() -> Error {
    Error::ClusterUnavailable { reason: "Redis answers what is none".to_string() }
}

pub(super) fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

/// How long another node may take to say what has become of a push, and Redis to say which nodes there are.
const LIMIT: Duration = Duration::from_secs(1);
const BATCH: usize = 256;
