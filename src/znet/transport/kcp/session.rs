//! A conversation as its connection and the thread of its link share it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::conversation::{Conversation, News};
use super::datagrams::Datagrams;
use super::fec::{Decoder, Encoder, Shard};
use super::link::Link;
use super::segments::{Command, Segment, Segments, earlier, since};
use crate::green::{Readiness, Socket};
use crate::lock::Lock;
use crate::znet::transport::Received;

/// A conversation with its peer.
pub(crate) struct Session {
    pub(super) peer: SocketAddr,
    pub(super) conv: u32,
    link: Arc<Link>,
    /// What the connection waits for: no socket of the system, but told by us what is ready. It is the connection's, so its
    /// descriptor closes when that lets go, and not after the last words.
    socket: Weak<Socket>,
    state: Lock<State>,
    /// When the thread of the link looks at it next; `u64::MAX`: not.
    pub(super) scheduled: AtomicU64,
    /// The number that the thread has given to that.
    pub(super) timer: AtomicU64,
    is_noted: AtomicBool,
}

struct State {
    talk: Conversation,
    fec: Option<(Encoder, Decoder)>,
    /// How long it goes on for a peer that takes nothing, once the connection has let go.
    patience: u32,
    /// The connection has let go: until when it goes on.
    goes_on_until: Option<u32>,
    /// The thread of the link knows that.
    is_released: bool,
}

impl Session {
    /// Begins one. `asks`: whether the peer is there. Returns also what its connection waits for.
    pub(super) fn begin(
        link: &Arc<Link>,
        peer: SocketAddr,
        conv: u32,
        asks: bool,
    ) -> io::Result<(Arc<Self>, Arc<Socket>)> {
        let socket = Arc::new(Socket::told()?);
        let fec = link.fec.as_ref().map(|fec| (Encoder::new(fec), Decoder::new(fec)));
        let talk = Conversation::new(conv, &link.options, link.now() as u32, asks);
        let state = State { talk, fec, patience: PATIENCE, goes_on_until: None, is_released: false };
        let session = Arc::new(Self {
            peer,
            conv,
            link: Arc::clone(link),
            socket: Arc::downgrade(&socket),
            state: Lock::new(state),
            scheduled: AtomicU64::new(u64::MAX),
            timer: AtomicU64::new(0),
            is_noted: AtomicBool::new(false),
        });
        Ok((session, socket))
    }

    /// Whether there is forward error correction.
    pub(super) fn is_corrected(&self) -> bool {
        self.link.fec.is_some()
    }

    /// What the connection does. Whatever it is, the thread of the link hears if there is something to do earlier.
    fn with<T>(self: &Arc<Self>, work: impl FnOnce(&mut State, u32) -> T) -> T {
        let now = self.link.now();
        let mut state = self.state.lock();
        let done = work(&mut state, now as u32);
        let at = state.due(now);
        drop(state);
        if at.is_some_and(|at| at < self.scheduled.load(Ordering::Relaxed)) {
            self.call(at.unwrap_or_default());
        }
        done
    }

    /// Has the thread of the link look at it.
    fn call(self: &Arc<Self>, at: u64) {
        let known = self.is_noted.swap(true, Ordering::SeqCst);
        self.link.note((!known).then(|| Arc::clone(self)), at);
    }

    pub(super) fn recv(self: &Arc<Self>, buf: &mut [u8]) -> io::Result<Received> {
        self.with(|state, now| {
            let received = state.talk.read(buf);
            state.flush_if_pressed(self, now);
            received
        })
    }

    pub(super) fn send(
        self: &Arc<Self>,
        slices: &[IoSlice<'_>],
        lens: impl Iterator<Item = usize>,
    ) -> io::Result<usize> {
        self.with(|state, now| {
            let added = state.talk.add(slices, lens);
            if added.is_err() {
                state.flush(self, now);
            }
            added
        })
    }

    pub(super) fn flush(self: &Arc<Self>) {
        self.with(|state, now| state.flush(self, now));
    }

    pub(super) fn has_input(&self) -> bool {
        self.state.lock().talk.has_input()
    }

    /// How long acknowledgements take; `None` before the first.
    #[cfg(feature = "admin")]
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let millis = self.state.lock().talk.round_trip();
        (millis > 0).then(|| Duration::from_millis(millis.into()))
    }

    /// Whether the peer has been heard; its error if it cannot be.
    pub(super) fn is_open(&self) -> io::Result<bool> {
        let state = self.state.lock();
        state.talk.fate().map_or(Ok(!state.talk.is_opening), |fate| Err(fate.into()))
    }

    /// Ends our stream.
    pub(super) fn shut(self: &Arc<Self>) {
        self.with(|state, now| {
            state.talk.shut(now);
            state.flush(self, now);
        });
    }

    pub(super) fn set_patience(&self, patience: Duration) {
        self.state.lock().patience = u32::try_from(patience.as_millis()).unwrap_or(PATIENCE).min(PATIENCE);
    }

    /// The connection lets go: what it has said goes on to its peer.
    pub(super) fn release(self: &Arc<Self>) {
        self.with(|state, now| {
            state.talk.shut(now);
            state.flush(self, now);
            state.goes_on_until.get_or_insert_with(|| now.wrapping_add(state.patience));
        });
        self.call(0);
        self.tell(Readiness::ANY);
    }

    /// Cuts the peer off, and tells it so, once.
    pub(super) fn reset(self: &Arc<Self>) {
        self.with(|state, _| {
            if state.talk.fate().is_none() {
                state.talk.fail(io::ErrorKind::ConnectionAborted);
                state.put(self, &Segment::bare(self.conv, Command::Reset));
            }
        });
        self.tell(Readiness::ANY);
    }

    /// It cannot go on.
    pub(super) fn fail(self: &Arc<Self>, why: io::ErrorKind) {
        self.with(|state, _| state.talk.fail(why));
        self.tell(FAILED);
    }

    fn tell(&self, ready: Readiness) {
        if let Some(socket) = self.socket.upgrade() {
            socket.tell(ready);
        }
    }

    fn tell_news(&self, news: News) {
        let mut ready = Readiness::NONE;
        for (is_so, what) in [
            (news.readable, Readiness::READ),
            (news.writable, Readiness::WRITE),
            (news.hung_up, Readiness::HANGUP),
        ] {
            if is_so {
                ready = ready.or(what);
            }
        }
        if ready != Readiness::NONE {
            self.tell(ready);
        }
    }

    // What the thread of the link does.

    /// Takes in a datagram.
    pub(super) fn take(self: &Arc<Self>, segments: Segments<'_>, shard: Option<Shard<'_>>, now: u64) {
        let news = {
            let mut state = self.state.lock();
            let mut news = state.talk.take(segments, true, now as u32);
            if let Some(shard) = shard {
                news = news.and(state.take_shard(shard, self.conv, now as u32));
            }
            state.flush_if_pressed(self, now as u32);
            news
        };
        self.tell_news(news);
    }

    /// Takes in a datagram with parity.
    pub(super) fn take_parity(self: &Arc<Self>, shard: Shard<'_>, now: u64) {
        let news = {
            let mut state = self.state.lock();
            let news = state.take_shard(shard, self.conv, now as u32);
            state.flush_if_pressed(self, now as u32);
            news
        };
        self.tell_news(news);
    }

    /// Sends what is due, new or again. Returns when it is to be called next; `None` if the session is over and can be removed.
    pub(super) fn look(self: &Arc<Self>, now: u64) -> Option<u64> {
        self.is_noted.store(false, Ordering::SeqCst);
        let (silent, next) = {
            let mut state = self.state.lock();
            let silent = state.talk.fails_of_silence(now as u32);
            if state.talk.due().is_some_and(|due| since(now as u32, due) >= 0) {
                state.flush(self, now as u32);
            }
            let next =
                if state.is_gone(now as u32) { None } else { Some(state.due(now).unwrap_or(u64::MAX)) };
            (silent, next)
        };
        if silent {
            self.tell(FAILED);
        }
        next
    }

    /// Whether the connection has let go since this was last asked.
    pub(super) fn is_released_now(&self) -> bool {
        let mut state = self.state.lock();
        let is_news = state.goes_on_until.is_some() && !state.is_released;
        state.is_released |= is_news;
        is_news
    }

    /// When something is due.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        self.state.lock().due(now)
    }
}

impl State {
    fn flush(&mut self, session: &Session, now: u32) {
        let mut send = |datagram: &[u8]| session.link.send(datagram, session.peer);
        let mut out = Datagrams::new(self.fec.as_mut().map(|(encoder, _)| encoder), &mut send);
        self.talk.flush(now, &mut out);
    }

    fn flush_if_pressed(&mut self, session: &Session, now: u32) {
        let is_due = || self.talk.due().is_some_and(|due| since(now, due) >= 0);
        if self.talk.is_pressed() || is_due() {
            self.flush(session, now);
        }
    }

    fn put(&mut self, session: &Session, segment: &Segment<'_>) {
        let mut send = |datagram: &[u8]| session.link.send(datagram, session.peer);
        Datagrams::new(self.fec.as_mut().map(|(encoder, _)| encoder), &mut send).put(segment);
    }

    fn take_shard(&mut self, shard: Shard<'_>, conv: u32, now: u32) -> News {
        let Some((_, decoder)) = &mut self.fec else { return News::default() };
        let mut news = News::default();
        for datagram in decoder.take(shard) {
            if let Some(segments) = Segments::parse(&datagram).filter(|segments| segments.conv == conv) {
                news = news.and(self.talk.take(segments, false, now));
            }
        }
        news
    }

    fn due(&self, now: u64) -> Option<u64> {
        let both = [self.talk.due(), self.goes_on_until].into_iter().flatten();
        both.reduce(earlier).map(|due| now + u64::try_from(since(due, now as u32)).unwrap_or_default())
    }

    fn is_gone(&self, now: u32) -> bool {
        self.goes_on_until.is_some_and(|until| self.talk.is_over() || since(now, until) >= 0)
    }
}

impl News {
    const fn and(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            writable: self.writable || other.writable,
            hung_up: self.hung_up || other.hung_up,
        }
    }
}

/// What one that waits on a conversation is told when it has failed.
const FAILED: Readiness = Readiness::READ.or(Readiness::WRITE).or(Readiness::HANGUP);

/// In milliseconds.
const PATIENCE: u32 = 15_000;
