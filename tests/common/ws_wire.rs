//! A wire of WebSocket.

use std::io::{self, Read, Write};

use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};

use super::wire::Wire;

/// WebSocket by `tungstenite`'s own state machine, which the server does not use: each write is a binary message.
pub(crate) struct WsWire<S> {
    socket: WebSocket<S>,
    /// Of the last message, what has not been read.
    rest: Vec<u8>,
}

impl<S: Read + Write> WsWire<S> {
    /// Asks for WebSocket on a stream that is connected.
    pub(crate) fn over(stream: S, url: &str) -> io::Result<Self> {
        let asked = tungstenite::client(url, stream);
        let (socket, _) = asked.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { socket, rest: Vec::new() })
    }

    pub(crate) fn stream(&self) -> &S {
        self.socket.get_ref()
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

fn as_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
