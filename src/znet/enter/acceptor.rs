//! The acceptor: from the listener to connections. It is a thread, so that they come in whatever handlers do.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::crowd::Crowd;
use super::listener::Listener;
use super::place::Place;
use crate::error::{Error, Result};
use crate::green::{Builder, Gate, Newcomer, TcpStream, Thread};
use crate::log_line::{Throttle, throttled};
use crate::zconf::MaxConnPolicy;
use crate::znet::read::rate::network;
use crate::znet::read::rider::Rider;
use crate::znet::server::core::Core;
use crate::znet::tutorial;
use crate::zpack::new_message;

/// Starts the acceptor.
pub(crate) fn begin(core: &Arc<Core>, listener: &Arc<Listener>) -> Result<Thread> {
    let (core, listener) = (Arc::clone(core), Arc::clone(listener));
    let begun = Thread::start("zinx-acceptor", move || accept_all(&core, &listener));
    begun.map_err(|source| Error::io("start the acceptor", source))
}

/// Accepts until the server stops. An error costs a pause, never the loop.
fn accept_all(core: &Arc<Core>, listener: &Listener) {
    announce(core);
    let (over_log, over_address_log) = (Throttle::new(), Throttle::new());
    let mut acceptor = Acceptor { core, next_id: 0, crowd: Arc::default(), over_log, over_address_log };
    let (gate, mut failures) = (Gate::new(), 0);
    while acceptor.wait_for_place() {
        let Some(newcomer) = gate.wait(core.stopping()) else { break };
        tutorial::say(format_args!("开启接收"));
        match listener.accept() {
            Ok((stream, peer)) => {
                failures = 0;
                acceptor.admit(newcomer, stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failures += 1;
                core.log_refused(&format_args!("accept on {}: {error}", listener.local_addr()));
                core.backoff().pause(failures);
            }
        }
    }
    tutorial::say(format_args!("服务停止"));
}

fn announce(core: &Core) {
    let config = core.config();
    tutorial::say(format_args!("[启动] {}服务启动成功,监听中......", config.name));
    tutorial::say(format_args!(
        "[START] version {}, MaxConn {}, MaxPacketSize {}",
        config.version, config.max_conn, config.max_packet_size
    ));
}

struct Acceptor<'a> {
    core: &'a Arc<Core>,
    next_id: u64,
    /// The connections of each address, if they are limited.
    crowd: Arc<Crowd>,
    over_log: Throttle,
    over_address_log: Throttle,
}

impl Acceptor<'_> {
    /// Under the wait policy, waits until there is a place for one more connection. `false` once the server stops.
    fn wait_for_place(&self) -> bool {
        let core = self.core;
        while core.config().max_conn_policy == MaxConnPolicy::Wait
            && self.is_full()
            && !core.stopping().is_set()
        {
            // A connection that goes ends the pause; should its call come too early, the pause ends by itself.
            core.backoff().pause(u32::MAX);
        }
        !core.stopping().is_set()
    }

    /// A connection whose peer is away takes no place: the peer needs one to come back.
    fn is_full(&self) -> bool {
        let here = self.core.manager().places().saturating_sub(self.core.absent.len());
        here >= self.core.config().max_conn
    }

    /// Makes a connection of a stream and starts its reader, where there is a place for it.
    fn admit(&mut self, newcomer: Newcomer, mut stream: TcpStream, peer: SocketAddr) {
        if self.is_full() {
            return self.turn_away(&stream, peer);
        }
        let most = self.core.config().max_conn_per_address;
        if most > 0 {
            match Crowd::join(&self.crowd, network(peer.ip()), most) {
                Some(member) => stream.accompany(member),
                None => return self.turn_away_address(&stream, peer),
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        let core = self.core;
        let place = match Place::take(core, id, stream, peer) {
            Ok(place) => place,
            Err(error) => return core.log_refused(&format_args!("connection {id}: {error}")),
        };
        let conn = Arc::clone(place.conn());
        let mut reader = Builder::new().numbered(&"connection", id);
        if let Some(worker) = conn.tasks().worker() {
            reader = reader.on(worker.home());
        }
        let Some(rider) = Rider::new(place, Some(newcomer)) else { return };
        match core.group().carry(reader, rider) {
            Ok(()) => core.counters.accepted.add(),
            Err(error) => core.log_refused(&format_args!("connection {conn}: {error}")),
        }
    }

    /// Closes a connection over MaxConnPerAddress.
    fn turn_away_address(&self, stream: &TcpStream, peer: SocketAddr) {
        let core = self.core;
        core.counters.over_max_conn_per_address.add();
        let most = core.config().max_conn_per_address;
        say_last_word_on(core, stream, &format_args!("{most} connections of this address are open"));
        throttled!(
            warn,
            self.over_address_log,
            "closed {peer}: {most} connections of its address are open, MaxConnPerAddress is {most}"
        );
    }

    /// Closes a connection over MaxConn.
    fn turn_away(&self, stream: &TcpStream, peer: SocketAddr) {
        let core = self.core;
        core.counters.over_max_conn.add();
        let max = core.config().max_conn;
        say_last_word_on(core, stream, &format_args!("{max} connections are open"));
        throttled!(warn, self.over_log, "closed {peer}: {max} connections are open, MaxConn is {max}");
    }
}

/// Says why to a peer that is not accepted (`LastWordMsgId`), if its socket takes that at once.
fn say_last_word_on(core: &Core, stream: &TcpStream, why: &dyn Display) {
    let msg_id = core.config().last_word_msg_id;
    if msg_id != 0
        && let Ok(frame) = core.pack().pack(&new_message(msg_id, why.to_string()))
    {
        stream.send_and_end(&frame);
    }
}
