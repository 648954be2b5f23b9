//! How a connection closes, in one order, however many ask: last words, drain, end of stream, close.
//!
//! The order is what keeps replies from being lost: a socket closed while input waits unread makes the kernel send a
//! reset, and a reset destroys what is still on its way to the peer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::green::{Alarm, Awaits, Halt, ReadBuffer, Readiness, Until};
use crate::log_line::{Shown, throttled};
use crate::ziface::{CloseReason, IConnection, Unsent};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::server::history::ClosedConn;
use crate::znet::transport::{Farewell, Left, Transport};
use crate::znet::write::outbox::Flushed;

/// A connection that closes, from its last handler's end to that of its transport. While it waits for its peer it rests.
pub(crate) struct Closing {
    transport: Transport,
    deadline: Until,
    alarm: Option<Alarm>,
    linger: Option<Linger>,
}

/// Our stream has ended: how long the peer gets to end its own.
struct Linger {
    deadline: Until,
    silent: Until,
}

/// Closes, once, after the last handler. `None` if there is no peer to wait for.
pub(crate) fn begin_close(conn: &Connection, shared: &Arc<dyn IConnection>) -> Option<Closing> {
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
    let Some(transport) = conn.line().get() else {
        let bounds = conn.core().bounds();
        let mut outbox = conn.outbox().lock();
        outbox.discard(bounds);
        // Held since the transport was handed over: nobody sends any more who would give back what was granted meanwhile.
        outbox.release(bounds);
        drop(outbox);
        conn.finish();
        return None;
    };
    conn.note_breach();
    conn.watch().leave();
    Some(Closing { transport, deadline: conn.core().drain_deadline(), alarm: None, linger: None })
}

impl Connection {
    /// Notes why nothing more comes: a peer that has ended its stream needs not be waited for.
    pub(crate) fn note_end(&self, why: CloseReason) {
        if matches!(why, CloseReason::PeerClosed | CloseReason::PeerClosedInFrame { .. }) {
            self.asked().set(Asked::PEER_ENDED);
        }
        self.note_reason(why);
    }

    fn end_close(&self, transport: &Transport) {
        self.outbox().lock().discard(self.core().bounds());
        transport.end();
        drop(self.watch_on());
        self.wait_for_writer();
        self.line().release();
        self.finish();
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
        self.note_closed(unsent);
        self.note_fault();
        self.log_closed();
    }

    /// Notes for those who look from outside that it has closed, and why.
    fn note_closed(&self, unsent: Unsent) {
        let Some((history, traffic)) = self.core().history().zip(self.notes().traffic()) else { return };
        let reason = self.get_close_reason().unwrap_or(CloseReason::Stopped);
        let conn = ClosedConn {
            id: self.id(),
            transport: self.get_transport().to_string(),
            remote: self.get_remote_addr().to_string(),
            user: self.on_demand().and_then(|on_demand| on_demand.membership.uid()),
            opened: traffic.opened(),
            closed: self.core().clock().tick(),
            messages: traffic.messages(),
            bytes_in: traffic.bytes_in(),
            bytes_out: traffic.bytes_out(),
            unsent,
            reason: reason.to_string(),
        };
        history.note_closed(&reason, conn);
    }

    fn log_closed(&self) {
        let reason = self.get_close_reason().unwrap_or(CloseReason::Stopped);
        let (id, unsent) = (self.id(), self.get_unsent());
        let ordinary = matches!(
            reason,
            CloseReason::PeerClosed
                | CloseReason::PeerClosedInFrame { .. }
                | CloseReason::SessionEnded
                | CloseReason::Resumed { .. }
                | CloseReason::Moved { .. }
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

impl Closing {
    /// Goes on until it has to wait for the peer, or is over.
    pub(crate) fn go_on(&mut self, conn: &Connection) -> Halt {
        let waits = if self.linger.is_some() { None } else { self.drain(conn) };
        match waits.or_else(|| self.linger(conn)) {
            Some(halt) => halt,
            None => {
                conn.end_close(&self.transport);
                Halt::Over
            }
        }
    }

    /// Sends what is queued until the deadline, and ends our stream then, unless the peer has ended its own and the close says
    /// enough. `None` once that is done.
    fn drain(&mut self, conn: &Connection) -> Option<Halt> {
        if !conn.is_aborted() && !self.deadline.is_over() {
            match conn.writer().flush() {
                Flushed::Empty | Flushed::Failed(_) => {}
                Flushed::ByAnother => return Some(Halt::Again),
                Flushed::Blocked { .. } => {
                    return Some(self.rest(self.deadline, Readiness::WRITE.or(Readiness::INTERRUPT)));
                }
            }
        }
        // The one that aborts may not have come to the reset yet, and our end of stream must not come before it.
        if conn.is_aborted() || conn.report_cut_off() {
            self.transport.reset();
        } else if !conn.asked().is(Asked::PEER_ENDED) || self.transport.has_farewell() {
            self.transport.shutdown(farewell(conn));
            let deadline = self.deadline.or(Until::after_running(LINGER_AT_MOST));
            self.linger = Some(Linger { deadline, silent: Until::after_running(LINGER) });
        }
        None
    }

    /// Reads and throws away until the peer has ended too, has been silent for a while, has had time enough, or the
    /// deadline has come: then `None`, and also if the peer was cut off.
    fn linger(&mut self, conn: &Connection) -> Option<Halt> {
        let Linger { deadline, silent } = self.linger.as_mut()?;
        if !conn.is_aborted() && !deadline.or(*silent).is_over() {
            let received = self.transport.recv(&mut ReadBuffer::take(0));
            return match received.map(|received| received.left) {
                Ok(Left::More | Left::Begun | Left::Drained) => {
                    *silent = Until::after_running(LINGER);
                    Some(Halt::Again)
                }
                Ok(Left::Nothing) => {
                    let until = deadline.or(*silent);
                    Some(self.rest(until, Readiness::ANY))
                }
                Ok(Left::End) | Err(_) => None,
            };
        }
        // The peer may still read what the system holds, but not without end.
        let write_timeout = conn.core().config().write_timeout_ms;
        if write_timeout > 0 {
            self.transport.set_patience(Duration::from_millis(write_timeout));
        }
        None
    }

    fn rest(&mut self, until: Until, interest: Readiness) -> Halt {
        self.transport.keep_alarm(&mut self.alarm, until);
        self.transport.rest(interest)
    }
}

/// What the peer is told, by a transport that has words for it.
fn farewell(conn: &Connection) -> Farewell {
    match conn.get_close_reason() {
        Some(CloseReason::ServerStopped | CloseReason::ClientStopped) => Farewell::GoingAway,
        Some(CloseReason::PacketTooLarge { .. } | CloseReason::FrameTooLarge { .. }) => Farewell::TooLarge,
        None
        | Some(
            CloseReason::PeerClosed
            | CloseReason::PeerClosedInFrame { .. }
            | CloseReason::SessionEnded
            | CloseReason::Resumed { .. }
            | CloseReason::Stopped,
        ) => Farewell::Done,
        Some(_) => Farewell::Refused,
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
