//! A peer between the listener and its connection: it is let in, and has to agree on something first.
//!
//! While it waits it is data, as a connection is: a peer that does not go on costs no stack.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::entrance::Reserved;
use super::handshakes::Begun;
use crate::green::{Alarm, Builder, Halt, Newcomer, Passenger, Readiness, TcpStream, Until};
use crate::log_line::throttled;
use crate::ziface::TransportKind;
use crate::znet::conn::addresses::Addresses;
use crate::znet::server::core::Core;
use crate::znet::transport::Transport;
#[cfg(feature = "tls")]
use crate::znet::transport::opening::Next;
use crate::znet::transport::opening::{Opened, Opening};
#[cfg(feature = "websocket")]
use crate::znet::transport::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::znet::transport::tls::Tls;
#[cfg(feature = "websocket")]
use crate::znet::transport::upgrade::Ask;

/// Goes through a handshake in the coroutine that calls, which waits where others rest. `Interrupted` once it `is_off`.
pub(super) fn shake_hands(
    mut opening: Opening,
    until: Until,
    is_off: impl Fn() -> bool,
) -> io::Result<Transport> {
    let mut alarm = None;
    loop {
        let interest = match opening.go_on()? {
            Opened::Open(transport) => return Ok(transport),
            Opened::Waits(interest) => interest,
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

/// Begins the handshake of a peer that has been let in.
pub(super) fn begin(
    reserved: Reserved,
    newcomer: Newcomer,
    kind: TransportKind,
    stream: TcpStream,
    addresses: Addresses,
) {
    let core = Arc::clone(reserved.entrance().core());
    let opening = match open(&core, kind, stream, addresses.remote()) {
        Ok(opening) => opening,
        Err(error) => return core.log_refused(&format_args!("a handshake: {error}")),
    };
    let Some(begun) = reserved.entrance().handshakes.begin(opening.socket()) else { return };
    if begun.displaced {
        core.counters.handshakes_displaced.add();
    }
    let builder = Builder::new().numbered(&"handshake", begun.number);
    let until = deadline(&core);
    let (reserved, newcomer) = (Some(reserved), Some(newcomer));
    let handshake = Handshake { opening, addresses, until, alarm: None, newcomer, reserved, _begun: begun };
    if let Err(error) = core.group().carry(builder, handshake) {
        core.log_refused(&format_args!("a handshake: {error}"));
    }
}

fn open(core: &Core, kind: TransportKind, stream: TcpStream, peer: SocketAddr) -> io::Result<Opening> {
    #[cfg(feature = "websocket")]
    let ask = Ask::Server(Arc::clone(&core.ws_rules), peer);
    #[cfg(not(feature = "websocket"))]
    let _ = peer;
    match kind {
        #[cfg(feature = "websocket")]
        TransportKind::WebSocket => Ok(Opening::Ws(ask.begin(Transport::Tcp(Tcp::new(stream))))),
        #[cfg(all(feature = "tls", feature = "websocket"))]
        TransportKind::SecureWebSocket => Ok(Opening::Tls(accept_tls(core, stream)?, Next::Ws(ask))),
        #[cfg(feature = "tls")]
        TransportKind::Tls => Ok(Opening::Tls(accept_tls(core, stream)?, Next::Nothing)),
        _ => Err(io::ErrorKind::Unsupported.into()),
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
    opening: Opening,
    addresses: Addresses,
    until: Until,
    alarm: Option<Alarm>,
    /// Dropped once it begins.
    newcomer: Option<Newcomer>,
    /// Its place, until it is over.
    reserved: Option<Reserved>,
    _begun: Begun,
}

impl Handshake {
    fn fail(&self, error: &io::Error) {
        self.opening.refuse();
        let Some(reserved) = &self.reserved else { return };
        let core = reserved.entrance().core();
        // Those that the stop has cut short have not failed.
        if core.stopping().is_set() {
            return;
        }
        core.counters.handshakes_failed.add();
        let peer = self.addresses.remote();
        throttled!(warn, core.handshake_log, "no connection with {peer}, the handshake failed: {error}");
    }
}

impl Passenger for Handshake {
    fn ride(&mut self, _ready: Readiness) -> Halt {
        drop(self.newcomer.take());
        match self.opening.go_on() {
            Ok(Opened::Waits(interest)) if !self.until.is_over() => {
                let socket = Arc::clone(self.opening.socket());
                Alarm::keep(&mut self.alarm, &socket, self.until);
                return Halt::AtRest(socket, interest);
            }
            Ok(Opened::Waits(_)) => self.fail(&io::ErrorKind::TimedOut.into()),
            Ok(Opened::Open(transport)) => {
                self.alarm = None;
                if let Some(reserved) = self.reserved.take() {
                    reserved.enter(None, transport, self.addresses.clone());
                }
            }
            Err(error) => self.fail(&error),
        }
        Halt::Over
    }
}
