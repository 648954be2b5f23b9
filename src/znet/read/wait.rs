//! When to read, and waiting for input: what both loops that read have in common.

use std::sync::atomic::Ordering;

use crate::green::{ReadBuffer, Readiness, after_call, take_back};
use crate::znet::conn::connection::Connection;
use crate::znet::leave::eviction::Whom;
use crate::znet::transport::Transport;
use crate::znet::transport::line::OwnLine;

/// Waits for input, and meanwhile sends what the socket takes, unless a writer does. Returns after any event.
/// `begun`: bytes of a frame that have arrived.
pub(crate) fn wait_for_input(conn: &Connection, transport: &Transport, begun: usize, heard: Heard) {
    conn.stamp(begun, heard);
    let watch = conn.watch();
    let ready = transport.wait(watch.interest());
    conn.take_ready(ready, watch.end() || transport.has_unsent());
}

/// As [`wait_for_input`], before a rest. Returns what ends it.
pub(super) fn begin_rest(conn: &Connection, line: &OwnLine<'_>, begun: usize, heard: Heard) -> Readiness {
    conn.stamp(begun, heard);
    // Mostly there is nothing else to be sent than replies to the peer itself.
    match take_back(conn) {
        Some(_) => {
            let interest = conn.writer().flush_and_watch(line);
            after_call();
            interest
        }
        None => conn.watch().leave(),
    }
}

/// After a rest that this has ended.
pub(super) fn end_rest(conn: &Connection, line: &OwnLine<'_>, ready: Readiness) {
    let sends = conn.watch_on().end() || line.with(Transport::has_unsent).unwrap_or_default();
    conn.take_ready(ready, sends);
}

/// Whether more may be read: not while a peer does not read itself, nor after its last read.
pub(crate) fn may_read(conn: &Connection) -> bool {
    let held_back = conn.outbox().holds_back_reading() || conn.is_past_its_last_read();
    !held_back || conn.is_stopping()
}

/// A buffer to read into, behind so many bytes. If it is a small one because so many handlers wait with theirs, others
/// make room for it.
pub(crate) fn take_read_buffer(conn: &Connection, begun: usize) -> ReadBuffer {
    let buffer = ReadBuffer::take(begun);
    if buffer.is_small() && conn.core().bounds().ledger.missing(0) > 0 {
        conn.core().make_room(0, Whom::Stuck);
    }
    buffer
}

/// Notes that the first whole frame has come.
pub(crate) fn note_first_frame(conn: &Connection) {
    let first = &conn.times().first_frame;
    if first.load(Ordering::Relaxed) != 0 {
        first.store(0, Ordering::Relaxed);
    }
}

/// What has come since the last wait.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    /// Bytes.
    pub(crate) bytes: bool,
    /// The end of a frame.
    pub(crate) frames: bool,
    /// What may have come was left unread, because the peer does not read.
    pub(crate) held_back: bool,
}

impl Heard {
    /// Bytes and frames have come, and been heard of where they were read.
    pub(super) const fn handlers_read_on(&mut self) {
        (self.bytes, self.frames) = (true, true);
    }
}

impl Connection {
    /// `sends`: something waits to be sent, or is being sent. Each event says that a socket which is not full can be written to.
    fn take_ready(&self, ready: Readiness, sends: bool) {
        if ready.meets(Readiness::HANGUP) {
            self.ahead().hang_up();
        }
        if sends && ready.meets(Readiness::WRITE) {
            self.writer().flush_or_defer();
        }
    }

    /// Notes the time of the last sign of life, and of the frame in which the input ends: that one's begins now, if a whole
    /// frame came before it.
    fn stamp(&self, begun: usize, heard: Heard) {
        if !heard.bytes && !heard.held_back {
            return;
        }
        let afresh = heard.frames || heard.held_back;
        let (times, now) = (self.times(), self.core().clock().now());
        times.active.store(now, Ordering::Relaxed);
        if begun == 0 {
            times.frame.store(0, Ordering::Relaxed);
        } else if afresh || times.frame.load(Ordering::Relaxed) == 0 {
            times.frame.store(now, Ordering::Relaxed);
            self.core().clock().begins();
        }
    }
}
