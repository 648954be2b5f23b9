//! Where all peers of a server come in: it keeps `MaxConn`, and gives each connection its number and its place.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::crowd::{Crowd, Member, Seat};
use super::handshakes::Handshakes;
use super::place::Place;
use crate::green::{Builder, Newcomer, TcpStream};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};
use crate::zconf::MaxConnPolicy;
use crate::ziface::TransportKind;
use crate::znet::conn::addresses::{Addresses, network};
use crate::znet::read::rider::Rider;
use crate::znet::server::core::Core;
use crate::znet::transport::Transport;
use crate::zpack::new_message;

/// The entrance of a server. All its listeners share it.
pub(crate) struct Entrance {
    core: Arc<Core>,
    door: Lock<Door>,
    /// The connections of each address, if they are limited.
    crowd: Arc<Crowd>,
    /// Peers with whom something is to be agreed on first.
    pub(super) handshakes: Arc<Handshakes>,
    over_log: Throttle,
    over_address_log: Throttle,
}

#[derive(Default)]
struct Door {
    next_id: u64,
}

/// The right to a place. Dropped, another peer may have it.
pub(super) struct Reserved {
    entrance: Arc<Entrance>,
    used: bool,
}

impl Entrance {
    pub(crate) fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            handshakes: Arc::default(),
            core,
            door: Lock::default(),
            crowd: Arc::default(),
            over_log: Throttle::new(),
            over_address_log: Throttle::new(),
        })
    }

    /// Ends what has not become a connection yet, and what comes from now on.
    pub(crate) fn close(&self) {
        self.handshakes.close();
    }

    pub(super) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Under the wait policy, waits until there is a place for one more connection. `false` once the server stops.
    pub(super) fn wait_for_place(&self) -> bool {
        let core = &self.core;
        while core.config().max_conn_policy == MaxConnPolicy::Wait
            && self.is_full_now()
            && !core.stopping().is_set()
        {
            // A connection that goes ends the pause; should its call come too early, the pause ends by itself.
            core.backoff().pause(u32::MAX);
        }
        !core.stopping().is_set()
    }

    /// Whether one more peer is to wait until there is a place for it.
    #[cfg(feature = "kcp")]
    pub(super) fn has_others_wait(&self) -> bool {
        self.core.config().max_conn_policy == MaxConnPolicy::Wait && self.is_full_now()
    }

    fn is_full_now(&self) -> bool {
        // Nobody is on the way from the one count to the other.
        let _door = self.door.lock();
        self.is_full()
    }

    /// The caller has the lock of the door.
    fn is_full(&self) -> bool {
        self.core.places_taken() >= self.core.config().max_conn
    }

    /// Reserves a place. `None`, and the peer has been turned away, if there is none.
    pub(super) fn reserve(
        self: &Arc<Self>,
        kind: TransportKind,
        stream: Option<&TcpStream>,
        peer: SocketAddr,
    ) -> Option<Reserved> {
        let take = || {
            let _door = self.door.lock();
            let full = self.is_full();
            self.core.arriving.fetch_add(usize::from(!full), Ordering::AcqRel);
            full
        };
        let mut full = take();
        // There was a place when the acceptor began to wait for this peer; others may have come in through another port since. KCP, which
        // has no stream, has looked just now, and must not wait.
        while full && stream.is_some() && self.core.config().max_conn_policy == MaxConnPolicy::Wait {
            if !self.wait_for_place() {
                return None;
            }
            full = take();
        }
        if full {
            self.turn_away(kind, stream, peer);
            return None;
        }
        Some(Reserved { entrance: Arc::clone(self), used: false })
    }

    /// Counts a peer among those of its address, if they are limited. `None`, and it has been turned away, if it is one too many.
    pub(super) fn join_crowd(
        &self,
        kind: TransportKind,
        stream: Option<&TcpStream>,
        peer: SocketAddr,
    ) -> Option<Option<Member>> {
        let most = self.core.config().max_conn_per_address;
        if most == 0 {
            return Some(None);
        }
        let member = Crowd::join(&self.crowd, network(peer.ip()), most);
        if member.is_none() {
            self.turn_away_address(kind, stream, peer);
        }
        member.map(Some)
    }

    /// Counts the client for whom a proxy speaks, as [`join_crowd`](Self::join_crowd) does. `false`, and it has been turned away, if it
    /// is one too many.
    pub(super) fn take_seat(
        &self,
        seat: &Seat,
        kind: TransportKind,
        stream: Option<&TcpStream>,
        client: SocketAddr,
    ) -> bool {
        let member = self.join_crowd(kind, stream, client);
        let has_joined = member.is_some();
        seat.take(member.flatten());
        has_joined
    }

    /// Closes a connection over MaxConnPerAddress.
    fn turn_away_address(&self, kind: TransportKind, stream: Option<&TcpStream>, peer: SocketAddr) {
        let (core, most) = (&self.core, self.core.config().max_conn_per_address);
        say_last_word_on(core, kind, stream, &format_args!("{most} connections of this address are open"));
        self.note_crowded(peer);
    }

    fn note_crowded(&self, peer: SocketAddr) {
        self.core.counters.over_max_conn_per_address.add();
        let most = self.core.config().max_conn_per_address;
        throttled!(
            warn,
            self.over_address_log,
            "closed {peer}: {most} connections of its address are open, MaxConnPerAddress is {most}"
        );
    }

    /// Closes a connection over MaxConn.
    fn turn_away(&self, kind: TransportKind, stream: Option<&TcpStream>, peer: SocketAddr) {
        let core = &self.core;
        core.counters.over_max_conn.add();
        let max = core.config().max_conn;
        say_last_word_on(core, kind, stream, &format_args!("{max} connections are open"));
        throttled!(warn, self.over_log, "closed {peer}: {max} connections are open, MaxConn is {max}");
    }
}

impl Reserved {
    pub(super) const fn entrance(&self) -> &Arc<Entrance> {
        &self.entrance
    }

    /// Makes a connection of a transport, in the place that is reserved, and starts its reader.
    pub(super) fn enter(mut self, newcomer: Option<Newcomer>, transport: Transport, addresses: Addresses) {
        let entrance = Arc::clone(&self.entrance);
        let core = entrance.core();
        let (id, place) = {
            let mut door = entrance.door.lock();
            let id = door.next_id;
            door.next_id += 1;
            // Counted once at any time, for those who come in; never twice for those who only look.
            core.arriving.fetch_sub(1, Ordering::AcqRel);
            self.used = true;
            let place = Place::take(core, id, transport, addresses);
            (id, place)
        };
        let place = match place {
            Ok(place) => place,
            Err(error) => return core.log_refused(&format_args!("connection {id}: {error}")),
        };
        let conn = place.conn().arc();
        if core.stopping().is_set() {
            // It came too late for the stop to find it.
            conn.stop_because(core.stop_reason().clone());
        }
        let mut reader = Builder::new().numbered(&"connection", id);
        if let Some(worker) = conn.tasks().worker() {
            reader = reader.on(worker.home());
        }
        let Some(rider) = Rider::new(place, newcomer) else { return };
        match core.group().carry(reader, rider) {
            Ok(()) => core.counters.accepted.add(),
            Err(error) => core.log_refused(&format_args!("connection {conn}: {error}")),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.used {
            let door = self.entrance.door.lock();
            self.entrance.core.arriving.fetch_sub(1, Ordering::AcqRel);
            drop(door);
            self.entrance.core.backoff().end_pause();
        }
    }
}

/// Says why to a peer that is not accepted (`LastWordMsgId`), if its socket takes that at once, and nothing has to be agreed on
/// first.
fn say_last_word_on(core: &Core, kind: TransportKind, stream: Option<&TcpStream>, why: &dyn Display) {
    let msg_id = core.config().last_word_msg_id;
    if msg_id != 0
        && kind == TransportKind::Tcp
        && let Some(stream) = stream
        && let Ok(frame) = core.pack().pack(&new_message(msg_id, why.to_string()))
    {
        stream.send_and_end(&frame);
    }
}
