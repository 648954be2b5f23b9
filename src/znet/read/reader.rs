//! The reader: from the socket to messages.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::input::{Input, no_transport};
use super::observer::Observer;
use super::unread::Unread;
use super::wait::Heard;
use crate::error::Result;
use crate::green::{Halt, Turn, deferred_calls};
use crate::ziface::{CloseReason, IConnection, IMessage, IRequest};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::leave::closing::{end_within, reason_of};
use crate::znet::leave::hooks::run_hooks;
use crate::znet::read::hold::hold_arriving;
use crate::znet::read::keep_rate::{keep_rate, most_to_read};
use crate::znet::read::read_ahead::next_ahead;
use crate::znet::read::wait::{begin_rest, may_read, note_first_frame, take_read_buffer};
use crate::znet::resume::departing::look_or_depart;
use crate::znet::resume::returning::{Outcome, Return};
use crate::znet::route::chain::{handles_directly, pass_on};
use crate::znet::route::dispatch::{dispatch, dispatch_to};
use crate::znet::route::request::Request;
use crate::znet::route::route::Route;
use crate::znet::route::run_tasks::run_queued;
use crate::znet::talk::call::deliver;
use crate::znet::transport::Left;
use crate::znet::transport::line::OwnLine;
use crate::znet::write::ledger::FREE_BYTES;
use crate::zpack::{Frame, Message, Pass};

/// Reads while there is something, in one ride.
pub(super) struct Reader<'a> {
    conn: &'a Connection,
    line: OwnLine<'a>,
    input: Input,
    /// Requests are handled here, all by the one `request`.
    direct: bool,
    request: Request,
    observer: Observer<'a>,
    /// The route last taken, and its message id.
    route: Option<(u32, &'a Route)>,
    turn: Turn,
    /// Messages handled in this pass.
    handled: usize,
    /// Bytes read by the last pass.
    read: usize,
    /// What has come in this pass.
    heard: Heard,
    /// Has thought of reading once more since the last wait.
    once_more: bool,
    /// More is granted for a frame begun than is free.
    holds_arriving: bool,
    /// The peer is away.
    absence: Option<Box<Return>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        shared: &Arc<dyn IConnection>,
        line: OwnLine<'a>,
        unread: Unread,
    ) -> Self {
        Self {
            conn,
            line,
            input: unread.input.map_or_else(Input::default, |input| *input),
            direct: handles_directly(conn),
            request: Request::new(Arc::clone(shared), Message::default()),
            observer: Observer::new(conn),
            route: None,
            turn: Turn::new(),
            handled: 0,
            read: 0,
            heard: unread.heard,
            once_more: false,
            holds_arriving: unread.holds_arriving,
            absence: unread.absence,
        }
    }

    pub(super) fn take_unread(&mut self) -> Unread {
        self.observer.rests();
        let Self { input, heard, holds_arriving, absence, .. } = self;
        let input = (input.frames.received() > 0).then(|| std::mem::take(input).into());
        Unread { input, heard: *heard, holds_arriving: *holds_arriving, absence: absence.take() }
    }

    /// Reads and handles until there is nothing, or others should have their turn, or the connection is to close.
    pub(super) fn read_until_rest(&mut self) -> Halt {
        if self.conn.asked().is(Asked::IDLE | Asked::NOT_ALIVE) {
            self.in_the_middle(run_hooks);
        }
        loop {
            if let Some(halt) = self.wait_for_return() {
                return halt;
            }
            let before = self.handled;
            if self.conn.reads_ahead() {
                self.heard.handlers_read_on();
                if let Err(error) = self.handle_ahead() {
                    if !self.lose_peer(reason_of(&error)) {
                        return Halt::Over;
                    }
                    continue;
                }
            }
            if self.conn.is_stopping() {
                self.count_handled();
                return Halt::Over;
            }
            let read = self.pass();
            let (bytes, handled) = (std::mem::take(&mut self.read), self.handled - before);
            self.observer.passed(bytes, handled);
            self.heard.held_back |= self
                .line
                .with(|transport| keep_rate(self.conn, transport, handled, bytes))
                .unwrap_or_default();
            let ended = match read {
                Ok(Left::More | Left::Begun) => {
                    self.run_queued();
                    if self.turn.is_over() {
                        self.heard.frames |= self.count_handled() > 0;
                        return Halt::Again;
                    }
                    continue;
                }
                Ok(Left::Drained) if self.conn.is_hung_up() || self.reads_once_more() => continue,
                Ok(Left::Drained | Left::Nothing) => {
                    if let Some(halt) = self.rest() {
                        return halt;
                    }
                    continue;
                }
                Ok(Left::End) => end_within(self.input.frames.received() + self.line.begun().received),
                Err(error) => reason_of(&error),
            };
            if !self.lose_peer(ended) {
                return Halt::Over;
            }
        }
    }

    /// The stream has ended. `false` if the connection does too. Not inlined, as all that few passes need: see
    /// [`handle_all`](Self::handle_all).
    #[inline(never)]
    fn lose_peer(&mut self, why: CloseReason) -> bool {
        self.count_handled();
        (self.input, self.heard, self.holds_arriving) = (Input::default(), Heard::default(), false);
        self.absence = Return::begin(self.conn, why.clone()).map(Box::new);
        if self.absence.is_none() {
            self.conn.note_end(why);
        }
        self.absence.is_some()
    }

    /// How the connection rests while its peer is away, or ends. `None` if the peer is there.
    #[inline]
    fn wait_for_return(&mut self) -> Option<Halt> {
        self.absence.as_ref()?;
        self.look_for_peer()
    }

    #[inline(never)]
    fn look_for_peer(&mut self) -> Option<Halt> {
        self.run_queued();
        let absence = self.absence.as_mut()?;
        match look_or_depart(self.conn) {
            Outcome::Back => {
                self.absence = None;
                None
            }
            Outcome::Gone => Some(Halt::Over),
            Outcome::Later(until) => Some(absence.rest(self.conn, until)),
        }
    }

    fn run_queued(&mut self) {
        if self.conn.asked().is(Asked::TASKS) {
            self.in_the_middle(run_queued);
        }
    }

    /// Runs what is no handler of a frame, perhaps in the middle of one: what has begun to arrive is put where it finds it,
    /// should it read on.
    #[inline(never)]
    fn in_the_middle(&mut self, run: impl FnOnce(&Connection)) {
        let (conn, begun) = (self.conn, self.input.frames.received());
        if begun > 0 {
            conn.ahead().enter(&mut self.input.frames, Pass::resume(Bytes::new(), 0));
        }
        run(conn);
        if begun > 0 && conn.ahead().with(|input| input.is_as_it_was(begun)) {
            self.input.frames = conn.ahead().leave().unwrap_or_default();
        }
    }

    /// Whether to read again before waiting: sending to many peers takes so long that more input may have arrived.
    fn reads_once_more(&mut self) -> bool {
        let before = std::mem::replace(&mut self.once_more, true);
        !before && !self.conn.asked().is(Asked::TASKS) && deferred_calls() >= MANY
    }

    fn count_handled(&mut self) -> usize {
        let handled = std::mem::take(&mut self.handled);
        self.conn.core().counters.requests.add_many(handled);
        handled
    }

    /// Nothing is left to be read. `None` if there is something to do all the same.
    fn rest(&mut self) -> Option<Halt> {
        let handled = self.count_handled();
        let mut heard = std::mem::take(&mut self.heard);
        heard.frames |= handled > 0;
        self.run_queued();
        self.turn = Turn::new();
        self.once_more = false;
        // What would end the rest may have been taken by a handler that waited itself.
        if self.conn.is_stopping() || self.conn.reads_ahead() {
            return None;
        }
        let begun = self.input.frames.received();
        let line = &self.line;
        line.with(|transport| {
            transport.rest(begin_rest(self.conn, line, begun + transport.begun().received, heard))
        })
    }

    /// Reads what the transport has, once, and handles every whole frame in it.
    fn pass(&mut self) -> Result<Left> {
        if !may_read(self.conn) {
            self.heard.held_back = true;
            return Ok(Left::Nothing);
        }
        if self.input.is_in_large_frame() {
            return self.pass_large();
        }
        let mut buffer = take_read_buffer(self.conn, self.input.frames.received());
        let (input, most) = (&mut self.input, most_to_read(self.conn, false));
        let filled = self.line.with(|transport| input.fill(transport, &mut buffer, most));
        let (received, end) = filled.unwrap_or_else(no_transport)?;
        let has_begun = received.left == Left::Begun;
        let in_transport = if has_begun || self.holds_arriving { self.line.begun().held } else { 0 };
        self.heard.bytes |= received.is_sign_of_life();
        self.read = received.n;
        *self.request.pass() = Some(Pass::new(buffer, end));
        let handled = self.handle_all();
        *self.request.pass() = None;
        if let Some(on_demand) = self.conn.on_demand() {
            on_demand.ahead.take_back();
        }
        let left = if handled? { received.left } else { Left::More };
        let held = self.input.frames.held() + in_transport;
        if held > FREE_BYTES || self.holds_arriving {
            self.hold_arriving(held)?;
        }
        Ok(left)
    }

    /// Has what a frame begun takes granted.
    #[inline(never)]
    fn hold_arriving(&mut self, bytes: usize) -> Result<()> {
        self.holds_arriving = bytes > FREE_BYTES;
        hold_arriving(self.conn, bytes)
    }

    /// Handles every whole frame of a pass. `false` if a handler has read on, and the socket may be in any state.
    ///
    /// Never inlined: what it needs of the stack would be there while the connection waits, and take a second page.
    #[inline(never)]
    fn handle_all(&mut self) -> Result<bool> {
        let (core, tap) = (self.conn.core(), self.conn.notes().tap());
        let (framing, built_in) = (core.framing(), core.built_in_framing());
        while !self.conn.looks_closely() {
            let Some(pass) = self.request.pass() else { return Ok(true) };
            let Some(frame) = self.input.next_lent(framing, built_in, pass)? else { return Ok(true) };
            if let Some(tap) = &tap {
                tap.shows(&frame, pass);
            }
            if pass.has_rest() || self.conn.on_demand().is_some() {
                self.conn.ahead().lend(pass);
            }
            match frame {
                Frame::Lent { msg_id, at } => self.handle_lent(msg_id, at),
                Frame::Own(message) => self.handle(message),
            }
            if self.conn.is_aborted() {
                return Ok(true);
            }
        }
        let read_on = self.conn.ahead().has_input();
        if let Some(pass) = self.request.pass().take() {
            self.conn.ahead().enter(&mut self.input.frames, pass);
        }
        let cut = self.handle_ahead()?;
        if cut || read_on {
            self.heard.handlers_read_on();
        }
        Ok(!(cut || read_on))
    }

    /// Handles what has been read ahead, in order; the handlers may read on. `false` if there was no whole frame.
    #[inline(never)]
    fn handle_ahead(&mut self) -> Result<bool> {
        let before = self.handled;
        while !self.conn.is_aborted() {
            let Some(message) = next_ahead(self.conn) else { break };
            self.handle(message);
        }
        let cut = self.conn.ahead().with(|input| input.has_cut());
        self.input.frames = self.conn.ahead().leave()?;
        Ok(cut || self.handled > before)
    }

    /// Reads on a large frame, into its own buffer, and handles it once it is whole.
    #[inline(never)]
    fn pass_large(&mut self) -> Result<Left> {
        self.hold_arriving(self.input.frames.will_hold())?;
        let (input, most) = (&mut self.input, most_to_read(self.conn, true));
        let filled = self.line.with(|transport| input.fill_large(transport, most));
        let received = filled.unwrap_or_else(no_transport)?;
        self.heard.bytes |= received.is_sign_of_life();
        self.read = received.n;
        if let Some(message) = self.input.frames.take_large(self.conn.core().framing())? {
            if let Some(tap) = self.conn.notes().tap() {
                tap.received(message.get_msg_id(), message.get_data());
            }
            note_first_frame(self.conn);
            match self.conn.looks_closely() {
                true => deliver(self.conn, message).into_iter().for_each(|message| self.handle(message)),
                false => self.handle(message),
            }
            // The frame has been there until it was handled.
            self.hold_arriving(0)?;
        }
        Ok(received.left)
    }

    /// Handles a message whose payload lies in the buffer of the pass.
    #[inline(always)]
    fn handle_lent(&mut self, msg_id: u32, at: Range<usize>) {
        self.request.set_lent(msg_id, at);
        if !self.direct {
            let message = Message::new(msg_id, self.request.get_bytes());
            return self.handle(message);
        }
        self.count_frame(msg_id);
        match self.route_of(msg_id) {
            Some(route) => dispatch_to(self.conn, &self.request, route),
            None => dispatch(self.conn, &self.request),
        }
        self.observer.handled();
        self.turn.unit();
    }

    #[inline]
    fn route_of(&mut self, msg_id: u32) -> Option<&'a Route> {
        if let Some((id, route)) = self.route
            && id == msg_id
        {
            return Some(route);
        }
        self.route = self.conn.core().handler().route_of(msg_id).map(|route| (msg_id, route));
        self.route.map(|(_, route)| route)
    }

    #[inline(always)]
    fn count_frame(&mut self, msg_id: u32) {
        self.observer.handles(msg_id);
        if self.handled == 0 {
            note_first_frame(self.conn);
        }
        self.handled += 1;
    }

    /// Handles a message that owns its payload.
    fn handle(&mut self, message: Message) {
        self.count_frame(message.get_msg_id());
        if self.direct {
            self.request.set_message(message);
            dispatch(self.conn, &self.request);
            // What it shares with a read buffer must not be kept until the next message comes.
            self.request.set_message(Message::default());
        } else {
            pass_on(self.conn, Request::new(Arc::clone(self.request.get_connection()), message));
        }
        self.conn.end_handler();
        self.observer.handled();
        self.turn.unit();
    }
}

/// Calls put off, each a connection to be sent to, from which it pays to look whether more has come that is for them too.
const MANY: usize = 64;
