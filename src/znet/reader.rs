//! The reader coroutine: a connection's life from the start hook to the close, and in between from the socket to
//! messages.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::Connection;
use super::core::IdleAction;
use super::request::Request;
use super::tutorial;
use crate::error::{Error, Result};
use crate::green::{Panicked, ReadBuffer, Readiness, Socket, Turn};
use crate::ziface::{CloseReason, IConnection};
use crate::zpack::{FrameReader, Message, Pass};

/// Runs a connection. Everything of it but its writer happens in here, in this order, in one coroutine.
pub(crate) fn run(conn: &Arc<Connection>, socket: &Arc<Socket>) {
    conn.reader_mark().set();
    let shared = Arc::clone(conn) as Arc<dyn IConnection>;
    tutorial::say(format_args!("[READER] conn id {} runs, for {}", conn.id(), conn.get_remote_addr()));
    conn.start_hook(&shared);
    let mut reader = Reader {
        conn,
        socket,
        frames: FrameReader::new(),
        request: Request::new(Arc::clone(&shared)),
        turn: Turn::new(),
        handled: 0,
        heard: false,
        held_back: false,
        hangup: false,
    };
    reader.read_until_end(&shared);
    drop(reader);
    conn.close(&shared, socket);
    tutorial::say(format_args!("[READER] conn id {} ends", conn.id()));
}

struct Reader<'a> {
    conn: &'a Connection,
    socket: &'a Arc<Socket>,
    frames: FrameReader,
    request: Request,
    turn: Turn,
    /// Messages handled in this pass.
    handled: usize,
    /// Bytes came in this pass.
    heard: bool,
    /// What may have come was left unread, because the peer does not read.
    held_back: bool,
    /// The peer has ended its stream: the end is to be read, no further event tells of it.
    hangup: bool,
}

/// Whether the socket may have more.
#[derive(PartialEq, Eq)]
enum Read {
    More,
    /// What was there has been read.
    Drained,
    Nothing,
    End,
}

impl Reader<'_> {
    fn read_until_end(&mut self, shared: &Arc<dyn IConnection>) {
        while !self.conn.is_stopping() {
            match self.pass() {
                Ok(Read::More) => self.turn.look(),
                Ok(Read::Drained) if self.hangup => {}
                Ok(Read::Drained | Read::Nothing) => self.wait(shared),
                Ok(Read::End) => return self.note_end(),
                Err(error) => return self.note_error(&error),
            }
        }
    }

    /// Waits for input; meanwhile, where no writer does it, sends what the socket takes. Returns after any event.
    fn wait(&mut self, shared: &Arc<dyn IConnection>) {
        let interest = self.end_pass();
        let ready = self.socket.wait(interest);
        self.hangup |= ready.meets(Readiness::HANGUP);
        if ready.meets(Readiness::WRITE) {
            self.conn.flush();
        }
        if ready.meets(Readiness::INTERRUPT) && self.conn.take_idle() {
            self.conn.idle_hook(shared);
        }
        self.turn = Turn::new();
    }

    /// Ends the time in which user code runs, and says what to wait for.
    fn end_pass(&mut self) -> Readiness {
        let handled = std::mem::take(&mut self.handled);
        self.conn.core().counters.requests.add_many(handled);
        let (heard, held_back) = (std::mem::take(&mut self.heard), std::mem::take(&mut self.held_back));
        if heard || held_back {
            self.stamp(handled > 0 || held_back);
        }
        let mut state = self.conn.outbox().lock();
        state.set_busy(false);
        if state.has_writer() { READ_OR_ASKED } else { Readiness::ANY }
    }

    /// Notes the time of the last sign of life, and of the frame in which the input ends. `afresh`: whatever frame that
    /// is, its time begins now.
    fn stamp(&self, afresh: bool) {
        let (times, now) = (self.conn.times(), self.conn.core().clock().now());
        times.active.store(now, Ordering::Relaxed);
        if self.frames.received() == 0 {
            times.frame.store(0, Ordering::Relaxed);
        } else if afresh || times.frame.load(Ordering::Relaxed) == 0 {
            times.frame.store(now, Ordering::Relaxed);
        }
    }

    /// Begins the time in which user code runs and may yield: someone else has to watch a full socket then.
    /// `false` where the peer should read before it is read from.
    fn begin_pass(&self) -> bool {
        let mut state = self.conn.outbox().lock();
        if state.holds_back_reading() && !self.conn.is_stopping() {
            return false;
        }
        state.set_busy(true);
        let watch = state.is_blocked() && state.defer_here();
        drop(state);
        if watch {
            self.conn.flush_at_yield();
        }
        true
    }

    /// Reads what the socket has, once, and handles every whole frame in it.
    fn pass(&mut self) -> Result<Read> {
        if !self.begin_pass() {
            self.held_back = true;
            return Ok(Read::Nothing);
        }
        if self.frames.large_rest().is_some() {
            return self.pass_large();
        }
        let mut buffer = ReadBuffer::take();
        let start = self.frames.restore(&mut buffer);
        let room = buffer.len() - start;
        let (n, read) = received(self.socket.try_recv(&mut buffer[start..]), room)?;
        self.heard |= n > 0;
        let mut pass = Pass::new(buffer, start + n);
        let max = self.conn.core().config().max_packet_size;
        while let Some(message) = self.frames.next(self.conn.core().pack(), max, &mut pass)? {
            self.handle(message);
            if self.conn.is_aborted() {
                break;
            }
        }
        Ok(read)
    }

    /// Reads on a large frame, into its own buffer.
    fn pass_large(&mut self) -> Result<Read> {
        let Some((buffer, missing)) = self.frames.large_rest() else { return Ok(Read::More) };
        let (n, read) = received(self.socket.try_recv_into(buffer, missing), missing)?;
        self.heard |= n > 0;
        if let Some(message) = self.frames.take_large(self.conn.core().pack())? {
            self.handle(message);
        }
        Ok(read)
    }

    fn handle(&mut self, message: Message) {
        if self.handled == 0 && self.conn.times().first_frame.load(Ordering::Relaxed) == 0 {
            let now = self.conn.core().clock().now();
            self.conn.times().first_frame.store(now, Ordering::Relaxed);
        }
        self.handled += 1;
        self.request.set_message(message);
        self.conn.dispatch(&self.request);
        self.turn.unit();
    }

    fn note_end(&self) {
        let reason = match self.frames.received() {
            0 => CloseReason::PeerClosed,
            received => CloseReason::PeerClosedInFrame { received },
        };
        self.conn.note_reason(reason);
    }

    fn note_error(&self, error: &Error) {
        let reason = match error {
            Error::PacketTooLarge { len, max } => CloseReason::PacketTooLarge { len: *len, max: *max },
            Error::BadFrame { reason } => CloseReason::BadFrame { reason: (*reason).to_string() },
            error => CloseReason::Failed { error: error.to_string() },
        };
        self.conn.note_reason(reason);
    }
}

impl Connection {
    fn start_hook(&self, shared: &Arc<dyn IConnection>) {
        self.core().counters.start_hooks.add();
        let core = self.core();
        tutorial::say(format_args!("[HOOK] conn id {}: call_on_conn_start", self.id()));
        if !self.contain("start", || core.call_start_hook(shared)) {
            self.stop_because(CloseReason::StartHookFailed);
        }
    }

    pub(crate) fn stop_hook(&self, shared: &Arc<dyn IConnection>) {
        self.core().counters.stop_hooks.add();
        let core = self.core();
        tutorial::say(format_args!("[HOOK] conn id {}: call_on_conn_stop", self.id()));
        self.contain("stop", || core.call_stop_hook(shared));
    }

    fn idle_hook(&self, shared: &Arc<dyn IConnection>) {
        let Some(hook) = self.core().hooks().idle else { return };
        let mut action = IdleAction::Close;
        self.contain("idle", || {
            action = hook(shared);
            Ok(())
        });
        match action {
            IdleAction::Close => self.stop_because(CloseReason::IdleTimeout),
            IdleAction::Keep => self.times().active.store(self.core().clock().now(), Ordering::Relaxed),
        }
    }

    /// Runs a hook. `false` where it failed or panicked; either is logged.
    fn contain(&self, which: &str, hook: impl FnOnce() -> Result<()>) -> bool {
        match catch_unwind(AssertUnwindSafe(hook)) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                log::warn!("connection {}: {which} hook: {error}", self.id());
                false
            }
            Err(payload) => {
                self.core().counters.hook_panics.add();
                log::error!("connection {}: {which} hook panicked: {}", self.id(), Panicked::new(payload));
                false
            }
        }
    }
}

/// A read that left room has emptied the socket: the next edge tells of more.
fn received(result: io::Result<usize>, room: usize) -> Result<(usize, Read)> {
    match result {
        Ok(0) => Ok((0, Read::End)),
        Ok(n) => Ok((n, if n < room { Read::Drained } else { Read::More })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((0, Read::Nothing)),
        Err(error) => Err(Error::io("read", error)),
    }
}

const READ_OR_ASKED: Readiness = Readiness::READ.or(Readiness::HANGUP).or(Readiness::INTERRUPT);
