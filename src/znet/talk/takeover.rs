//! The raw stream of a connection, for sequential code that speaks something else than frames.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::error::{Error, Result};
use crate::green::{Alarm, Readiness, Until, fairness_point, is_unwinding, yield_now};
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Purpose;
use crate::znet::read::backlog::Backlog;
use crate::znet::transport::{Left, Received, Transport};
use crate::znet::write::outbox::Flushed;

impl dyn IConnection {
    /// Gives `talk` the raw stream, and takes it back when it returns: for an upload, another protocol, a proxy. In a
    /// handler or hook that runs on the connection's own coroutine.
    ///
    /// All that was sent before has left by then. The stream begins behind the message that is being handled, with
    /// bytes that have been read already; what `talk` leaves unread is frames again. Messages sent meanwhile, by anyone,
    /// follow after. Messages that a call has kept for later were read before, and are handled after.
    ///
    /// # Errors
    ///
    /// Those of `talk`, [`ConnectionClosed`](Error::ConnectionClosed) if the connection is closing, or has no socket because its
    /// peer is away, [`NotOnConnection`](Error::NotOnConnection) elsewhere than on the connection's own coroutine.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{BufRead, BufReader, Write};
    /// use zinx::prelude::*;
    ///
    /// /// One line of text in the midst of frames.
    /// fn line(request: &dyn IRequest) -> zinx::Result<()> {
    ///     request.get_connection().take_over(|stream| {
    ///         let mut line = Vec::new();
    ///         stream.by_byte().read_until(b'\n', &mut line)?;
    ///         Ok(stream.write_all(&line)?)
    ///     })
    /// }
    /// ```
    pub fn take_over<T>(&self, talk: impl FnOnce(&mut RawStream<'_>) -> Result<T>) -> Result<T> {
        let conn = self.connection();
        if !conn.reader_mark().is_current() {
            return Err(Error::NotOnConnection { what: "take_over" });
        }
        if is_unwinding() {
            return Err(Error::TimedOut { what: "take_over", waited: Duration::ZERO });
        }
        let mut stream = RawStream::take(conn)?;
        talk(&mut stream)
    }
}

/// The raw stream of a connection, to read from and write to. Both wait without holding the worker, and fail once the
/// connection is asked to close. See `take_over`.
#[derive(Debug)]
pub struct RawStream<'a> {
    conn: &'a Connection,
    transport: Transport,
    /// Read from the socket before; to be read first.
    buffered: Bytes,
    /// Read from the socket, looked at, and to be read next; `buffered` is empty then.
    peeked: Option<[u8; 1]>,
    timeout: Option<Duration>,
}

impl RawStream<'_> {
    fn take(conn: &Connection) -> Result<RawStream<'_>> {
        // There is none while the peer is away, which may come back all the same.
        let transport = conn.line().get().ok_or(Error::ConnectionClosed)?;
        // What is read and sent without frames cannot be counted.
        conn.survives_no_longer();
        conn.outbox().lock().stop_keeping(conn.core().bounds());
        conn.hold_outbox(&transport)?;
        let buffered = conn.ahead().with(Backlog::take_bytes);
        Ok(RawStream { conn, transport, buffered, peeked: None, timeout: None })
    }

    /// Sets how long a single read or write may wait; `None`, the default, for as long as the connection is open. The
    /// timeouts of the configuration do not count while the stream is taken over.
    pub const fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The stream as a [`BufRead`](io::BufRead) that never reads on behind what it gives out: what is not consumed stays.
    pub const fn by_byte(&mut self) -> ByByte<'_, Self> {
        ByByte { stream: self }
    }

    /// The next byte, which stays where it is; nothing at the end of the stream.
    fn peek(&mut self) -> io::Result<&[u8]> {
        if self.buffered.is_empty() && self.peeked.is_none() {
            let mut byte = [0];
            self.peeked = (self.read(&mut byte)? == 1).then_some(byte);
        }
        Ok(match &self.peeked {
            Some(byte) => byte,
            None => self.buffered.get(..1).unwrap_or_default(),
        })
    }

    /// Goes beyond the byte that was looked at.
    fn skip_peeked(&mut self) {
        if self.peeked.take().is_none() && !self.buffered.is_empty() {
            self.buffered.advance(1);
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.conn.is_stopping() { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Tries until something has gone over; waits for `what` in between.
    fn transfer(
        &self,
        what: Readiness,
        mut attempt: impl FnMut(&Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        fairness_point();
        let (until, mut alarm) = (self.timeout.map(Until::after_running), None);
        loop {
            self.check()?;
            match attempt(&self.transport) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(what, until, &mut alarm)?,
                other => return other,
            }
        }
    }

    /// Waits until `what` is ready, or something else has happened.
    fn wait(&self, what: Readiness, until: Option<Until>, alarmed: &mut Option<Alarm>) -> io::Result<()> {
        if let Some(until) = until {
            until.check("stream").map_err(|error| io::Error::new(ErrorKind::TimedOut, error))?;
            self.transport.keep_alarm(alarmed, until);
        }
        let interest = what.or(Readiness::HANGUP).or(Readiness::INTERRUPT);
        let ready = Purpose::TakeOver.during(|| self.transport.wait_unless_unwinding(interest))?;
        if ready.meets(Readiness::HANGUP) {
            self.conn.ahead().hang_up();
        }
        Ok(())
    }
}

impl Read for RawStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if let (Some(first), Some([byte])) = (buf.first_mut(), self.peeked) {
            (*first, self.peeked) = (byte, None);
            return Ok(1);
        }
        if !self.buffered.is_empty() {
            let n = buf.len().min(self.buffered.len());
            self.buffered.copy_to_slice(&mut buf[..n]);
            return Ok(n);
        }
        self.transfer(Readiness::READ, |transport| {
            loop {
                match transport.recv(buf)? {
                    Received { left: Left::Nothing, .. } => return Err(ErrorKind::WouldBlock.into()),
                    // Nothing of it is content yet.
                    Received { n: 0, left: Left::Begun | Left::More } if !buf.is_empty() => {
                        fairness_point();
                        self.check()?;
                    }
                    received => {
                        self.conn.count_in(received.n, 0);
                        return Ok(received.n);
                    }
                }
            }
        })
    }
}

impl Write for RawStream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let sent = self
            .transfer(Readiness::WRITE, |transport| transport.send(&[IoSlice::new(buf)], std::iter::empty))?;
        self.conn.count_out(0, sent);
        // What it has taken leaves now: nobody else sends meanwhile. It has taken it also if that takes too long: then the rest leaves
        // with the next write, or after the last.
        match self.flush() {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(sent),
            flushed => flushed.map(|()| sent),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.transport.has_unsent() {
            return Ok(());
        }
        self.transfer(Readiness::WRITE, |transport| transport.flush().map(|()| 0)).map(drop)
    }
}

impl Drop for RawStream<'_> {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.buffered);
        let rest = self.peeked.map_or(rest, |byte| Bytes::copy_from_slice(&byte));
        self.conn.ahead().with(|input| input.put_bytes(rest));
        self.conn.release_outbox();
    }
}

/// A stream read byte by byte, made by [`RawStream::by_byte`].
#[derive(Debug)]
pub struct ByByte<'a, R> {
    stream: &'a mut R,
}

impl Read for ByByte<'_, RawStream<'_>> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl io::BufRead for ByByte<'_, RawStream<'_>> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.peek()
    }

    fn consume(&mut self, amount: usize) {
        if amount > 0 {
            self.stream.skip_peeked();
        }
    }
}

impl Connection {
    /// Sends all that is queued and keeps what is queued from then on, until [`release_outbox`](Self::release_outbox).
    pub(crate) fn hold_outbox(&self, transport: &Transport) -> Result<()> {
        while !self.is_stopping() {
            match self.writer().flush_or_defer() {
                Flushed::Empty if self.outbox().lock().hold() => return Ok(()),
                Flushed::Empty | Flushed::ByAnother => yield_now(),
                Flushed::Blocked { .. } => drop(transport.wait(Readiness::WRITE.or(Readiness::INTERRUPT))),
                Flushed::Failed(_) => break,
            }
        }
        Err(Error::ConnectionClosed)
    }

    pub(crate) fn release_outbox(&self) {
        let to_flush = {
            let mut state = self.outbox().lock();
            state.release(self.core().bounds());
            let has_unsent = || self.line().get().is_some_and(|transport| transport.has_unsent());
            (state.messages() > 0 || has_unsent()) && state.defer_here()
        };
        if to_flush {
            self.writer().flush_at_yield();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.id()).finish()
    }
}
