//! TLS over TCP: what the peer reads and writes is encrypted on the way.
//!
//! One lock guards the state of the protocol. It is held while records are made and given to the system, so that they leave in the
//! order in which they were made, and never while anybody waits.

use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, InvalidMessage, ServerConfig};

use super::layer::{self, Layer};
use super::records::{ADDED_BYTES, PLAIN_BYTES, RECORD_BYTES, Records};
use super::surplus::Surplus;
use super::tls_info::TlsInfo;
use super::{Left, Received};
use crate::green::{ReadBuffer, Readiness, Socket, TcpStream};
use crate::lock::Lock;

/// A TLS connection. Its descriptor closes with the last clone.
#[derive(Clone)]
pub(crate) struct Tls(Arc<State>);

struct State {
    socket: Arc<Socket>,
    records: Lock<Records>,
    /// Whether something is unsent, as the last one left it that had the lock: to ask needs none.
    has_unsent: AtomicBool,
}

impl Tls {
    /// The server's side, before the handshake.
    pub(crate) fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        Records::server(config).map(|records| Self::new(stream, records)).map_err(refused)
    }

    /// The client's side, before the handshake.
    pub(crate) fn connect(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        Records::client(config, name).map(|records| Self::new(stream, records)).map_err(refused)
    }

    fn new(stream: TcpStream, records: Records) -> Self {
        let (socket, records) = (stream.into_socket(), Lock::new(records));
        Self(Arc::new(State { socket, records, has_unsent: AtomicBool::new(false) }))
    }

    /// Goes on with the handshake. Returns what it waits for; `None` once it is over.
    ///
    /// # Errors
    ///
    /// If the peer does not speak TLS, or either side does not trust the other. The peer has been told, if it took that.
    pub(crate) fn shake_hands(&self) -> io::Result<Option<Readiness>> {
        let mut records = self.lock();
        records.begin().map_err(refused)?;
        loop {
            match self.send_own(&mut records) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some(Readiness::WRITE));
                }
                sent => sent?,
            }
            if !records.common().is_handshaking() {
                return Ok(None);
            }
            if self.fill(&mut records, &mut [])?.left == Left::Nothing {
                return Ok(Some(Readiness::READ));
            }
            if records.has_ended() && records.common().is_handshaking() {
                let why = "the peer ended the stream in the TLS handshake: it may not speak TLS";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
        }
    }

    #[inline(always)]
    pub(super) fn recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        layer::recv(&mut *self.lock(), buf, |records, buf| self.fill(records, buf))
    }

    pub(super) fn recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<Received> {
        layer::recv_into(buf, max, |room| self.recv(room))
    }

    /// Reads from the socket once, and decrypts what came into `buf`.
    #[inline(always)]
    fn fill(&self, records: &mut Records, buf: &mut [u8]) -> io::Result<Received> {
        records.raise().map_err(refused)?;
        let begun = records.begun().len();
        let mut scratch = ReadBuffer::take(begun);
        let room = (scratch.len() - begun).min(buf.len().max(RECORD_BYTES));
        scratch[..begun].copy_from_slice(records.begun());
        let came = match self.0.socket.try_recv(&mut scratch[begun..begun + room]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::NOTHING),
            came => came?,
        };
        if came == 0 {
            // Without a farewell, which many leave out. The frames tell whether one is cut.
            records.end();
            return Ok(Received { n: 0, left: Left::End });
        }
        let taken = records.take(&mut scratch[..begun + came], buf);
        // What does not leave now leaves with the next flush. If the peer has gone, the next send says so.
        let _ = self.send_own(records);
        // If it is broken, the next read tells.
        let left = if came < room && !records.is_broken() { Left::Drained } else { Left::More };
        Ok(Received { n: taken.map_err(refused)?, left })
    }

    #[inline]
    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut records = self.lock();
        self.send_own(&mut records)?;
        if let [only] = slices
            && only.len() <= SMALL_BYTES
        {
            let mut out = [0; SMALL_BYTES + ADDED_BYTES];
            let len = records.seal(only, &mut out).map_err(refused)?;
            self.send_record(&mut records, &out[..len])?;
            return Ok(only.len());
        }
        let mut scratch = ReadBuffer::take(2 * PLAIN_BYTES);
        let (space, out) = scratch.split_at_mut(PLAIN_BYTES);
        let plain = match slices {
            [first, ..] if slices.len() == 1 || first.len() >= PLAIN_BYTES => {
                &first[..first.len().min(PLAIN_BYTES)]
            }
            several => gather(several, space),
        };
        let len = records.seal(plain, out).map_err(refused)?;
        self.send_record(&mut records, &out[..len])?;
        Ok(plain.len())
    }

    /// Sends a record behind what is unsent.
    #[inline(always)]
    fn send_record(&self, records: &mut Records, record: &[u8]) -> io::Result<()> {
        let sent = if records.unsent.is_empty() { self.try_send(record)? } else { 0 };
        records.unsent.push(&record[sent..]);
        Ok(())
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.0.has_unsent.load(Ordering::Acquire)
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        self.lock().unsent.held()
    }

    pub(super) fn info(&self) -> TlsInfo {
        TlsInfo::new(self.lock().common())
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        if self.has_unsent() { self.send_own(&mut self.lock()) } else { Ok(()) }
    }

    /// Sends what is unsent. `WouldBlock` if something is left.
    fn send_own(&self, records: &mut Records) -> io::Result<()> {
        while !records.unsent.is_empty() {
            let sent = self.0.socket.try_send(records.unsent.rest())?;
            records.unsent.advance(sent);
        }
        Ok(())
    }

    /// As the socket's, but 0 if that is full.
    fn try_send(&self, record: &[u8]) -> io::Result<usize> {
        match self.0.socket.try_send(record) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    pub(super) fn has_input(&self) -> bool {
        let has_come = {
            let records = self.lock();
            !records.plain.is_empty() || records.is_broken()
        };
        has_come || self.0.socket.is_readable()
    }

    /// Says farewell, if the socket takes it, and ends our stream.
    pub(super) fn shutdown(&self) {
        let mut records = self.lock();
        records.say_end();
        // Fails only if the peer has gone first, or does not read: then it has no use for it.
        let _ = self.send_own(&mut records);
        self.0.socket.shutdown_write();
    }

    pub(super) fn socket(&self) -> &Arc<Socket> {
        &self.0.socket
    }

    fn lock(&self) -> Held<'_> {
        Held { records: self.0.records.lock(), has_unsent: &self.0.has_unsent }
    }
}

/// The state of the protocol, locked.
struct Held<'a> {
    records: MutexGuard<'a, Records>,
    has_unsent: &'a AtomicBool,
}

impl Deref for Held<'_> {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.records
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Records {
        &mut self.records
    }
}

impl Drop for Held<'_> {
    /// Before the lock is given back. Whoever leaves something unsent asks afterwards, so nobody has to see it earlier.
    fn drop(&mut self) {
        self.has_unsent.store(!self.records.unsent.is_empty(), Ordering::Release);
    }
}

impl Layer for Records {
    fn plain(&mut self) -> &mut Surplus {
        &mut self.plain
    }

    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.0.socket).finish()
    }
}

/// Puts as much as fits side by side.
fn gather<'a>(slices: &[IoSlice<'_>], space: &'a mut [u8]) -> &'a [u8] {
    let mut filled = 0;
    for slice in slices {
        let n = slice.len().min(space.len() - filled);
        space[filled..filled + n].copy_from_slice(&slice[..n]);
        filled += n;
    }
    &space[..filled]
}

/// What `rustls` says, and the usual cause, if those words do not name it.
fn refused(error: rustls::Error) -> io::Error {
    let cause = match &error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the peer does not speak TLS",
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "the server's own certificate is one of an authority (CA:TRUE)"
        }
        _ => return io::Error::new(io::ErrorKind::InvalidData, error),
    };
    io::Error::new(io::ErrorKind::InvalidData, format!("{error}: {cause}"))
}

/// What is no longer than this is encrypted on the stack.
const SMALL_BYTES: usize = 512;
