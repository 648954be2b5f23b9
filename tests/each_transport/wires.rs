//! Wires to a server, one for each transport: streams of bytes that can be written in pieces, finished and cut.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use zinx::ziface::TransportKind;

use crate::common::wire::Wire;
use crate::common::ws_wire::WsWire;
use crate::kcp_wire::KcpWire;
use crate::tls_peer::client_config;

/// A wire, whatever it is.
pub(crate) type AnyWire = Box<dyn Addressed>;

pub(crate) trait Addressed: Wire + Send {
    /// Its own address, by which the server knows it.
    fn addr(&self) -> SocketAddr;
}

/// A wire to a server that listens for `kind`; an error if the two do not agree.
pub(crate) fn dial(kind: TransportKind, server: SocketAddr) -> io::Result<AnyWire> {
    Ok(match kind {
        TransportKind::Tcp => Box::new(tcp(server)?),
        TransportKind::Tls => Box::new(tls(server)?),
        TransportKind::WebSocket => Box::new(WsWire::over(tcp(server)?, "ws://localhost/")?),
        TransportKind::SecureWebSocket => Box::new(WsWire::over(tls(server)?, "wss://localhost/")?),
        TransportKind::Kcp => Box::new(KcpWire::dial(server)?),
        other => panic!("no wire for {other}"),
    })
}

fn tcp(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn tls(server: SocketAddr) -> io::Result<TlsWire> {
    let name = ServerName::try_from("localhost").unwrap();
    let config: Arc<ClientConfig> = client_config(|_| {});
    let mut wire = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp(server)?);
    wire.conn.complete_io(&mut wire.sock)?;
    Ok(wire)
}

impl Wire for AnyWire {
    fn finish(&mut self) {
        (**self).finish();
    }

    fn cut(&mut self) {
        (**self).cut();
    }
}

impl Addressed for TcpStream {
    fn addr(&self) -> SocketAddr {
        self.local_addr().unwrap()
    }
}

/// TLS by `rustls`' own buffers, which the server does not use.
type TlsWire = StreamOwned<ClientConnection, TcpStream>;

impl Wire for TlsWire {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }

    fn cut(&mut self) {
        self.sock.cut();
    }
}

impl Addressed for TlsWire {
    fn addr(&self) -> SocketAddr {
        self.sock.addr()
    }
}

impl<S: Addressed> Addressed for WsWire<S> {
    fn addr(&self) -> SocketAddr {
        self.stream().addr()
    }
}

/// The longest wait for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
