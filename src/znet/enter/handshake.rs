//! A peer between the listener and its connection: it is let in, and a proxy has to say for whom it speaks, or something has to be
//! agreed on.
//!
//! While it waits it is data, as a connection is: a peer that does not go on costs no stack.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::crowd::Seat;
use super::entrance::Reserved;
use super::handshakes::Begun;
use super::proxy_header::ProxyHeader;
use crate::green::{
    Alarm, Builder, Halt, Me, Newcomer, Passenger, Readiness, Socket, TcpStream, Until, with_timeout,
};
use crate::log_line::throttled;
use crate::ziface::TransportKind;
use crate::znet::conn::addresses::Addresses;
use crate::znet::server::core::Core;
#[cfg(feature = "tls")]
use crate::znet::transport::opening::Next;
#[cfg(any(feature = "tls", feature = "websocket"))]
use crate::znet::transport::opening::{Opened, Opening};
use crate::znet::transport::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::znet::transport::tls::Tls;
#[cfg(feature = "websocket")]
use crate::znet::transport::upgrade::Ask;
use crate::znet::transport::{Farewell, Transport};

/// Goes through a handshake in the coroutine that calls, which waits where others rest. `Interrupted` once it `is_off`.
#[cfg(any(feature = "tls", feature = "websocket"))]
pub(super) fn shake_hands(
    mut opening: Opening,
    until: Until,
    is_off: impl Fn() -> bool,
) -> io::Result<Transport> {
    let mut alarm = None;
    loop {
        let interest = match opening.go_on()? {
            Opened::Open(transport) => return Ok(transport),
            Opened::Waits(wanted) => waits(wanted),
            // Only to a server.
            #[cfg(feature = "websocket")]
            Opened::SpeaksFor(_) => continue,
        };
        if is_off() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if until.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Alarm::keep(&mut alarm, opening.socket(), until);
        opening.socket().wait_unless_unwinding(interest)?;
    }
}

/// A peer that has been let in, and whose connection waits for something to be agreed on.
pub(super) struct Arrival {
    pub(super) kind: TransportKind,
    pub(super) stream: TcpStream,
    pub(super) addresses: Addresses,
    /// A proxy that may say for whom it speaks: where that one counts.
    pub(super) seat: Option<Seat>,
}

/// Begins the handshake of a peer that has been let in.
pub(super) fn begin(reserved: Reserved, newcomer: Newcomer, arrival: Arrival) {
    let core = Arc::clone(reserved.entrance().core());
    let Arrival { kind, stream, addresses, seat } = arrival;
    let stage = match seat.is_some() && core.config().proxy_protocol {
        true => Ok(Stage::Header(ProxyHeader::new(stream))),
        false => Stage::after_header(&core, kind, stream, addresses.remote()),
    };
    let stage = match stage {
        Ok(stage) => stage,
        Err(error) => return core.log_refused(&format_args!("a handshake: {error}")),
    };
    let most = core.config().max_handshakes;
    let Some(begun) = stage.socket().and_then(|socket| reserved.entrance().handshakes.begin(socket, most))
    else {
        return;
    };
    if begun.displaced {
        core.counters.handshakes_displaced.add();
    }
    let builder = Builder::new().numbered(&"handshake", begun.number);
    let until = deadline(&core);
    let (reserved, newcomer) = (Some(reserved), Some(newcomer));
    let handshake = Handshake {
        kind,
        stage,
        addresses,
        seat,
        is_seated: false,
        until,
        alarm: None,
        newcomer,
        reserved,
        begun: Some(begun),
    };
    if let Err(error) = core.group().carry(builder, handshake) {
        core.log_refused(&format_args!("a handshake: {error}"));
    }
}

/// How far a handshake has come.
enum Stage {
    /// A proxy says for whom it speaks.
    Header(ProxyHeader),
    #[cfg(any(feature = "tls", feature = "websocket"))]
    Opens(Opening),
    Over(Option<Transport>),
}

impl Stage {
    /// What comes once it is known for whom the peer speaks.
    fn after_header(
        core: &Core,
        kind: TransportKind,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<Self> {
        #[cfg(feature = "websocket")]
        let ask = Ask::Server(Arc::clone(&core.ws_rules), peer);
        #[cfg(not(feature = "websocket"))]
        let _ = (core, peer);
        if kind == TransportKind::Tcp {
            return Ok(Self::Over(Some(Transport::Tcp(Tcp::new(stream)))));
        }
        match kind {
            #[cfg(feature = "websocket")]
            TransportKind::WebSocket => {
                Ok(Self::Opens(Opening::Ws(ask.begin(Transport::Tcp(Tcp::new(stream))))))
            }
            #[cfg(all(feature = "tls", feature = "websocket"))]
            TransportKind::SecureWebSocket => {
                Ok(Self::Opens(Opening::Tls(accept_tls(core, stream)?, Next::Ws(ask))))
            }
            #[cfg(feature = "tls")]
            TransportKind::Tls => Ok(Self::Opens(Opening::Tls(accept_tls(core, stream)?, Next::Nothing))),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn socket(&self) -> Option<&Arc<Socket>> {
        match self {
            Self::Header(header) => Some(header.socket()),
            #[cfg(any(feature = "tls", feature = "websocket"))]
            Self::Opens(opening) => Some(opening.socket()),
            Self::Over(_) => None,
        }
    }
}

#[cfg(feature = "tls")]
fn accept_tls(core: &Core, stream: TcpStream) -> io::Result<Tls> {
    let certificates = core.certificates.get().ok_or(io::ErrorKind::Unsupported)?;
    Tls::accept(stream, certificates.current())
}

fn deadline(core: &Core) -> Until {
    match core.config().handshake_timeout_ms {
        0 => Until::never(),
        millis => Until::after_running(Duration::from_millis(millis)),
    }
}

/// A handshake in progress.
struct Handshake {
    kind: TransportKind,
    stage: Stage,
    addresses: Addresses,
    seat: Option<Seat>,
    /// The one that it speaks for is counted there.
    is_seated: bool,
    until: Until,
    alarm: Option<Alarm>,
    /// Dropped once it begins.
    newcomer: Option<Newcomer>,
    /// Its place, until it is over.
    reserved: Option<Reserved>,
    /// Dropped before the connection begins: a stop ends all handshakes, and this socket is none of theirs any more.
    begun: Option<Begun>,
}

impl Handshake {
    /// Goes on, without waiting. Returns what it waits for; `None` once it is over.
    fn go_on(&mut self) -> io::Result<Option<Readiness>> {
        loop {
            match &mut self.stage {
                Stage::Header(header) => {
                    let Some(client) = header.go_on()? else { return Ok(Some(waits(Readiness::READ))) };
                    let stream = header.stream();
                    if let Some(client) = client
                        && !(self.speaks_for(client) && self.take_seat(Some(&stream)))
                    {
                        return Ok(None);
                    }
                    let Some(reserved) = &self.reserved else { return Ok(None) };
                    let core = reserved.entrance().core();
                    self.stage = Stage::after_header(core, self.kind, stream, self.addresses.remote())?;
                }
                #[cfg(any(feature = "tls", feature = "websocket"))]
                Stage::Opens(opening) => match opening.go_on()? {
                    Opened::Waits(wanted) => return Ok(Some(waits(wanted))),
                    #[cfg(feature = "websocket")]
                    Opened::SpeaksFor(client) => {
                        if !self.speaks_for(client) {
                            return Ok(None);
                        }
                    }
                    Opened::Open(transport) => self.stage = Stage::Over(Some(transport)),
                },
                Stage::Over(transport) => {
                    let transport = transport.take();
                    self.enter(transport);
                    return Ok(None);
                }
            }
        }
    }

    /// As [`go_on`](Self::go_on). Only code of the program that judges a request may wait there: no longer than the handshake may take.
    fn go_on_in_time(&mut self) -> io::Result<Option<Readiness>> {
        let may_wait = matches!(self.kind, TransportKind::WebSocket | TransportKind::SecureWebSocket);
        match self.until.left().filter(|_| may_wait) {
            Some(left) => {
                with_timeout(left, || self.go_on()).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            None => self.go_on(),
        }
    }

    /// Takes note of the client in whose place a proxy has come. `false` if that one is banned.
    fn speaks_for(&mut self, client: SocketAddr) -> bool {
        self.addresses = Addresses::new(self.addresses.local(), client);
        self.is_seated = false;
        self.reserved.as_ref().is_some_and(|reserved| reserved.entrance().core().lets_in(client.ip()))
    }

    /// Counts the one that a proxy speaks for, if that is not done yet. `false`, and it has been turned away, if there are too many of
    /// its address.
    fn take_seat(&mut self, stream: Option<&TcpStream>) -> bool {
        if let (Some(seat), Some(reserved), false) = (&self.seat, &self.reserved, self.is_seated) {
            self.is_seated = reserved.entrance().take_seat(seat, self.kind, stream, self.addresses.remote());
            return self.is_seated;
        }
        true
    }

    /// Becomes a connection, unless there are too many of its address.
    fn enter(&mut self, transport: Option<Transport>) {
        let has_seat = self.take_seat(None);
        (self.alarm, self.begun) = (None, None);
        let (Some(reserved), Some(transport)) = (self.reserved.take(), transport) else { return };
        if has_seat {
            reserved.enter(self.newcomer.take(), transport, self.addresses.clone());
        } else {
            transport.shutdown(Farewell::Refused);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if let Some(socket) = self.stage.socket() {
            // The peer sees an end and no reset.
            socket.shutdown_write();
        }
        let Some(reserved) = self.reserved.take() else { return };
        let core = Arc::clone(reserved.entrance().core());
        // Who sees that it has failed finds its place free.
        drop((reserved, self.seat.take()));
        // Those that the stop has cut short have not failed.
        if core.stopping().is_set() {
            return;
        }
        core.counters.handshakes_failed.add();
        let peer = self.addresses.remote();
        // One that had to make room for others is no fault of its peer.
        if self.begun.as_ref().is_some_and(Begun::was_displaced) {
            let most = core.config().max_handshakes;
            throttled!(
                warn,
                core.handshake_log,
                "no connection with {peer}, its handshake made room for a newer one: MaxHandshakes is {most}"
            );
            return;
        }
        core.note_fault(peer.ip(), &"a failed handshake");
        throttled!(warn, core.handshake_log, "no connection with {peer}, the handshake failed: {error}");
    }
}

impl Passenger for Handshake {
    fn ride(&mut self, _ready: Readiness, me: &Me) -> Halt {
        drop(self.newcomer.take());
        // A stop cuts short what waits in there.
        let Some(outcome) = me.cuttable(|| self.go_on_in_time()) else { return Halt::Over };
        match (outcome, self.stage.socket()) {
            (Ok(Some(interest)), Some(socket)) if !self.until.is_over() => {
                let socket = Arc::clone(socket);
                Alarm::keep(&mut self.alarm, &socket, self.until);
                return Halt::AtRest(socket, interest);
            }
            (Ok(Some(_)), _) => self.fail(&io::ErrorKind::TimedOut.into()),
            (Ok(None), _) => {}
            (Err(error), _) => self.fail(&error),
        }
        Halt::Over
    }
}

/// Not for the end of the stream: that is told once, and has to be left for the connection, which may have more to read before it. Here it
/// is something to be read as well.
fn waits(wanted: Readiness) -> Readiness {
    wanted.or(Readiness::INTERRUPT)
}
