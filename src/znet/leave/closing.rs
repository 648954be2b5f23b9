//! How a connection closes, in one order, however many ask: last words, drain, end of stream, close.
//!
//! The order is what keeps replies from being lost: a socket closed while input waits unread makes the kernel send a
//! reset, and a reset destroys what is still on its way to the peer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::green::{Awaits, ReadBuffer, Readiness, Until, yield_now};
use crate::log_line::{Shown, throttled};
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::transport::{Left, Transport};
use crate::znet::write::outbox::Flushed;

/// Closes. Runs in the reader coroutine, once, after the last handler.
pub(crate) fn close(conn: &Connection, shared: &Arc<dyn IConnection>) {
    conn.note_reason(CloseReason::Stopped);
    conn.calls().close();
    conn.finish_tasks();
    conn.stop_hook(shared);
    conn.say_last_word();
    conn.end_close_callbacks();
    conn.leave_all();
    conn.end_resuming();
    conn.outbox().lock().close();
    // There is none if the peer has taken it to the connection that it resumes.
    if let Some(transport) = conn.line().get() {
        conn.close_transport(&transport);
    } else {
        conn.outbox().lock().discard(conn.core().bounds());
    }
    conn.finish();
}

impl Connection {
    fn close_transport(&self, transport: &Transport) {
        let deadline = self.core().drain_deadline();
        let _watch = self.watch();
        self.drain(transport, deadline);
        if self.report_cut_off() {
            transport.reset();
        } else {
            transport.shutdown();
            self.linger(transport, deadline);
        }
        self.outbox().lock().discard(self.core().bounds());
        transport.end();
        self.wait_for_writer();
        self.line().release();
    }

    /// Sends what is queued until the deadline.
    fn drain(&self, transport: &Transport, deadline: Until) {
        let mut alarm = None;
        while !self.is_aborted() && !deadline.is_over() {
            match self.writer().flush() {
                Flushed::Empty | Flushed::Failed => return,
                Flushed::ByAnother => yield_now(),
                Flushed::Blocked { .. } => {
                    transport.keep_alarm(&mut alarm, deadline);
                    transport.wait(Readiness::WRITE.or(Readiness::INTERRUPT));
                }
            }
        }
    }

    /// Whether something could not be sent in time. A stopping server has then not stopped in order.
    fn report_cut_off(&self) -> bool {
        let left = self.outbox().lock().messages();
        if left > 0
            && !self.is_aborted()
            && self.core().stopping().is_set()
            && self.asked().set(Asked::CUT_OFF)
        {
            self.core().counters.forced.fetch_add(1, Ordering::AcqRel);
            let log = &self.core().cut_off_log;
            throttled!(
                warn,
                log,
                "cut off connection {self} at the drain deadline, with {left} messages unsent"
            );
        }
        left > 0
    }

    /// Reads and throws away until the peer has ended too, has been silent for a while, has had time enough, or the
    /// deadline has come.
    fn linger(&self, transport: &Transport, deadline: Until) {
        let deadline = deadline.or(Until::after_running(LINGER_AT_MOST));
        let (mut silent, mut alarm) = (Until::after_running(LINGER), None);
        while !self.is_aborted() && !deadline.or(silent).is_over() {
            let received = transport.recv(&mut ReadBuffer::take(0));
            match received.map(|received| received.left) {
                Ok(Left::More | Left::Drained) => {
                    silent = Until::after_running(LINGER);
                    yield_now();
                }
                Ok(Left::Nothing) => {
                    transport.keep_alarm(&mut alarm, deadline.or(silent));
                    transport.wait(Readiness::ANY);
                }
                Ok(Left::End) | Err(_) => return,
            }
        }
        // The peer may still read what the system holds, but not without end.
        let write_timeout = self.core().config().write_timeout_ms;
        if write_timeout > 0 {
            transport.set_patience(Duration::from_millis(write_timeout));
        }
    }

    /// Waits until there is no writer.
    pub(crate) fn wait_for_writer(&self) {
        loop {
            let waiter = {
                let mut state = self.outbox().lock();
                if !state.has_writer() {
                    return;
                }
                state.room().enlist()
            };
            waiter.wait(Awaits::Coroutine, None, |gone| self.outbox().lock().room().forget(gone));
        }
    }

    fn finish(&self) {
        self.let_all_go();
        let core = self.core();
        let unsent = self.get_unsent();
        core.counters.unsent_messages.add_many(unsent.messages);
        core.counters.unsent_bytes.add_many(unsent.bytes);
        self.log_closed();
    }

    fn log_closed(&self) {
        let reason = self.get_close_reason().unwrap_or(CloseReason::Stopped);
        let (id, unsent) = (self.id(), self.get_unsent());
        let ordinary = matches!(
            reason,
            CloseReason::PeerClosed
                | CloseReason::SessionEnded
                | CloseReason::Resumed { .. }
                | CloseReason::Stopped
                | CloseReason::ServerStopped
                | CloseReason::ClientStopped
        );
        if ordinary && unsent.messages == 0 {
            log::debug!("connection {id} closed: {}", Shown(&reason));
        } else {
            let (log, messages, bytes) = (&self.core().closed_log, unsent.messages, unsent.bytes);
            throttled!(
                warn,
                log,
                "connection {id} closed: {reason}; {messages} messages, {bytes} bytes unsent"
            );
        }
    }
}

/// Why a connection closes whose peer has ended the stream so many bytes into a frame.
pub(crate) const fn end_within(received: usize) -> CloseReason {
    if received == 0 { CloseReason::PeerClosed } else { CloseReason::PeerClosedInFrame { received } }
}

/// Why a connection closes that cannot be read on.
pub(crate) fn reason_of(error: &Error) -> CloseReason {
    match error {
        Error::PacketTooLarge { len, max } => CloseReason::PacketTooLarge { len: *len, max: *max },
        Error::FrameTooLarge { len, max } => CloseReason::FrameTooLarge { len: *len, max: *max },
        Error::BadFrame { reason } => CloseReason::BadFrame { reason: (*reason).to_string() },
        error @ Error::Io { .. } => CloseReason::Failed { error: error.to_string() },
        error => CloseReason::BadFrame { reason: error.to_string() },
    }
}

/// How long a peer may be silent after our end of stream before the socket is closed without its own.
const LINGER: Duration = Duration::from_secs(1);

/// How long it may go on sending, also where `DrainMs` sets no deadline.
const LINGER_AT_MOST: Duration = Duration::from_secs(5);
