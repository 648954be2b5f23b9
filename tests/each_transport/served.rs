//! A server over one transport, a healthy client beside it, and peers that speak raw bytes.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use zinx::zconf::Mode;
use zinx::ziface::IServer;
use zinx::ziface::TransportKind;
use zinx::znet::Stats;
use zinx::{Config, Server};

use crate::common::phone::Phone;
use crate::common::wire::Wire;
use crate::common::{self, Running, start_alone, start_beside};
use crate::tls_peer::pem;
use crate::wires::{AnyWire, dial};

pub(crate) type Peer = common::Peer<AnyWire>;

/// The configuration of a server over `kind` alone.
pub(crate) fn config(kind: TransportKind) -> Config {
    let mut config = common::config();
    config.mode = match kind {
        TransportKind::Tcp | TransportKind::Tls => Mode::TCP,
        TransportKind::WebSocket | TransportKind::SecureWebSocket => Mode::WEBSOCKET,
        _ => Mode::KCP,
    };
    (config.ws_port, config.kcp_port) = (0, 0);
    if matches!(kind, TransportKind::Tls | TransportKind::SecureWebSocket) {
        (config.cert_file, config.private_key_file) = (pem("server.pem"), pem("server.key"));
    }
    config
}

/// Such a server.
pub(crate) struct Served {
    kind: TransportKind,
    running: Running,
}

/// Starts a server, and a healthy client over the same transport.
pub(crate) fn start(kind: TransportKind, set_up: impl FnOnce(&Server)) -> Served {
    start_with(kind, |_| {}, set_up)
}

pub(crate) fn start_with(
    kind: TransportKind,
    change: impl FnOnce(&mut Config),
    set_up: impl FnOnce(&Server),
) -> Served {
    let mut config = config(kind);
    change(&mut config);
    let running = start_beside(config, set_up, |running| {
        let server = address(kind, running);
        move || connect(kind, server)
    });
    Served { kind, running }
}

/// As [`start_with`], without a healthy client.
pub(crate) fn start_alone_with(
    kind: TransportKind,
    change: impl FnOnce(&mut Config),
    set_up: impl FnOnce(&Server),
) -> Served {
    let mut config = config(kind);
    change(&mut config);
    Served { kind, running: start_alone(config, set_up) }
}

fn address(kind: TransportKind, running: &Running) -> SocketAddr {
    let found = running.server.local_addrs().into_iter().find(|(of, _)| *of == kind);
    found.expect("it listens there").1
}

fn connect(kind: TransportKind, server: SocketAddr) -> Peer {
    let stream = dial(kind, server).unwrap_or_else(|error| panic!("{kind} to {server}: {error}"));
    Peer { stream }
}

impl Served {
    pub(crate) fn address(&self) -> SocketAddr {
        address(self.kind, &self.running)
    }

    pub(crate) fn connect(&self) -> Peer {
        self.running.new_peer(|| connect(self.kind, self.address()), |peer| peer.addr())
    }

    /// An error if the server turns it away before it is a connection.
    pub(crate) fn try_connect(&self) -> io::Result<Peer> {
        Ok(Peer { stream: dial(self.kind, self.address())? })
    }

    /// A peer that can come back.
    pub(crate) fn phone(&self) -> Phone<AnyWire> {
        let (kind, server) = (self.kind, address(self.kind, &self.running));
        Phone::open_by(move || connect(kind, server).stream)
    }

    /// Stops the server, and returns what it has counted, the healthy client's connection included.
    pub(crate) fn stop(self) -> Stats {
        self.running.stop()
    }
}

impl Deref for Served {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Peer {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.stream.addr()
    }

    /// Ends the stream towards the server; answers can still be read.
    pub(crate) fn finish(&mut self) {
        self.stream.finish();
    }

    /// Is gone, without a word.
    pub(crate) fn cut(&mut self) {
        self.stream.cut();
    }
}
