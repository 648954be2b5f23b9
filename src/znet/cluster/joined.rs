//! This server as a node of a cluster on Redis: its links, its lease, and what runs while it is one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::Cmd;

use super::entry::{Said, number};
use super::place::Place;
use super::requests::Requests;
use super::scripts::{FENCE, LEAVE, RENEW, load};
use super::transfer::mark_of;
use crate::error::{Error, Result};
use crate::green::{Builder, Event, Greenlet, Until};
use crate::lock::Lock;
use crate::zconf::Config;
use crate::znet::server::core::Core;
use crate::zredis::{Address, Failed, Link, Opening};

/// This server as a node of a cluster.
pub(crate) struct Joined {
    pub(super) core: Weak<Core>,
    pub(super) node: String,
    /// What tells this life of the node from those before.
    pub(super) incarnation: String,
    pub(super) prefix: String,
    /// For commands.
    pub(super) link: Link,
    /// For the stream of this node alone: what it waits for would hold up commands.
    pub(super) inbox: Link,
    pub(super) requests: Requests,
    pub(super) logins: AtomicU64,
    /// What has ended and Redis may not know of, the oldest first.
    pub(super) ended: Lock<VecDeque<Ended>>,
    /// How often Redis has not heard of one: it was not sent, was refused, or lost its connection.
    pub(super) unheard: Arc<AtomicUsize>,
    /// All logins are to be looked at: another node may have taken some over, or Redis may have forgotten some.
    pub(super) to_keep: AtomicBool,
    /// A connection of this node has been written down, so that there may be some that survive it.
    pub(super) has_saved: AtomicBool,
    /// How often the command link has been opened.
    opened: Arc<AtomicU64>,
    /// Set when there is something to do before the next renewal.
    pub(super) look: Arc<Event>,
    pub(super) leaving: Event,
    pub(super) counts: Counts,
}

/// What has ended, and when.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) what: Past,
    pub(super) at: Instant,
}

#[derive(Clone)]
pub(super) enum Past {
    Login {
        uid: String,
        login: u64,
    },
    /// A connection that would have survived this node.
    Connection(u64),
}

/// What is counted of a cluster.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) entries_read: AtomicUsize,
    /// Of all entries that were ever added to the stream, those that this node has behind it.
    pub(super) behind: AtomicU64,
    pub(super) entries_lost: AtomicUsize,
    pub(super) entries_unsent: Arc<AtomicUsize>,
    pub(super) leases_lost: AtomicUsize,
    pub(super) logins_won: AtomicUsize,
    pub(super) logins_lost: AtomicUsize,
    /// Of the last renewal, in microseconds.
    pub(super) round_trip: AtomicU64,
}

/// A node that leaves when this is dropped.
pub(crate) struct Membership {
    joined: Arc<Joined>,
    runs: Vec<Greenlet<()>>,
}

impl Joined {
    /// Connects to Redis and takes the place of this node, once it is free: after a node of this name was killed, when its lease
    /// is over.
    ///
    /// # Errors
    ///
    /// [`Error::ClusterUnavailable`] if Redis cannot be reached, or a node of this name runs.
    pub(crate) fn begin(
        core: &Arc<Core>,
        config: &Config,
        address: &Address,
    ) -> Result<(Arc<Self>, Membership)> {
        let (look, opened) = (Arc::new(Event::new()), Arc::new(AtomicU64::new(0)));
        let (theirs, count) = (Arc::clone(&look), Arc::clone(&opened));
        let tell = move || {
            count.fetch_add(1, Ordering::AcqRel);
            theirs.set();
        };
        let begin = |name, commands, opened| {
            let link = Link::begin(name, address.clone(), Opening { commands, opened });
            link.map_err(|source| Error::io("start the link to Redis", source))
        };
        let incarnation = new_incarnation()?;
        let facts = format!("{}:f:{incarnation}", config.cluster_prefix);
        let number = Arc::clone(&opened);
        let first = move || {
            let mut fence = FENCE.on(&facts);
            fence.arg(number.load(Ordering::Acquire) + 1).arg(STREAM_STAYS.as_millis() as u64);
            load().into_iter().chain([fence]).collect()
        };
        let joined = Arc::new(Self {
            core: Arc::downgrade(core),
            node: config.node_name.clone(),
            incarnation,
            prefix: config.cluster_prefix.clone(),
            link: begin("redis commands", Box::new(first), Arc::new(tell))?,
            inbox: begin("redis stream", Box::new(Vec::new), Arc::new(|| {}))?,
            requests: Requests::default(),
            logins: AtomicU64::new(1),
            ended: Lock::default(),
            unheard: Arc::default(),
            to_keep: AtomicBool::new(false),
            has_saved: AtomicBool::new(false),
            opened,
            look,
            leaving: Event::new(),
            counts: Counts::default(),
        });
        let mut membership = Membership { joined: Arc::clone(&joined), runs: Vec::new() };
        let redis = address.to_string();
        joined.take_place(&redis)?;
        let place = Place::behind(&joined.facts(&joined.link)?);
        let (reads, keeps) = (Arc::clone(&joined), Arc::clone(&joined));
        membership.run("cluster stream", move || reads.read_entries(place))?;
        membership.run("cluster lease", move || keeps.keep_place())?;
        log::info!("node {:?} of the cluster {:?} at {redis}", joined.node, joined.prefix);
        Ok((joined, membership))
    }

    fn take_place(&self, redis: &str) -> Result<()> {
        let until = Until::after(ENTRY);
        loop {
            let why = match self.link.run(&self.renewal()) {
                Ok(value) if number(&value) == Some(0) => "a node of this name runs".to_string(),
                // The link is just being opened: it has not been counted yet.
                Ok(value) if number(&value) == Some(3) => "the connection is new".to_string(),
                Ok(_) => return Ok(()),
                Err(failed) => self.link.trouble().map_or_else(|| failed.to_string(), |why| unreached(&why)),
            };
            if until.is_over() {
                let (node, seconds) = (&self.node, ENTRY.as_secs());
                let reason = format!("{why} (node {node:?}, Redis at {redis}, tried for {seconds} s)");
                return Err(Error::ClusterUnavailable { reason });
            }
            crate::green::sleep(STEP);
        }
    }

    pub(super) fn renewal(&self) -> Cmd {
        let mut command = RENEW.on(&self.lease_of(&self.node));
        command.arg(&self.incarnation).arg(LEASE.as_millis() as u64).arg(self.nodes_key()).arg(&self.node);
        command.arg(self.stream_of(&self.node)).arg(STREAM_STAYS.as_millis() as u64);
        command.arg(&self.prefix).arg(self.opened()).arg(self.counts.behind.load(Ordering::Relaxed));
        command
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    pub(super) fn lease_of(&self, node: &str) -> String {
        format!("{}:n:{node}", self.prefix)
    }

    pub(super) fn stream_of(&self, node: &str) -> String {
        format!("{}:s:{node}", self.prefix)
    }

    pub(super) fn facts_of(&self, incarnation: &str) -> String {
        format!("{}:f:{incarnation}", self.prefix)
    }

    pub(super) fn logins_of(&self, uid: &str) -> String {
        format!("{}:u:{{{uid}}}", self.prefix)
    }

    pub(super) fn nodes_key(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    /// A login of this node, as it stands among those of its user.
    pub(super) fn field(&self, login: u64) -> String {
        format!("{}/{}/{login}", self.node, self.incarnation)
    }

    /// Answers a request of another node. Never waits; an answer that cannot be sent is as one that is lost on the way.
    pub(super) fn answer(&self, node: &str, incarnation: &str, request: u64, said: Said) {
        let command = self.answer_command(node, incarnation, request, said);
        let _ = self.link.tell_or_count(&command, &self.counts.entries_unsent);
    }

    pub(super) fn answer_command(&self, node: &str, incarnation: &str, request: u64, said: Said) -> Cmd {
        let (status, msg_id, data) = said.fields();
        let mut command = redis::cmd("XADD");
        command
            .arg(self.stream_of(node))
            .arg("NOMKSTREAM")
            .arg("MAXLEN")
            .arg("~")
            .arg(LONGEST_STREAM)
            .arg("*");
        command.arg("k").arg("a").arg("i").arg(incarnation).arg("r").arg(request);
        command.arg("s").arg(status).arg("m").arg(msg_id).arg("d").arg(data);
        command
    }
}

impl Membership {
    fn run(&mut self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let begun = Builder::new().name(name).spawn(body);
        self.runs.push(begun.map_err(|source| Error::io("start a coroutine of the cluster", source))?);
        Ok(())
    }
}

/// Leaves: the other nodes know at once, if Redis can be reached.
impl Drop for Membership {
    fn drop(&mut self) {
        let joined = &self.joined;
        joined.leaving.set();
        joined.look.set();
        joined.inbox.end();
        for run in self.runs.drain(..) {
            run.join_timeout(MOMENT);
        }
        let mut command = LEAVE.on(&joined.lease_of(&joined.node));
        command.arg(&joined.incarnation).arg(joined.nodes_key()).arg(&joined.node);
        command.arg(joined.stream_of(&joined.node)).arg(joined.facts_of(&joined.incarnation));
        // Without it, the lease ends by itself.
        let _ = joined.link.run(&command);
        joined.link.end();
    }
}

pub(super) fn unavailable(failed: Failed) -> Error {
    Error::ClusterUnavailable { reason: failed.to_string() }
}

/// Why Redis cannot be used, from what ended the last try to connect. If it is the password, it says what to change.
fn unreached(why: &str) -> String {
    const HOW: &str =
        "give it in Cluster: redis://:password@host:port/0, or redis://user:password@host:port/0";
    match why.split(' ').next() {
        Some("WRONGPASS") => format!("Redis has refused the password in Cluster: {why} {HOW}"),
        Some("NOAUTH") => format!("Redis wants a password, and Cluster has none: {why} {HOW}"),
        Some("ERR") if why.contains("AUTH") => format!("Redis has no password, and Cluster has one: {why}"),
        Some("NOPERM") => format!("Redis does not let the user in Cluster do what a node does: {why}"),
        _ => format!("Redis cannot be reached: {why}"),
    }
}

fn new_incarnation() -> Result<String> {
    loop {
        let mut random = [0; 8];
        let got = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        got.map_err(|source| Error::io("make a random number", source.into()))?;
        let incarnation = format!("{:016x}", u64::from_le_bytes(random));
        // 0 is the mark in the tokens of a server without a cluster.
        if mark_of(&incarnation) != 0 {
            return Ok(incarnation);
        }
    }
}

/// How long a node that was killed is still taken for alive.
const LEASE: Duration = Duration::from_secs(15);
pub(super) const RENEWAL: Duration = Duration::from_secs(5);
/// How long the stream of a node that was killed stays in Redis.
const STREAM_STAYS: Duration = Duration::from_secs(3600);
/// How long the logins of a user stay that nobody looks after: of a node that was killed, if the user does not come back.
pub(super) const LOGINS_STAY: Duration = Duration::from_secs(2 * 24 * 3600);
/// How long a start waits for Redis, and for the lease of a node of its name that was killed.
const ENTRY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);
const MOMENT: Duration = Duration::from_secs(3);
/// Entries of a stream, about: what a node that does not read may still find.
pub(super) const LONGEST_STREAM: u32 = 100_000;
