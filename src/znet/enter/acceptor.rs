//! The acceptor: from the listener to connections. It is a thread, so that they come in whatever handlers do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::crowd::Seat;
use super::entrance::Entrance;
use super::handshake::{self, Arrival};
use super::listener::Listener;
use super::lull::Lull;
use crate::error::{Error, Result};
use crate::green::{Gate, Newcomer, TcpStream, Thread};
use crate::ziface::TransportKind;
use crate::znet::conn::addresses::Addresses;
use crate::znet::server::core::Core;
use crate::znet::transport::Transport;
use crate::znet::transport::tcp::Tcp;
use crate::znet::tutorial;

/// Starts the acceptor of a listener.
pub(crate) fn begin(entrance: &Arc<Entrance>, listener: &Arc<Listener>) -> Result<Thread> {
    let (entrance, listener) = (Arc::clone(entrance), Arc::clone(listener));
    let begun = Thread::start("zinx-acceptor", move || accept_all(&entrance, &listener));
    begun.map_err(|source| Error::io("start the acceptor", source))
}

/// Accepts until the server stops. An error costs a pause, never the loop.
fn accept_all(entrance: &Arc<Entrance>, listener: &Listener) {
    let core = entrance.core();
    announce(core);
    let (gate, mut lull, mut failures) = (Gate::new(), Lull::default(), 0);
    while entrance.wait_for_place() {
        let Some(newcomer) = gate.wait(core.stopping()) else { break };
        tutorial::say(format_args!("开启接收"));
        match listener.accept(&mut lull) {
            Ok((stream, peer)) => {
                failures = 0;
                admit(entrance, listener.kind(), newcomer, stream, peer);
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

/// Takes a peer in, if there is a place for it: as a connection, or first for a handshake.
fn admit(
    entrance: &Arc<Entrance>,
    kind: TransportKind,
    newcomer: Newcomer,
    mut stream: TcpStream,
    peer: SocketAddr,
) {
    let core = entrance.core();
    let seat = core.may_speak_for_others(kind, peer.ip()).then(Seat::default);
    if seat.is_none() && !core.lets_in(peer.ip()) {
        return;
    }
    let Some(reserved) = entrance.reserve(kind, Some(&stream), peer) else { return };
    if let Some(seat) = &seat {
        // Whom it speaks for is counted once that is known.
        stream.accompany(seat.clone());
    } else {
        let Some(member) = entrance.join_crowd(kind, Some(&stream), peer) else { return };
        if let Some(member) = member {
            stream.accompany(member);
        }
    }
    let addresses = Addresses::new(stream.local_addr().unwrap_or(peer), peer);
    if kind == TransportKind::Tcp && seat.is_none() {
        return reserved.enter(Some(newcomer), Transport::Tcp(Tcp::new(stream)), addresses);
    }
    handshake::begin(reserved, newcomer, Arrival { kind, stream, addresses, seat });
}
