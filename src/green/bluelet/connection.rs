//! A listening socket and a connected one, as bluelet has them.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};

use crate::green::{TcpListener, TcpStream, resolve};
use crate::lock::Lock;

/// A listening socket.
pub struct Listener {
    /// `None` once closed.
    socket: Lock<Option<Arc<TcpListener>>>,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `host`, a name or an address (`""`: every IPv4 address of the machine), and `port`; 0 takes any free one.
    ///
    /// # Errors
    ///
    /// Those of the system: the port is taken, the address is not ours.
    pub fn new(host: &str, port: u16) -> io::Result<Self> {
        let socket = TcpListener::bind_to(address_of(host, port)?, BACKLOG)?;
        let address = socket.local_addr();
        Ok(Self { socket: Lock::new(Some(Arc::new(socket))), address })
    }

    /// The address it is bound to, with the port the system chose.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Those of the system, such as no descriptor being free; `NotConnected` if the listener is closed.
    pub fn accept(&self) -> io::Result<Connection> {
        loop {
            let socket = self.lock().clone().ok_or_else(closed)?;
            match socket.accept() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                accepted => return accepted.map(|(stream, addr)| Connection::new(stream, addr)),
            }
        }
    }

    /// Stops listening; an accept that waits ends with an error. Twice is the same as once.
    pub fn close(&self) {
        let socket = self.lock().take();
        if let Some(socket) = socket {
            socket.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<TcpListener>>> {
        self.socket.lock()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// A connected socket, with what was read of it and not yet asked for.
#[derive(Debug)]
pub struct Connection {
    /// `None` once closed.
    stream: Option<TcpStream>,
    addr: SocketAddr,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) const fn new(stream: TcpStream, addr: SocketAddr) -> Self {
        Self { stream: Some(stream), addr, buffer: Vec::new() }
    }

    /// The peer's address.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for bytes and returns those there are, `size` and 256 KiB at most; empty at the peer's end of stream.
    ///
    /// # Errors
    ///
    /// Those of the system; `NotConnected` if the connection is closed.
    pub fn recv(&mut self, size: usize) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            return self.read_some(size);
        }
        self.stream()?;
        let rest = self.buffer.split_off(size.min(self.buffer.len()));
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Sends what the socket takes, waiting while it takes nothing; returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn send(&mut self, data: impl AsRef<[u8]>) -> io::Result<usize> {
        self.stream()?.write(data.as_ref())
    }

    /// Sends all of `data`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); some of it may have been sent.
    pub fn sendall(&mut self, data: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream()?.write_all(data.as_ref())
    }

    /// Reads a line of at most [`MAX_LINE_BYTES`], up to and with `terminator`; at the end of stream what is left
    /// without, and empty after that.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the line is longer: what was read of it stays, for [`recv`](Self::recv). `InvalidInput` if
    /// the terminator is empty. Else as [`recv`](Self::recv).
    pub fn readline(&mut self, terminator: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
        self.readline_max(terminator, MAX_LINE_BYTES)
    }

    /// As [`readline`](Self::readline), with a longest line of `max` bytes, the terminator included.
    ///
    /// # Errors
    ///
    /// As [`readline`](Self::readline).
    pub fn readline_max(&mut self, terminator: impl AsRef<[u8]>, max: usize) -> io::Result<Vec<u8>> {
        let terminator = terminator.as_ref();
        if terminator.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "empty line terminator"));
        }
        self.stream()?;
        let mut searched = 0;
        loop {
            if let Some(end) = find(&self.buffer, searched, terminator).filter(|end| *end <= max) {
                let rest = self.buffer.split_off(end);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.buffer.len() >= max {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line longer than {max} bytes"),
                ));
            }
            // The terminator may be cut in two.
            searched = self.buffer.len().saturating_sub(terminator.len() - 1);
            let more = self.read_some(READ_BYTES)?;
            if more.is_empty() {
                return Ok(std::mem::take(&mut self.buffer));
            }
            self.buffer.extend(more);
        }
    }

    /// Closes the connection. Whatever is asked of it later is an error. Twice is the same as once.
    pub fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.shutdown_write();
        }
    }

    fn read_some(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; size.min(MAX_READ_BYTES)];
        let n = self.stream()?.read(&mut data)?;
        data.truncate(n);
        Ok(data)
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        self.stream.as_ref().ok_or_else(closed)
    }
}

/// Where the first `terminator` ends that begins at `from` or later.
fn find(bytes: &[u8], from: usize, terminator: &[u8]) -> Option<usize> {
    let windows = bytes.get(from..)?.windows(terminator.len());
    windows.enumerate().find(|(_, window)| *window == terminator).map(|(at, _)| from + at + terminator.len())
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is closed")
}

/// The address to listen on.
pub(super) fn address_of(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    resolve(host, port)?.first().copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Longest line [`Connection::readline`] takes, in bytes.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// What is asked of the system at a time for a line.
const READ_BYTES: usize = 4096;

/// What one `recv` takes at most, however much it is asked for: the caller's number decides nothing about memory.
const MAX_READ_BYTES: usize = 256 * 1024;

/// Connections that wait to be accepted, at most.
const BACKLOG: u32 = 1024;
