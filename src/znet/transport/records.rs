//! The TLS protocol of one connection: records in, plain bytes out, and the other way. No I/O, no waiting.
//!
//! `rustls` keeps the keys; the bytes are kept here, and only if a record has not come whole or could not be sent. So a
//! connection at rest holds no buffer.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{ClientConfig, CommonState, InvalidMessage, ServerConfig};

use super::surplus::Surplus;

/// The TLS state of one connection.
pub(super) struct Records {
    side: Side,
    /// The beginning of a record, or of a handshake message.
    begun: Vec<u8>,
    /// Decrypted, and not taken yet.
    pub(super) plain: Surplus,
    /// Encrypted, and not sent yet.
    pub(super) unsent: Surplus,
    /// What the peer has done that it must not. What has come before can still be taken.
    broken: Option<rustls::Error>,
    /// The peer has said that it sends nothing more.
    ended: bool,
    said_end: bool,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What the protocol did.
enum Step {
    /// Something: there may be more to do.
    Went,
    /// It has decrypted content, up to where it is done with the records.
    Read,
    /// It needs more records.
    Waits,
    /// The peer has ended.
    Ended,
}

impl Records {
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self::new(Side::Server(Box::new(UnbufferedServerConnection::new(config)?))))
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self::new(Side::Client(Box::new(UnbufferedClientConnection::new(config, name)?))))
    }

    fn new(side: Side) -> Self {
        let (plain, unsent) = (Surplus::new(), Surplus::new());
        Self { side, begun: Vec::new(), plain, unsent, broken: None, ended: false, said_end: false }
    }

    pub(super) fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }

    /// The beginning of a record: what comes next is to be read behind it.
    pub(super) fn begun(&self) -> &[u8] {
        &self.begun
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended && self.broken.is_none()
    }

    /// Whether the peer has done what it must not.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// What the peer has done that it must not, once all that came before has been taken.
    pub(super) fn raise(&self) -> Result<(), rustls::Error> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Takes note that the stream below has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.begun = Vec::new();
    }

    /// Takes records: what was [`begun`](Self::begun), and what came behind it. Fills `out` with their content, keeps what has no
    /// room there, and returns how many bytes it filled.
    ///
    /// # Errors
    ///
    /// If the peer does not keep to the protocol. What it is to be told is unsent then. If content came before, that comes first: see
    /// [`raise`](Self::raise).
    pub(super) fn take(&mut self, records: &mut [u8], out: &mut [u8]) -> Result<usize, rustls::Error> {
        let (mut at, mut filled) = (0, 0);
        loop {
            let mut content = |bytes: &[u8]| {
                let n = bytes.len().min(out.len() - filled);
                out[filled..filled + n].copy_from_slice(&bytes[..n]);
                filled += n;
                self.plain.push(&bytes[n..]);
            };
            let unsent = &mut self.unsent;
            let (discard, step) = match &mut self.side {
                Side::Server(conn) => {
                    go_on(conn.process_tls_records(&mut records[at..]), &mut content, unsent)
                }
                Side::Client(conn) => {
                    go_on(conn.process_tls_records(&mut records[at..]), &mut content, unsent)
                }
            };
            at += discard;
            match step {
                // The last record was content, so the peer has not said its end in it. What is to be said to the peer leaves before
                // the next record that is sent.
                Ok(Step::Read) if at == records.len() => break,
                Ok(Step::Went | Step::Read) => {}
                Ok(Step::Ended) => self.ended = true,
                Ok(Step::Waits) => break,
                Err(error) => {
                    self.fetch_alert();
                    if filled == 0 && self.plain.is_empty() {
                        return Err(error);
                    }
                    self.broken = Some(error);
                    return Ok(filled);
                }
            }
        }
        let rest = if self.ended { &[] } else { &records[at..] };
        if rest.len() > self.most_begun() {
            self.end();
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
        // The C library compares nothing with nothing in some 300 cycles, if the address is that of an empty list.
        if !(self.begun.is_empty() && rest.is_empty()) && self.begun != rest {
            self.begun = rest.to_vec();
        }
        Ok(filled)
    }

    /// How much may be begun. A message of the handshake that is cut into many records stays until it is whole, with all that each record
    /// adds to it: that may be far more than the message.
    fn most_begun(&self) -> usize {
        match self.side {
            // No long message comes after the handshake, so it is the beginning of a record, or of a short message.
            Side::Server(_) if !self.common().is_handshaking() => 2 * RECORD_BYTES,
            // The longest message, of 64 KiB, in records of the usual size, and what may stand before it in the first of them.
            _ => 5 * RECORD_BYTES,
        }
    }

    /// Has the protocol say what it has to say of itself, before anything has come.
    pub(super) fn begin(&mut self) -> Result<(), rustls::Error> {
        let mut begun = std::mem::take(&mut self.begun);
        self.take(&mut begun, &mut []).map(drop)
    }

    /// After an error: what the peer is to be told of it. The records are not looked at again, which the protocol does not allow.
    fn fetch_alert(&mut self) {
        self.end();
        while self.common().wants_write() {
            let unsent = &mut self.unsent;
            let (_, step) = match &mut self.side {
                Side::Server(conn) => go_on(conn.process_tls_records(&mut []), &mut |_| {}, unsent),
                Side::Client(conn) => go_on(conn.process_tls_records(&mut []), &mut |_| {}, unsent),
            };
            if !matches!(step, Ok(Step::Went | Step::Read)) {
                return;
            }
        }
    }

    /// Encrypts `plain` into `out`. Returns the length of the records.
    ///
    /// # Errors
    ///
    /// If the keys are used up, or the handshake is not over.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, rustls::Error> {
        self.write(out, |traffic, out| traffic.encrypt(plain, out))
    }

    /// Says to the peer that nothing more is sent, once: that is unsent then.
    pub(super) fn say_end(&mut self) {
        if std::mem::replace(&mut self.said_end, true) {
            return;
        }
        let mut record = [0; ALERT_BYTES + ADDED_BYTES];
        // Before the end of the handshake the peer cannot be told.
        if let Ok(len) = self.write(&mut record, |traffic, out| traffic.queue_close_notify(out)) {
            self.unsent.push(&record[..len]);
        }
    }

    fn write(
        &mut self,
        out: &mut [u8],
        write: impl Fn(&mut dyn Traffic, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<usize, rustls::Error> {
        loop {
            let unsent = &mut self.unsent;
            let (discard, wrote) = match &mut self.side {
                Side::Server(conn) => {
                    write_with(conn.process_tls_records(&mut self.begun), &write, out, unsent)
                }
                Side::Client(conn) => {
                    write_with(conn.process_tls_records(&mut self.begun), &write, out, unsent)
                }
            };
            self.begun.drain(..discard);
            match wrote? {
                Wrote::Bytes(len) => return Ok(len),
                Wrote::None(Step::Went | Step::Read) => {}
                Wrote::None(Step::Ended) => self.ended = true,
                Wrote::None(Step::Waits) => return Err(rustls::Error::HandshakeNotComplete),
            }
        }
    }
}

/// What came of an attempt to write.
enum Wrote {
    Bytes(usize),
    /// Nothing yet.
    None(Step),
}

/// What may be written once the handshake is over, for either side.
trait Traffic {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError>;
    fn queue_close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Traffic for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError> {
        Self::encrypt(self, plain, out)
    }

    fn queue_close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError> {
        Self::queue_close_notify(self, out)
    }
}

/// Writes into a buffer, and says how much.
type Write<'a> = dyn Fn(&mut dyn Traffic, &mut [u8]) -> Result<usize, EncryptError> + 'a;

/// Writes, unless the protocol has something else to do first, which it does instead.
fn write_with<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    write: &Write<'_>,
    out: &mut [u8],
    unsent: &mut Surplus,
) -> (usize, Result<Wrote, rustls::Error>) {
    if let UnbufferedStatus { discard, state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } = status {
        let written = write(&mut traffic, out).map_err(|error| rustls::Error::General(error.to_string()));
        return (discard, written.map(Wrote::Bytes));
    }
    // All that has come was decrypted when it came.
    let (discard, step) = go_on(status, &mut |_| {}, unsent);
    (discard, step.map(Wrote::None))
}

/// Does what the state asks for. Returns how many bytes of the records are done with.
fn go_on<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    content: &mut dyn FnMut(&[u8]),
    unsent: &mut Surplus,
) -> (usize, Result<Step, rustls::Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        content(record.payload);
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            Step::Read
        }
        Ok(ConnectionState::EncodeTlsData(encode)) => {
            put_into(unsent, encode);
            Step::Went
        }
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            transmit.done();
            Step::Went
        }
        Ok(ConnectionState::PeerClosed) => Step::Ended,
        // Early data is not asked for, so none is sent.
        Ok(_) => Step::Waits,
        Err(error) => return (discard, Err(error)),
    };
    (discard, Ok(step))
}

fn put_into<Data>(unsent: &mut Surplus, mut encode: EncodeTlsData<'_, Data>) {
    let mut room = 0;
    loop {
        let mut needed = None;
        unsent.push_with(room, |out| match encode.encode(out) {
            Ok(written) => written,
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                needed = Some(required_size);
                0
            }
            Err(EncodeError::AlreadyEncoded) => 0,
        });
        match needed {
            Some(needed) => room = needed,
            None => return,
        }
    }
}

/// The most that one record holds. So much is encrypted at a time, and may wait for a peer that does not read.
pub(super) const PLAIN_BYTES: usize = 16 * 1024;

/// The longest record, with its head.
pub(super) const RECORD_BYTES: usize = PLAIN_BYTES + 2048 + 5;

/// Room for what a record adds, and for a key update before it.
pub(super) const ADDED_BYTES: usize = 128;

/// An alert: how bad it is, and what it says.
const ALERT_BYTES: usize = 2;
