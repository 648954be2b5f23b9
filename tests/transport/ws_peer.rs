//! A peer that speaks WebSocket by `tungstenite`'s own state machine, which the server does not use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, HandshakeError, Message};
use zinx::zconf::Mode;
use zinx::ziface::{IServer, TransportKind};
use zinx::{Config, Server};

use crate::common::{self, ECHO, Running, frame};

/// A server's configuration, for WebSocket alone.
pub(crate) fn config() -> Config {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::WEBSOCKET, 0);
    config
}

pub(crate) fn address(server: &Server, kind: TransportKind) -> SocketAddr {
    server.local_addrs().into_iter().find(|(of, _)| *of == kind).expect("it listens there").1
}

pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A peer that speaks WebSocket and waits at most ten seconds for each answer.
pub(crate) struct WsPeer {
    pub(crate) socket: WebSocket<Box<dyn Stream>>,
    pub(crate) response: Response,
    addr: SocketAddr,
}

impl WsPeer {
    pub(crate) fn connect(running: &Running) -> Self {
        Self::ask(running, "ws://localhost/").unwrap_or_else(|error| panic!("{error}"))
    }

    /// The status of the refusal, if it is refused.
    pub(crate) fn ask(running: &Running, request: impl IntoClientRequest) -> Result<Self, String> {
        let to = address(&running.server, TransportKind::WebSocket);
        let stream = running.new_peer(|| connected(to), |stream| stream.local_addr().unwrap());
        let addr = stream.local_addr().unwrap();
        Self::over(Box::new(stream), addr, request)
    }

    pub(crate) fn over(
        stream: Box<dyn Stream>,
        addr: SocketAddr,
        request: impl IntoClientRequest,
    ) -> Result<Self, String> {
        match tungstenite::client(request, stream) {
            Ok((socket, response)) => Ok(Self { socket, response, addr }),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                Err(response.status().as_u16().to_string())
            }
            Err(other) => Err(other.to_string()),
        }
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(bytes.to_vec().into())).unwrap();
    }

    /// The next binary message.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        loop {
            match self.socket.read().unwrap() {
                Message::Binary(bytes) => return bytes.to_vec(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code of the close, behind what is read before it.
    pub(crate) fn read_close(&mut self) -> u16 {
        loop {
            match self.socket.read().unwrap() {
                Message::Close(frame) => return frame.unwrap().code.into(),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn check_echo(&mut self) {
        self.check_echo_of(b"still there?");
    }

    pub(crate) fn check_echo_of(&mut self, data: &[u8]) {
        let message = frame(ECHO, data);
        self.send(&message);
        assert!(self.read() == message, "{} bytes", data.len());
    }
}

pub(crate) fn connected(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
