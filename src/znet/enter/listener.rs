//! What a server listens on: bound as the configuration says, closed when the server stops.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::lull::Lull;
use crate::error::{Error, Result};
use crate::green::{TcpListener, TcpStream, blocking, passed_addresses};
use crate::zconf::Config;
use crate::ziface::TransportKind;

/// The bound socket of a server.
pub(crate) struct Listener {
    socket: TcpListener,
    kind: TransportKind,
}

impl Listener {
    /// What `Host` means. Resolving a name may wait, so the caller holds no lock.
    pub(crate) fn addresses(config: &Config, port: u16) -> Result<Vec<SocketAddr>> {
        let host = (config.host.clone(), port);
        let found = blocking(move || host.to_socket_addrs().map(Vec::from_iter));
        found.map_err(|source| Error::io(format!("listen on {}:{port} (Host)", config.host), source))
    }

    /// Listens on the first of `addresses` that can be had, without waiting: on a socket that systemd has passed, if there is one.
    pub(crate) fn bind(config: &Config, kind: TransportKind, addresses: Vec<SocketAddr>) -> Result<Self> {
        let port = addresses.first().map_or(0, SocketAddr::port);
        let bound = match TcpListener::inherit(&addresses) {
            Ok(None) => {
                tell_others(&addresses);
                TcpListener::bind_first(addresses, config.backlog)
            }
            Ok(Some(inherited)) => Ok(inherited),
            Err(error) => Err(error),
        };
        let bound = bound.and_then(|socket| socket.limit_unsent(UNSENT).map(|()| Self { socket, kind }));
        bound.map_err(|source| cannot_listen(config, port, kind, source))
    }

    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// What its peers speak.
    pub(crate) const fn kind(&self) -> TransportKind {
        self.kind
    }

    /// Waits for the next peer. `Interrupted` once the listener is closed.
    pub(super) fn accept(&self, lull: &mut Lull) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.socket.accept_or(|| lull.rest())?;
        lull.note_accepted();
        Ok(accepted)
    }

    /// Ends the accept that waits. From now on clients are refused. Never waits.
    pub(crate) fn close(&self) {
        self.socket.close();
    }
}

/// How many bytes the system may hold of a connection that it has not sent yet. Left alone it takes up to `net.ipv4.tcp_wmem`, 4 MB, of
/// a peer that does not read: memory that no bound of ours counts, and milliseconds of copying in which others of the worker wait.
/// What is on its way to the peer does not count, so a long fast line is as fast as ever.
const UNSENT: u32 = 256 * 1024;

/// Says that a socket was passed to the process, and is not used, for its address is another.
fn tell_others(addresses: &[SocketAddr]) {
    let (passed, ours) = (passed_addresses(), addresses.first());
    if let Some(ours) = ours.filter(|_| !passed.is_empty()) {
        log::warn!("no socket was passed for {ours} (Host, TcpPort, WsPort), but for {}", passed.join(", "));
    }
}

/// Says on what, and if that is up to the configuration, which key to change.
pub(super) fn cannot_listen(config: &Config, port: u16, kind: TransportKind, source: io::Error) -> Error {
    let (key, list) = match kind {
        TransportKind::Tcp | TransportKind::Tls => ("TcpPort", "ss -ltnp"),
        TransportKind::WebSocket | TransportKind::SecureWebSocket => ("WsPort", "ss -ltnp"),
        TransportKind::Kcp => ("KcpPort", "ss -lunp"),
    };
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(", which is taken (`{list}` says by whom, {key} sets another)")
        }
        io::ErrorKind::AddrNotAvailable => ", which is no address of this machine (Host)".to_string(),
        io::ErrorKind::PermissionDenied if port < 1024 => {
            format!(", a port for privileged programs ({key} sets one from 1024 on)")
        }
        _ => String::new(),
    };
    Error::io(format!("listen on {}:{port}{remedy}", config.host), source)
}
