//! What carries the bytes of a connection. A connection knows bytes and messages; only what is in here knows sockets.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "admin")]
use crate::green::RoundTrips;
use crate::green::{Alarm, Builder, Halt, Readiness, Socket, Until, alarm};
use crate::ziface::TransportKind;
#[cfg(feature = "kcp")]
use crate::znet::transport::kcp::Kcp;
use crate::znet::transport::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::znet::transport::tls::Tls;
#[cfg(feature = "tls")]
use crate::znet::transport::tls_info::TlsInfo;
#[cfg(feature = "websocket")]
use crate::znet::transport::ws::Ws;

// TCP,
pub(super) mod tcp;

#[cfg(feature = "tls")]
// and TLS over it,
pub(super) mod tls;

#[cfg(any(feature = "tls", feature = "websocket"))]
// until both sides agree,
pub(super) mod opening;

#[cfg(feature = "tls")]
// whose protocol this is,
mod records;

#[cfg(feature = "websocket")]
// WebSocket over either,
pub(super) mod ws;

#[cfg(feature = "websocket")]
// after a handshake
pub(super) mod upgrade;

#[cfg(feature = "websocket")]
// with those that are let in,
pub(super) mod ws_rules;

#[cfg(feature = "websocket")]
// what a client asks for,
pub(super) mod ws_options;

#[cfg(feature = "websocket")]
// and the protocol of its frames,
mod ws_frames;

#[cfg(feature = "websocket")]
// in and out,
mod ws_sending;

#[cfg(feature = "websocket")]
// which must not break its rules,
mod ws_checks;

#[cfg(feature = "websocket")]
// and are masked by a client,
mod mask;

#[cfg(feature = "websocket")]
// of messages that may be the program's as they are,
pub(super) mod bare;

#[cfg(feature = "websocket")]
// and, if they are texts, UTF-8,
mod utf8;

#[cfg(any(feature = "tls", feature = "websocket"))]
// with what both do to read,
mod layer;

#[cfg(any(feature = "tls", feature = "websocket"))]
// and the bytes that they hold between two calls,
mod surplus;

#[cfg(feature = "tls")]
// what both sides have agreed on,
pub(super) mod tls_info;

#[cfg(feature = "tls")]
// whom a client trusts,
pub(super) mod tls_options;

#[cfg(feature = "tls")]
// and the certificates of a server, which may change while it runs;
pub(super) mod certificates;

#[cfg(feature = "kcp")]
// KCP over UDP;
pub(super) mod kcp;

// the options that a program may set on a TCP socket;
pub(super) mod tcp_options;

// what a read has brought;
mod received;
pub(crate) use received::{Aside, Begun, Left, Received};

// and the transport that a connection has now: after it was resumed, it is another one.
pub(super) mod line;

/// What carries the bytes of a connection, chosen when the peer enters. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    /// The bytes of the peer, as they are.
    Tcp(Tcp),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(Tls),
    /// In messages of WebSocket.
    #[cfg(feature = "websocket")]
    Ws(Ws),
    /// In segments of KCP.
    #[cfg(feature = "kcp")]
    Kcp(Kcp),
}

/// Why nothing more is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// All has been said.
    Done,
    /// The server stops.
    GoingAway,
    /// The peer has sent too much at once.
    TooLarge,
    /// The peer has done what it must not.
    Refused,
}

impl Transport {
    pub(crate) fn kind(&self) -> TransportKind {
        match self {
            Self::Tcp(_) => TransportKind::Tcp,
            #[cfg(feature = "tls")]
            Self::Tls(_) => TransportKind::Tls,
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.kind(),
            #[cfg(feature = "kcp")]
            Self::Kcp(_) => TransportKind::Kcp,
        }
    }

    /// Reads what is there, without waiting. In line: see [`Input::fill`](crate::znet::read::input::Input::fill).
    #[inline(always)]
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Tcp(tcp) => tcp.recv(buf),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.recv(buf),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.recv(buf),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.recv(buf),
        }
    }

    /// As [`recv`](Self::recv), appending at most `max` bytes to `buf`, which has room for them.
    pub(crate) fn recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<Received> {
        match self {
            Self::Tcp(tcp) => tcp.recv_into(buf, max),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.recv_into(buf, max),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.recv_into(buf, max),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.recv_into(buf, max),
        }
    }

    /// Sends what the transport takes, without waiting. Returns how many bytes that was; `WouldBlock` if it takes nothing.
    /// `lens`, asked if the transport keeps frames apart: how long each is; of the first, what is left of it.
    #[inline]
    pub(crate) fn send<I: Iterator<Item = usize>>(
        &self,
        slices: &[IoSlice<'_>],
        lens: impl FnOnce() -> I,
    ) -> io::Result<usize> {
        #[cfg(not(any(feature = "websocket", feature = "kcp")))]
        let _ = lens;
        match self {
            Self::Tcp(tcp) => tcp.send(slices),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.send(slices),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.send(slices, lens()),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.send(slices, lens()),
        }
    }

    /// Whether bytes that [`send`](Self::send) has taken, or records of the transport itself, wait to be sent.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            // The system has all that it took.
            Self::Tcp(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.has_unsent(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.has_unsent(),
            // The conversation goes on with what it took.
            #[cfg(feature = "kcp")]
            Self::Kcp(_) => false,
        }
    }

    /// Bytes of memory that this takes.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.unsent_bytes(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.unsent_bytes(),
            _ => 0,
        }
    }

    /// What was agreed on by TLS, if there is any.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_info(&self) -> Option<TlsInfo> {
        match self {
            Self::Tls(tls) => Some(tls.info()),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.tls_info(),
            _ => None,
        }
    }

    /// Sends what [`has_unsent`](Self::has_unsent) tells of. `WouldBlock` if something is left.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.flush(),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => {
                kcp.flush();
                Ok(())
            }
        }
    }

    /// Waits until something of `interest` is ready, and takes it. Not to be called while the coroutine unwinds.
    pub(crate) fn wait(&self, interest: Readiness) -> Readiness {
        self.socket().wait(interest)
    }

    /// How a connection rests until something of `interest` is ready.
    pub(crate) fn rest(&self, interest: Readiness) -> Halt {
        let socket = Arc::clone(self.socket());
        Halt::AtRest(socket, interest)
    }

    /// As [`wait`](Self::wait), for code that a destructor may call: `WouldBlock` while its coroutine unwinds.
    pub(crate) fn wait_unless_unwinding(&self, interest: Readiness) -> io::Result<Readiness> {
        self.socket().wait_unless_unwinding(interest)
    }

    /// Wakes the one that waits with [`Readiness::INTERRUPT`], or the next one that does. From any thread, without waiting.
    pub(crate) fn interrupt(&self) {
        self.socket().interrupt();
    }

    /// Interrupts the wait at a time, unless the alarm is dropped before.
    pub(crate) fn alarm(&self, at: Instant) -> Alarm {
        alarm(self.socket(), at)
    }

    /// Has `alarm` go off at the end of `until`, which may have moved since it was set.
    pub(crate) fn keep_alarm(&self, alarm: &mut Option<Alarm>, until: Until) {
        Alarm::keep(alarm, self.socket(), until);
    }

    /// Whether something waits to be read, if only the end.
    pub(crate) fn has_input(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.socket().is_readable(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.has_input(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.has_input(),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.has_input(),
        }
    }

    /// What the last read has brought beside the content of messages, once.
    pub(crate) fn take_aside(&self) -> Aside {
        match self {
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.take_aside(),
            _ => Aside::default(),
        }
    }

    /// What is held here of a message of which nothing can be taken yet.
    #[inline]
    pub(crate) fn begun(&self) -> Begun {
        match self {
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.begun(),
            _ => Begun::default(),
        }
    }

    /// A coroutine that waits for this transport runs best where it is watched.
    pub(crate) fn near(&self, builder: Builder) -> Builder {
        builder.near(self.socket())
    }

    /// Tells the peer that nothing more is sent, and why, if the transport has words for it. What it sends can still be read.
    pub(crate) fn shutdown(&self, farewell: Farewell) {
        #[cfg(not(feature = "websocket"))]
        let _ = farewell;
        match self {
            Self::Tcp(tcp) => tcp.socket().shutdown_write(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.shutdown(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.shutdown(farewell),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.shutdown(),
        }
    }

    /// Whether the peer, whose own stream has ended, can tell a [`shutdown`](Self::shutdown) from an [`end`](Self::end).
    pub(crate) const fn has_farewell(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Ends both directions at once and wakes those that wait.
    pub(crate) fn end(&self) {
        match self {
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.end(),
            other => other.socket().shutdown_both(),
        }
    }

    /// Cuts the peer off: what the system holds for it is thrown away, and those that wait are woken.
    pub(crate) fn reset(&self) {
        match self {
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.reset(),
            other => other.socket().reset(),
        }
    }

    /// How long the system goes on sending to a peer that takes nothing, once the transport is closed.
    pub(crate) fn set_patience(&self, patience: Duration) {
        match self {
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.set_patience(patience),
            other => other.socket().set_patience(patience),
        }
    }

    /// The TCP socket with its options. `None` if there is none.
    pub(crate) fn tcp(&self) -> Option<&Socket> {
        match self {
            #[cfg(feature = "kcp")]
            Self::Kcp(_) => None,
            other => Some(other.socket()),
        }
    }

    /// How long a packet to the peer and its acknowledgement take; `None` if that is not known yet.
    #[cfg(feature = "admin")]
    pub(crate) fn round_trip(&self, trips: &RoundTrips) -> Option<Duration> {
        match self {
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.round_trip(),
            other => trips.of(other.socket()),
        }
    }

    /// The descriptor that is watched.
    fn socket(&self) -> &Arc<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.socket(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.socket(),
            #[cfg(feature = "websocket")]
            Self::Ws(ws) => ws.socket(),
            #[cfg(feature = "kcp")]
            Self::Kcp(kcp) => kcp.socket(),
        }
    }
}
