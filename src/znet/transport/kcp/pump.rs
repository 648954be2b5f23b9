//! The thread of a link: what comes goes to its session, and each session does in time what it has to do. It is a thread, so that
//! peers are answered whatever handlers do.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::datagrams::Datagrams;
use super::fec::{FEC_HEAD_BYTES, Shard, put_head};
use super::link::Link;
use super::proof::{Proof, begins};
use super::segments::{Command, Segment, Segments};
use super::session::Session;
use super::table::{Early, Gone, Sessions};
use super::{Companion, Kcp};

/// Who decides about those that come to a server.
pub(crate) trait Door: Send {
    /// Lets a peer in, if there is a place: `make` makes its transport, and something goes with that.
    fn admit(&self, peer: SocketAddr, make: &mut Make<'_>) -> Admission;

    /// A datagram was none of KCP, or of no conversation.
    fn note_bad(&self);

    /// A datagram came from a peer that has not shown that it receives at its address.
    fn note_stranger(&self);

    /// How many connections there may be. As many may still be sending what they have said before their end.
    fn max_conn(&self) -> usize;
}

/// Makes the transport of a peer that is let in.
pub(crate) type Make<'a> = dyn FnMut(Option<Companion>) -> io::Result<Kcp> + 'a;

/// What has become of a peer that wants to come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    In,
    /// It may ask again.
    Later,
    Refused,
}

/// What the thread has.
pub(crate) struct Pump {
    link: Arc<Link>,
    sessions: Sessions,
    /// By when they are to be looked at, and a number of their own.
    timers: BTreeMap<(u64, u64), Weak<Session>>,
    last_timer: u64,
    /// Those that something has come for, to be scheduled.
    heard: Vec<Arc<Session>>,
    server: Option<Server>,
}

/// What a server has beside the sessions.
struct Server {
    door: Box<dyn Door>,
    proof: Proof,
    early: Early,
    gone: Gone,
    /// Those whose connections have let go, the oldest first. Those behind it may be over.
    released: VecDeque<Weak<Session>>,
}

impl Pump {
    /// That of a server, which keeps the first datagrams of `most_early` peers.
    pub(crate) fn of_server(link: &Arc<Link>, door: Box<dyn Door>, most_early: usize) -> Self {
        let (proof, early, gone) = (Proof::default(), Early::new(most_early), Gone::default());
        Self::new(link, Some(Server { door, proof, early, gone, released: VecDeque::new() }))
    }

    /// That of a client, with its only session.
    pub(crate) fn of_client(link: &Arc<Link>, conv: u32) -> io::Result<(Self, Kcp)> {
        let mut pump = Self::new(link, None);
        let peer = link.peer().ok_or(io::ErrorKind::NotConnected)?;
        let (session, socket) = Session::begin(link, peer, conv, true)?;
        pump.sessions.add(Arc::clone(&session));
        pump.schedule(&session, 0);
        Ok((pump, Kcp::new(session, socket, None)))
    }

    fn new(link: &Arc<Link>, server: Option<Server>) -> Self {
        let link = Arc::clone(link);
        let (sessions, timers) = (Sessions::default(), BTreeMap::new());
        Self { link, sessions, timers, last_timer: 0, heard: Vec::new(), server }
    }

    /// Runs until the link ends.
    pub(crate) fn run(mut self) {
        let link = Arc::clone(&self.link);
        loop {
            let next = self.timers.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            if !link.sleep(next, self.sessions.is_empty()) {
                break;
            }
            self.take_all();
            let now = link.now();
            for session in std::mem::take(&mut self.heard) {
                if let Some(at) = session.due(now) {
                    self.schedule(&session, at);
                }
            }
            self.run_timers(now);
            for session in link.take_noted() {
                self.look_at(&session, now);
            }
        }
        link.note_over();
        self.sessions.all().for_each(|session| session.fail(io::ErrorKind::ConnectionAborted));
    }

    /// Takes what has come, but no more than so much at a time.
    fn take_all(&mut self) {
        let mut buffer = [0; LONGEST + 1];
        for _ in 0..AT_A_TIME {
            match self.link.receive(&mut buffer) {
                Ok((len, peer)) if len <= LONGEST => self.take(&buffer[..len], peer),
                Ok(_) => self.note_bad(),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // Only a client hears that nobody listens.
                    self.sessions.all().for_each(|session| session.fail(io::ErrorKind::ConnectionRefused));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, raw: &[u8], peer: SocketAddr) {
        let now = self.link.now();
        let (datagram, shard) = match (&self.link.fec, Shard::parse(raw)) {
            (None, _) => (raw, None),
            (Some(_), Some(shard @ Shard::Data { datagram, .. })) => (datagram, Some(shard)),
            (Some(_), Some(shard @ Shard::Parity { .. })) => {
                match self.sessions.last_of(peer).cloned() {
                    Some(session) => {
                        session.take_parity(shard, now);
                        self.note_heard(session);
                    }
                    None => self.note_stranger(),
                }
                return;
            }
            (Some(_), None) => return self.note_bad(),
        };
        let Some(segments) = Segments::parse(datagram) else { return self.note_bad() };
        if let Some(session) = self.sessions.find((peer, segments.conv)).cloned() {
            session.take(segments, shard, now);
            self.note_heard(session);
        } else {
            self.take_from_stranger(raw, segments, peer, now);
        }
    }

    /// A datagram of no session.
    fn take_from_stranger(&mut self, raw: &[u8], segments: Segments<'_>, peer: SocketAddr, now: u64) {
        let key = (peer, segments.conv);
        let Some(server) = &mut self.server else { return };
        server.door.note_stranger();
        if server.proof.is_shown_by(peer, segments, now) && !server.gone.has(key, now) {
            return self.let_in(raw, segments.conv, peer, now);
        }
        let Some(first) = segments.into_iter().next() else { return };
        if first.command == Command::End {
            // No more of what was said: it may be longer than what we send, and its `una` is not ours.
            let Segment { conv, window, sn, .. } = first;
            self.answer(&Segment { window, sn, ..Segment::bare(conv, Command::EndAck) }, peer);
        } else if self.link.is_closed() || server.gone.has(key, now) {
            self.refuse(first, peer);
        } else if begins(segments) || server.early.has(key) {
            server.early.keep(key, raw);
            let challenge = server.proof.challenge(peer, segments.conv, self.link.options.recv_window, now);
            self.answer(&challenge, peer);
        } else {
            server.door.note_bad();
            self.refuse(first, peer);
        }
    }

    /// Lets in a peer that has shown that it receives at its address, and takes what it has sent so far.
    fn let_in(&mut self, raw: &[u8], conv: u32, peer: SocketAddr, now: u64) {
        let Some(server) = &mut self.server else { return };
        if self.link.is_closed() {
            return;
        }
        let early = server.early.take((peer, conv));
        let (link, mut begun) = (&self.link, None);
        let mut make = |companion| {
            let (session, socket) = Session::begin(link, peer, conv, false)?;
            for datagram in early.iter().map(Vec::as_slice).chain([raw]) {
                take_again(&session, datagram, now);
            }
            begun = Some(Arc::clone(&session));
            Ok(Kcp::new(session, socket, companion))
        };
        match server.door.admit(peer, &mut make) {
            Admission::In => {
                if let Some(session) = begun {
                    self.sessions.add(Arc::clone(&session));
                    self.note_heard(session);
                }
            }
            Admission::Later => {}
            Admission::Refused => self.answer(&Segment::bare(conv, Command::Reset), peer),
        }
    }

    /// Says that there is no such conversation, unless that is what was said.
    fn refuse(&self, first: Segment<'_>, peer: SocketAddr) {
        if !matches!(first.command, Command::Reset | Command::EndAck) {
            self.answer(&Segment::bare(first.conv, Command::Reset), peer);
        }
    }

    /// Sends a segment that belongs to no session. It is no longer than what it answers.
    fn answer(&self, segment: &Segment<'_>, peer: SocketAddr) {
        let Some(fec) = &self.link.fec else {
            let mut send = |datagram: &[u8]| self.link.send(datagram, peer);
            return Datagrams::new(None, &mut send).put(segment);
        };
        let mut datagram = vec![0; FEC_HEAD_BYTES + segment.bytes()];
        segment.put(&mut datagram[FEC_HEAD_BYTES..]);
        put_head(&mut datagram, fec.last_group());
        self.link.send(&datagram, peer);
    }

    fn run_timers(&mut self, now: u64) {
        while let Some(first) = self.timers.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), session) = first.remove_entry();
            // It may have been scheduled for an earlier time since.
            if let Some(session) = session.upgrade()
                && session.scheduled.load(Ordering::Relaxed) == at
            {
                session.scheduled.store(u64::MAX, Ordering::Relaxed);
                self.look_at(&session, now);
            }
        }
    }

    fn look_at(&mut self, session: &Arc<Session>, now: u64) {
        if let Some(at) = session.look(now) {
            self.schedule(session, at);
            return self.bound_released(session, now);
        }
        let key = (session.peer, session.conv);
        session.scheduled.store(u64::MAX, Ordering::Relaxed);
        self.sessions.remove(key);
        if let Some(server) = &mut self.server {
            server.gone.add(key, now);
        }
    }

    /// What a connection has said goes on to its peer when it takes no place any more: so there is a bound of its own.
    fn bound_released(&mut self, session: &Arc<Session>, now: u64) {
        let Some(server) = self.server.as_mut().filter(|_| session.is_released_now()) else { return };
        while server.released.front().is_some_and(|oldest| oldest.strong_count() == 0) {
            server.released.pop_front();
        }
        server.released.push_back(Arc::downgrade(session));
        if server.released.len() > server.door.max_conn()
            && let Some(oldest) = server.released.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.reset();
            self.look_at(&oldest, now);
        }
    }

    fn schedule(&mut self, session: &Arc<Session>, at: u64) {
        let before = session.scheduled.load(Ordering::Relaxed);
        if at < before {
            // Else each round of a busy session would leave one behind, for as long as it may be silent.
            if before != u64::MAX {
                self.timers.remove(&(before, session.timer.load(Ordering::Relaxed)));
            }
            self.last_timer += 1;
            session.scheduled.store(at, Ordering::Relaxed);
            session.timer.store(self.last_timer, Ordering::Relaxed);
            self.timers.insert((at, self.last_timer), Arc::downgrade(session));
        }
    }

    fn note_heard(&mut self, session: Arc<Session>) {
        if !self.heard.last().is_some_and(|last| Arc::ptr_eq(last, &session)) {
            self.heard.push(session);
        }
    }

    fn note_bad(&self) {
        if let Some(server) = &self.server {
            server.door.note_bad();
        }
    }

    fn note_stranger(&self) {
        if let Some(server) = &self.server {
            server.door.note_stranger();
        }
    }
}

/// Takes in a datagram that was found to be good before.
fn take_again(session: &Arc<Session>, raw: &[u8], now: u64) {
    let shard = session.is_corrected().then(|| Shard::parse(raw)).flatten();
    let datagram = match shard {
        Some(Shard::Data { datagram, .. }) => datagram,
        _ => raw,
    };
    if let Some(segments) = Segments::parse(datagram) {
        session.take(segments, shard, now);
    }
}

/// The longest datagram that is taken: what kcp-go takes.
const LONGEST: usize = 1500;

/// Datagrams taken before the sessions have their turn.
const AT_A_TIME: usize = 128;
