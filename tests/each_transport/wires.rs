//! Wires to a server, one for each transport: streams of bytes that can be written in pieces, finished and cut.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};
use zinx::ziface::TransportKind;

use crate::common::wire::Wire;
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

/// WebSocket by `tungstenite`'s own state machine, which the server does not use: each write is a binary message.
struct WsWire<S> {
    socket: WebSocket<S>,
    addr: SocketAddr,
    /// Of the last message, what has not been read.
    rest: Vec<u8>,
}

impl<S: Addressed> WsWire<S> {
    fn over(stream: S, url: &str) -> io::Result<Self> {
        let addr = stream.addr();
        let asked = tungstenite::client(url, stream);
        let (socket, _) = asked.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { socket, addr, rest: Vec::new() })
    }
}

impl<S: Read + Write> Read for WsWire<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest.extend_from_slice(&bytes),
                // Its answer to a close leaves with the next read.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                Ok(other) => return Err(io::Error::other(format!("{other:?}"))),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Err(error) => return Err(as_io(error)),
            }
        }
        let n = buf.len().min(self.rest.len());
        buf[..n].copy_from_slice(&self.rest[..n]);
        self.rest.drain(..n);
        Ok(n)
    }
}

impl<S: Read + Write> Write for WsWire<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::Binary(buf.to_vec().into())).map_err(as_io)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(as_io)
    }
}

impl<S: Wire> Wire for WsWire<S> {
    fn finish(&mut self) {
        let _ = self.socket.close(None);
    }

    fn cut(&mut self) {
        self.socket.get_mut().cut();
    }
}

impl<S: Addressed> Addressed for WsWire<S> {
    fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn as_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The longest wait for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
