//! A connection that survives its node: what is written of it into Redis, and how another node takes it over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Value;

use super::durable_scripts::{SAVE, SETTLE, TAKE_OVER};
use super::entry::{Entry, MESSAGE, Said, USER, items, number, range};
use super::far::millis;
use super::joined::{Joined, LOGINS_STAY, LONGEST_STREAM};
use super::requests::Request;
use super::transfer::{CHANGED, LIMIT, MOVED_STAYS, name_of};
use crate::log_line::{Throttle, throttled};
use crate::ziface::{IConnection, ResumeRefusal};
use crate::znet::resume::parcel::{
    Ask, Decision, Fetched, Parcel, Save, Saved, Saving, What, read_frames, write_frames, write_names,
};
use crate::znet::resume::wire::address;
use crate::zredis::Failed;

/// On the node that has the connection.
impl Joined {
    fn durable_key(&self, at: &str) -> String {
        format!("{}:d:{at}", self.prefix)
    }

    /// What a connection of this node is called.
    pub(super) fn name_here(&self, conn_id: u64) -> String {
        name_of(address(self.mark_of_this(), conn_id))
    }

    /// How long what is written stays in Redis that nobody writes to or looks after.
    fn stays(&self) -> u64 {
        let window = self.core.upgrade().map_or(0, |core| core.config().resume_ms);
        millis(UNATTENDED) + window
    }

    /// Writes something of a connection.
    pub(super) fn save_now(&self, conn_id: u64, save: &Save) -> Option<Saving> {
        self.has_saved.store(true, Ordering::Relaxed);
        let here = self.name_here(conn_id);
        let mut command = SAVE.on(&self.durable_key(&here));
        command.arg(&self.prefix).arg(&self.incarnation).arg(self.opened()).arg(&here);
        command.arg(id_of(save.now)).arg(self.stays());
        match &save.what {
            What::Whole(parcel, user) => {
                command.arg("").arg("w").arg(parcel);
                if let Some((uid, is_shared)) = user {
                    command.arg("u").arg(&**uid).arg("m").arg(u8::from(*is_shared));
                }
            }
            What::Part(before, frames) => {
                command.arg(id_of(*before)).arg("f").arg(write_frames(frames));
            }
        }
        let flight = self.link.begin_run(&command).ok()?;
        Some(Box::new(move || match flight.wait() {
            Ok(Value::Int(1)) => Saved::Yes,
            Ok(Value::BulkString(node)) => Saved::Moved(String::from_utf8_lossy(&node).into_owned()),
            Ok(_) => Saved::Unknown,
            Err(failed) => {
                static LOG: Throttle = Throttle::new();
                throttled!(warn, LOG, "connection {conn_id} waits until Redis takes what it sends: {failed}");
                Saved::Unknown
            }
        }))
    }

    /// Has all connections that are written down stay in Redis. One that Redis has forgotten is written down anew. `false` if Redis has
    /// not answered: then the lease comes first, and this is done again long before it is too late.
    pub(super) fn keep_durable(&self) -> bool {
        let (stays, mut renewed) = (self.stays(), Instant::now());
        let command = |conn: &Arc<dyn IConnection>| {
            let key = self.durable_key(&self.name_here(conn.get_conn_id()));
            redis::cmd("PEXPIRE").arg(key).arg(stays).clone()
        };
        for some in self.durable().chunks(BATCH) {
            if !self.still_holds(&mut renewed) {
                return false;
            }
            let said = self.link.run_all(&some.iter().map(command).collect::<Vec<_>>());
            for (conn, said) in some.iter().zip(&said) {
                // On its way to another node, it is there under another name.
                let is_forgotten = said.as_ref().ok().and_then(number) == Some(0);
                if is_forgotten && !conn.connection().is_leaving() {
                    conn.connection().save_again();
                }
            }
            if said.iter().any(Result::is_err) {
                return false;
            }
        }
        true
    }

    /// Writes all of them down anew: Redis may have forgotten some of what it has taken before. A few at a time, so that others get
    /// through. `false` if that is to be done again.
    pub(super) fn write_down_again(&self, opened: u64) -> bool {
        let mut renewed = Instant::now();
        for some in self.durable().chunks(AT_ONCE) {
            if self.opened() != opened || !self.still_holds(&mut renewed) {
                return false;
            }
            some.iter().for_each(|conn| conn.connection().save_again());
            // Behind them, so it waits until they have been taken.
            if self.link.run(&redis::cmd("PING")).is_err() {
                return false;
            }
        }
        true
    }

    /// The connections that survive this node.
    fn durable(&self) -> Vec<Arc<dyn IConnection>> {
        let mut durable = Vec::new();
        if !self.has_saved.load(Ordering::Relaxed) {
            // A look at all connections would cost programs that have none.
            return durable;
        }
        if let Some(core) = self.core.upgrade() {
            core.manager().each(|conn| {
                if conn.connection().is_durable() {
                    durable.push(Arc::clone(conn));
                }
                true
            });
        }
        durable
    }

    /// The command that forgets a connection, and says that this node has nothing more for the one to which it has moved.
    pub(super) fn forget_command(&self, conn_id: u64) -> redis::Cmd {
        let here = self.name_here(conn_id);
        redis::cmd("DEL").arg(self.durable_key(&here)).arg(format!("{}:l:{here}", self.prefix)).clone()
    }
}

/// On the node to which the peer has come.
impl Joined {
    /// Takes over a connection whose node is dead, if that has written it down.
    pub(super) fn take_over(
        &self,
        ask: &Ask,
        request: &Request<'_>,
        at: &str,
    ) -> Result<Fetched, ResumeRefusal> {
        let read = redis::cmd("XRANGE").arg(self.durable_key(at)).arg("-").arg("+").clone();
        let entries = range(self.link.run(&read).map_err(|_| ResumeRefusal::Busy)?);
        let Left { last, parcel, user } = Left::read(&entries).ok_or(ResumeRefusal::Gone)?;
        // Nothing has changed so far, so a wrong token does no harm.
        parcel.tokens.check(&ask.secret)?;
        let (before, sent) = (parcel.kept.before, parcel.kept.before + parcel.kept.frames.len() as u64);
        match ask.received {
            received if received < before => return Err(ResumeRefusal::OverBound),
            received if received > sent => return Err(ResumeRefusal::BadCount),
            _ => {}
        }
        let question = self.question(&self.incarnation, request.number);
        let mut command = TAKE_OVER.on(&self.durable_key(at));
        command.arg(&self.prefix).arg(&self.node).arg(&self.incarnation).arg(self.opened());
        command.arg(at).arg(self.name_here(ask.conn_id)).arg(millis(MOVED_STAYS));
        command.arg(format!("{}-{}", last.0, last.1)).arg(self.stays());
        command.arg(self.nodes_key()).arg(LONGEST_STREAM).arg(&question);
        command.arg(ask.conn_id).arg(request.number).arg(ask.login).arg(write_names(&parcel.groups));
        if let Some((uid, shared)) = user {
            command.arg(uid).arg(shared).arg(millis(LOGINS_STAY));
        }
        let is_done = match self.link.run(&command).map(|said| number(&said)) {
            Ok(Some(1)) => true,
            Ok(Some(2)) => return Err(ResumeRefusal::Gone),
            Err(Failed::Unknown(_)) => false,
            _ => return Err(ResumeRefusal::Busy),
        };
        self.wait_for_mark(ask, request, (&question, is_done))?;
        Ok(Fetched::Moved(parcel.into()))
    }

    /// Waits until this node has come to its mark. If Redis has not said whether the connection is here now, it is asked, and if not,
    /// told never to do it: nobody else would take it from here.
    fn wait_for_mark(
        &self,
        ask: &Ask,
        request: &Request<'_>,
        (question, mut is_done): (&str, bool),
    ) -> Result<(), ResumeRefusal> {
        loop {
            if let Some(Said::Answer(CHANGED, _)) = request.wait(LIMIT) {
                return Ok(());
            }
            if !self.is_awaited(ask.conn_id) {
                return Err(ResumeRefusal::Busy);
            }
            if !is_done {
                match self.decide(question) {
                    Decision::Moved => is_done = true,
                    Decision::Stays => return Err(ResumeRefusal::Busy),
                    Decision::Unknown => {}
                }
            }
        }
    }

    /// A connection that has moved here, and that its node, where it was called `before`, has not sent: as it is in Redis, once that node
    /// has ended it or is dead. `None` until then.
    pub(super) fn settle(&self, ask: &Ask, before: &str) -> Option<Result<Fetched, ResumeRefusal>> {
        let mut command = SETTLE.on(&self.durable_key(&self.name_here(ask.conn_id)));
        command.arg(&self.prefix).arg(before).arg(self.nodes_key());
        let said = items(self.link.run(&command).ok()?);
        let [Value::Int(1), entries] = &said[..] else { return None };
        let left = range(entries.clone());
        let left = Left::read(&left).map(|left| Fetched::Moved(left.parcel.into()));
        Some(left.ok_or(ResumeRefusal::Gone))
    }
}

/// What a node has left behind.
struct Left<'a> {
    last: (u64, u64),
    parcel: Parcel,
    /// The user, and whether other logins may be beside this one.
    user: Option<(&'a str, &'a str)>,
}

impl<'a> Left<'a> {
    /// `None` if it is not whole.
    fn read(entries: &'a [Entry]) -> Option<Self> {
        let (whole, parts) = entries.split_first()?;
        let mut parcel = Parcel::decode(Bytes::copy_from_slice(whole.bytes(WHOLE)))?;
        let uid = whole.text(USER);
        let user = (!uid.is_empty()).then(|| (uid, whole.text(MESSAGE)));
        for part in parts {
            parcel.kept.frames.extend(read_frames(part.bytes(PART))?);
            parcel.received = part.id.1;
            let sent = parcel.kept.before + parcel.kept.frames.len() as u64;
            if sent + 1 != part.id.0 {
                return None;
            }
        }
        Some(Self { last: entries.last()?.id, parcel, user })
    }
}

/// After so many frames and handled messages. No id may be 0-0.
fn id_of((frames, handled): (u64, u64)) -> String {
    format!("{}-{handled}", frames + 1)
}

const BATCH: usize = 256;
/// Connections that are written down anew at a time.
const AT_ONCE: usize = 16;
const WHOLE: u8 = b'w';
const PART: u8 = b'f';
/// Longer than a lease, and than a node at rest takes to say that a connection is still there.
const UNATTENDED: Duration = Duration::from_secs(180);
