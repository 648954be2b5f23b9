//! A connection to a Redis: a socket, or TLS over one.
//!
//! One coroutine reads while another writes. What TLS has to say of itself leaves with what is written next, as its protocol
//! allows: so two never write at the same time.

#[cfg(feature = "tls")]
use std::collections::VecDeque;
use std::io::{self, Read, Write};
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use rustls::pki_types::ServerName;
#[cfg(feature = "tls")]
use rustls::{ClientConfig, ClientConnection};

use crate::green::TcpStream;
#[cfg(feature = "tls")]
use crate::lock::Lock;

/// A connection to a Redis. It closes with the last clone.
#[derive(Clone)]
pub(super) struct Stream {
    socket: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<Arc<Lock<Records>>>,
}

#[cfg(feature = "tls")]
struct Records {
    tls: ClientConnection,
    /// Decrypted, and not read yet.
    plain: VecDeque<u8>,
}

impl Stream {
    pub(super) const fn plain(socket: TcpStream) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// After the handshake, in which the other side has to show that it is `host`.
    #[cfg(feature = "tls")]
    pub(super) fn encrypted(socket: TcpStream, config: Arc<ClientConfig>, host: &str) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut &socket)?;
        }
        let records = Records { tls, plain: VecDeque::new() };
        Ok(Self { socket, tls: Some(Arc::new(Lock::new(records))) })
    }

    /// Ends it, also for those that wait on it.
    pub(super) fn shutdown(&self) {
        self.socket.shutdown();
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return read_records(tls, &self.socket, buf);
        }
        (&self.socket).read(buf)
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return write_records(tls, &self.socket, buf);
        }
        (&self.socket).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lock is not held while the socket is waited for.
#[cfg(feature = "tls")]
fn read_records(tls: &Lock<Records>, mut socket: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let mut room = [0; READ_BYTES];
    loop {
        let read = tls.lock().plain.read(buf)?;
        if read > 0 {
            return Ok(read);
        }
        let came = socket.read(&mut room)?;
        if came == 0 {
            return Ok(0);
        }
        tls.lock().take(&room[..came])?;
    }
}

#[cfg(feature = "tls")]
fn write_records(tls: &Lock<Records>, mut socket: &TcpStream, buf: &[u8]) -> io::Result<usize> {
    let mut records = Vec::with_capacity(buf.len().min(PLAIN_BYTES) + RECORD_BYTES);
    let taken = tls.lock().seal(&buf[..buf.len().min(PLAIN_BYTES)], &mut records)?;
    socket.write_all(&records)?;
    Ok(taken)
}

#[cfg(feature = "tls")]
impl Records {
    /// Takes what has come, and decrypts what is whole.
    fn take(&mut self, mut came: &[u8]) -> io::Result<()> {
        while !came.is_empty() {
            let taken = self.tls.read_tls(&mut came)?;
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut plain)?;
            self.plain.extend(plain);
            if taken == 0 {
                // It has said its end; nothing counts that comes after it.
                break;
            }
        }
        Ok(())
    }

    /// Encrypts what it takes of `plain`. The records are to leave in the order in which they are made.
    fn seal(&mut self, plain: &[u8], records: &mut Vec<u8>) -> io::Result<usize> {
        let taken = self.tls.writer().write(plain)?;
        while self.tls.wants_write() {
            self.tls.write_tls(records)?;
        }
        Ok(taken)
    }
}

/// So that descriptors can be asked what the system knows of them.
impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(feature = "tls")]
const READ_BYTES: usize = 8 << 10;
/// What is encrypted at a time.
#[cfg(feature = "tls")]
const PLAIN_BYTES: usize = 32 << 10;
/// What the records of that add.
#[cfg(feature = "tls")]
const RECORD_BYTES: usize = 256;
