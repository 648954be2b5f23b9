//! Keeping the place of this node: the lease, and the logins after a time in which Redis was not reached or may have lost something.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::entry::number;
use super::far::millis;
use super::joined::{Ended, Joined, LOGINS_STAY, LONGEST_STREAM, Past, RENEWAL};
use super::scripts::KEEP;
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use crate::znet::people::membership::{Claim, Lost};
use crate::znet::server::core::Core;
use crate::zredis::Failed;

impl Joined {
    /// Renews the lease until the node leaves. A new connection to Redis, a lease that was lost, or a gap in the stream of this node is
    /// followed by a look at all logins.
    pub(super) fn keep_place(&self) {
        let (mut kept, mut refreshed) = (self.opened(), Instant::now());
        let (mut to_write, mut attended) = (false, Instant::now());
        let mut leases_lost = self.leases_lost();
        loop {
            self.look.wait_timeout(RENEWAL);
            self.look.clear();
            if self.leaving.is_set() {
                return;
            }
            let opened = self.opened();
            let begun = Instant::now();
            let renewed = self.renew();
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.counts.round_trip.store(took, Ordering::Relaxed);
            match renewed {
                Ok(Some(0)) => log::error!("another node of the cluster has the name {:?}", self.node),
                // There is a newer connection by now, and with it another look.
                Ok(Some(3)) => {}
                Ok(_) => {
                    if opened != kept || refreshed.elapsed() > REFRESH {
                        self.to_keep.store(true, Ordering::Release);
                    }
                    // From now on nothing logs in that was sent before on another connection: so this comes after the renewal.
                    if self.unheard.swap(0, Ordering::AcqRel) > 0 || opened != kept {
                        if !self.release_again() {
                            self.unheard.fetch_add(1, Ordering::AcqRel);
                        }
                    } else if self.opened() == opened {
                        // What was said before the renewal has been answered, as that has on the same connection, and not refused.
                        self.forget_ended_before(begun);
                    }
                    // What survives this node may be lost with what a replica has missed. While there was no lease, other nodes may have
                    // taken some of it over: by this those connections find out.
                    let lost = self.leases_lost();
                    to_write |= opened != kept || lost != leases_lost;
                    (kept, leases_lost) = (opened, lost);
                    if self.to_keep.swap(false, Ordering::AcqRel) {
                        if self.keep_logins(opened) {
                            refreshed = Instant::now();
                        } else {
                            self.to_keep.store(true, Ordering::Release);
                        }
                    }
                    to_write = to_write && !self.write_down_again(opened);
                    if attended.elapsed() > ATTEND && self.keep_durable() {
                        attended = Instant::now();
                    }
                }
                Err(failed) => {
                    log::warn!("the lease of node {:?}: {failed}", self.node);
                    if matches!(failed, Failed::Refused(_)) {
                        self.leaving.wait_timeout(REFUSED);
                    }
                    // A Redis that does not answer, or may not be written to: perhaps there is another one at its address. The link may
                    // be to that one by now.
                    if !failed.has_lost_connection() && self.opened() == opened {
                        self.link.cut();
                    }
                }
            }
        }
    }

    /// Says again what has ended: whether Redis has heard it before is not known. `false` if it has not heard all of it now.
    /// Those that end meanwhile say so themselves.
    fn release_again(&self) -> bool {
        let (mut renewed, all) = (Instant::now(), self.ended.lock().len());
        for said in (0..all).step_by(BATCH) {
            if !self.still_holds(&mut renewed) {
                return false;
            }
            let some: Vec<_> = self.ended.lock().iter().skip(said).take(BATCH).cloned().collect();
            let commands: Vec<_> = some
                .iter()
                .filter(|ended| !self.is_back(ended))
                .map(|ended| self.end_command(&ended.what))
                .collect();
            if self.link.run_all(&commands).iter().any(Result::is_err) {
                return false;
            }
        }
        true
    }

    /// Forgets what Redis has heard that it has ended; not the latest of that, of which a replica that takes over may not have heard.
    fn forget_ended_before(&self, heard: Instant) {
        let mut ended = self.ended.lock();
        while ended.front().is_some_and(|ended| heard.saturating_duration_since(ended.at) > REMEMBERED) {
            ended.pop_front();
        }
    }

    /// Renews the lease if it is time: there may be so many logins that it would be over before all are looked at. `false` if it has not
    /// been held all the time, or the node leaves.
    pub(super) fn still_holds(&self, renewed: &mut Instant) -> bool {
        if self.leaving.is_set() {
            return false;
        }
        if renewed.elapsed() < RENEWAL {
            return true;
        }
        *renewed = Instant::now();
        matches!(self.renew(), Ok(Some(1)))
    }

    /// Renews the lease. What Redis says; that the lease was over is counted, and has all logins looked at.
    fn renew(&self) -> Result<Option<u64>, Failed> {
        let said = number(&self.link.run_always(&self.renewal())?);
        if said == Some(2) {
            self.counts.leases_lost.fetch_add(1, Ordering::Relaxed);
            self.to_keep.store(true, Ordering::Release);
        }
        Ok(said)
    }

    /// How often the lease was over before it was renewed.
    fn leases_lost(&self) -> usize {
        self.counts.leases_lost.load(Ordering::Relaxed)
    }

    /// Has all logins looked at, soon.
    pub(super) fn look_at_logins(&self) {
        self.to_keep.store(true, Ordering::Release);
        self.look.set();
    }

    /// Whether it has begun again: a connection that survives this node after all.
    fn is_back(&self, ended: &Ended) -> bool {
        let Past::Connection(conn_id) = ended.what else { return false };
        let conn = self.core.upgrade().and_then(|core| core.manager().find_any(conn_id));
        conn.is_some_and(|conn| conn.connection().is_durable())
    }

    fn end_command(&self, what: &Past) -> redis::Cmd {
        match what {
            Past::Login { uid, login } => {
                redis::cmd("HDEL").arg(self.logins_of(uid)).arg(self.field(*login)).clone()
            }
            Past::Connection(conn_id) => self.forget_command(*conn_id),
        }
    }

    /// Looks whether all logins of this node still stand; those that do not are closed. `false` if Redis did not say.
    fn keep_logins(&self, opened: u64) -> bool {
        let Some(core) = self.core.upgrade() else { return true };
        let (logins, mut renewed) = (logins(&core), Instant::now());
        for some in logins.chunks(BATCH) {
            if !self.still_holds(&mut renewed) {
                return false;
            }
            let command = |(uid, claim, conn): &(Arc<str>, Claim, Arc<dyn IConnection>)| {
                let mut command = KEEP.on(&self.logins_of(uid));
                command.arg(&self.prefix).arg(self.field(claim.login)).arg(claim.generation);
                command.arg(conn.get_conn_id()).arg(u8::from(claim.is_shared)).arg(LONGEST_STREAM);
                command.arg(&self.incarnation).arg(opened).arg(millis(LOGINS_STAY));
                command
            };
            let commands: Vec<_> = some.iter().map(command).collect();
            let mut all_said = true;
            for ((uid, claim, conn), said) in some.iter().zip(self.link.run_all(&commands)) {
                let said = said.ok().and_then(|said| number(&said));
                all_said &= matches!(said, Some(0 | 1));
                match said {
                    // Mostly its own login on the other node stands there instead. If it stays after all, that is found later.
                    Some(0) if conn.connection().is_leaving() => self.to_keep.store(true, Ordering::Release),
                    Some(0) if !knows_where_it_is(conn.connection()) => return false,
                    Some(0) => self.lose_login(&**conn, claim.login),
                    // It has ended meanwhile, perhaps before it was kept; that may have been done although there is no answer.
                    _ if conn.connection().membership().claim() != Some(*claim) => {
                        self.release_login(uid, claim.login);
                    }
                    _ => {}
                }
            }
            if !all_said {
                return false;
            }
        }
        true
    }

    /// Another login has replaced this one. Counted once, although both its kick and a look at all logins may say so.
    pub(super) fn lose_login(&self, conn: &dyn IConnection, login: u64) {
        match conn.connection().lose_login(login) {
            Lost::Nothing => return,
            Lost::Claim => {}
            // Redis may have it again: after a new connection this node has said that it stands, and the one that has replaced it had ended.
            Lost::Login(uid) => self.release_login(&uid, login),
        }
        self.counts.logins_lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn release_login(&self, uid: &str, login: u64) {
        self.say_ended(Past::Login { uid: uid.to_string(), login });
    }

    /// A connection that would have survived this node has ended on purpose, or has moved.
    pub(super) fn forget_durable(&self, conn_id: u64) {
        self.say_ended(Past::Connection(conn_id));
    }

    fn say_ended(&self, what: Past) {
        let command = self.end_command(&what);
        let mut ended = self.ended.lock();
        ended.push_back(Ended { what, at: Instant::now() });
        if ended.len() > MAX_ENDED {
            // For the other nodes that login goes on until this node leaves, or until the user's next login.
            ended.pop_front();
        }
        // If Redis does not hear it, it is said again. Under the lock: a renewal that begins after it and is answered says that Redis has
        // heard it, or that it is among those that were not heard.
        let _ = self.link.tell_or_count(&command, &self.unheard);
    }
}

/// Another login stands instead of the one of this connection. If it survives its node, that may be its own login on a node that has
/// taken it over: then it closes here, for that reason. `false` if Redis did not say.
fn knows_where_it_is(conn: &Connection) -> bool {
    !conn.is_durable() || conn.save_whole().is_some() || conn.is_stopping()
}

/// The logins of a server.
fn logins(core: &Core) -> Vec<(Arc<str>, Claim, Arc<dyn IConnection>)> {
    let users = &core.talk().users;
    let mut logins = Vec::new();
    for uid in users.names() {
        for conn in users.connections(&uid) {
            if let Some(claim) = conn.connection().membership().claim() {
                logins.push((Arc::clone(&uid), claim, conn));
            }
        }
    }
    logins
}

/// What has ended is remembered up to this number: many may end while Redis cannot be reached.
const MAX_ENDED: usize = 1 << 20;
/// How long one is remembered that Redis has heard of. The writes that a replica which takes over has missed are younger, unless it has
/// been cut off for long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How often logins are looked at that nothing has happened to, so that they stay.
const REFRESH: Duration = Duration::from_secs(12 * 3600);
/// How often Redis is told that connections at rest are still there, of those that survive their node.
const ATTEND: Duration = Duration::from_secs(60);
/// How long it waits after a refusal: a Redis that is full, or a replica.
const REFUSED: Duration = Duration::from_secs(1);
/// Logins that are looked at in one go.
const BATCH: usize = 256;
