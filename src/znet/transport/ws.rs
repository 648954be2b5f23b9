//! WebSocket over TCP or TLS: each frame that is sent is a binary message, and what is received may be cut into messages and their
//! frames in any way.
//!
//! One lock guards the state of the protocol, as in TLS: never held while anybody waits.

use std::io::{self, IoSlice};
use std::sync::{Arc, MutexGuard};

use tungstenite::protocol::frame::coding::CloseCode;

use super::bare::Bare;
use super::layer::{self, Layer};
use super::surplus::Surplus;
#[cfg(feature = "tls")]
use super::tls_info::TlsInfo;
use super::ws_checks::Side;
use super::ws_frames::Frames;
use super::{Aside, Begun, Farewell, Left, Received, Transport};
use crate::green::{ReadBuffer, Socket};
use crate::lock::Lock;
use crate::ziface::TransportKind;

/// A WebSocket connection. Its descriptor closes with the last clone.
#[derive(Clone)]
pub(crate) struct Ws(Arc<State>);

struct State {
    /// TCP or TLS.
    below: Transport,
    frames: Lock<Frames>,
}

impl Ws {
    /// After the handshake. `early`: what has come behind it.
    pub(super) fn new(below: Transport, side: Side, bare: Option<Arc<Bare>>, mut early: Vec<u8>) -> Self {
        let mut frames = Frames::new(side, bare);
        frames.take(&mut early, &mut []);
        Self(Arc::new(State { below, frames: Lock::new(frames) }))
    }

    pub(super) fn kind(&self) -> TransportKind {
        match self.below() {
            #[cfg(feature = "tls")]
            Transport::Tls(_) => TransportKind::SecureWebSocket,
            _ => TransportKind::WebSocket,
        }
    }

    pub(super) fn recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        layer::recv(&mut *self.lock(), buf, |frames, buf| self.fill(frames, buf))
    }

    pub(super) fn recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<Received> {
        layer::recv_into(buf, max, |room| self.recv(room))
    }

    /// Reads once from what is below, and puts the content into `buf`.
    fn fill(&self, frames: &mut Frames, buf: &mut [u8]) -> io::Result<Received> {
        if let Some(broken) = frames.raise() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, broken.what));
        }
        let (begun, held) = (frames.begun().len(), frames.held().received);
        frames.aside = Aside::default();
        let mut scratch = ReadBuffer::take(begun);
        let room = (scratch.len() - begun).min(buf.len().max(LEAST_READ));
        scratch[..begun].copy_from_slice(frames.begun());
        let Received { n, left } = self.below().recv(&mut scratch[begun..begun + room])?;
        if left == Left::End {
            // Without a farewell, which many leave out. The frames of the program tell whether one is cut.
            frames.end();
        }
        let taken = if n > 0 { frames.take(&mut scratch[..begun + n], buf) } else { 0 };
        // Answers to pings. What does not leave now leaves with the next flush; if the peer has gone, the next send says so.
        let _ = self.send_own(frames);
        let left = match left {
            // The next read tells.
            _ if frames.is_broken() => Left::More,
            Left::More | Left::Drained if taken == 0 && frames.held().received > held => Left::Begun,
            left => left,
        };
        Ok(Received { n: taken, left })
    }

    /// Sends what is below takes of `slices`, in which a message is as long as `lens` says; without that, as much as is taken now is one,
    /// for nobody knows whether the rest will come.
    pub(super) fn send(
        &self,
        slices: &[IoSlice<'_>],
        mut lens: impl Iterator<Item = usize>,
    ) -> io::Result<usize> {
        let mut frames = self.lock();
        self.send_own(&mut frames)?;
        if frames.has_said_end() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let (mut scratch, mut filled, mut taken) = (ReadBuffer::take(SEND_BYTES), 0, 0);
        let out = &mut scratch[..SEND_BYTES];
        if frames.left() > 0 {
            // Of the one that has begun to leave.
            lens.next();
        }
        let mut parts = slices.iter().map(|slice| &slice[..]);
        let mut part: &[u8] = &[];
        while taken < all && filled + MAX_HEAD_BYTES < SEND_BYTES {
            while part.is_empty() {
                let Some(next) = parts.next() else { break };
                part = next;
            }
            if frames.left() == 0 {
                let len =
                    lens.next().unwrap_or_else(|| (all - taken).min(SEND_BYTES - MAX_HEAD_BYTES - filled));
                let (data, left_out) = frames.kind(part, len);
                filled += frames.begin_message(data, len - left_out, &mut out[filled..]);
                part = &part[left_out..];
                taken += left_out;
                continue;
            }
            let n = part.len().min(frames.left()).min(SEND_BYTES - filled);
            out[filled..filled + n].copy_from_slice(&part[..n]);
            frames.go_on(&mut out[filled..filled + n]);
            part = &part[n..];
            filled += n;
            taken += n;
        }
        let sent = self.send_below(&out[..filled])?;
        frames.unsent.push(&out[sent..filled]);
        frames.let_control_frames_go();
        Ok(taken)
    }

    /// Sends as much as is taken below. Returns how much.
    fn send_below(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.below().send(&[IoSlice::new(&bytes[sent..])], std::iter::empty) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.lock().unsent.is_empty() || self.below().has_unsent()
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        let own = self.lock().unsent.held();
        own + self.below().unsent_bytes()
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls_info(&self) -> Option<TlsInfo> {
        self.below().tls_info()
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.send_own(&mut self.lock())
    }

    /// Sends what is unsent. `WouldBlock` if something is left.
    fn send_own(&self, frames: &mut Frames) -> io::Result<()> {
        let sent = self.send_below(frames.unsent.rest())?;
        frames.unsent.advance(sent);
        if frames.unsent.is_empty() { self.below().flush() } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    pub(super) fn has_input(&self) -> bool {
        let has_come = {
            let frames = self.lock();
            !frames.plain.is_empty() || frames.is_broken()
        };
        has_come || self.below().has_input()
    }

    /// Whether the connection ends because the peer has done what it must not.
    pub(super) fn is_breached(&self) -> bool {
        self.lock().breach.is_some()
    }

    /// What is held of a message of which nothing can be taken yet.
    pub(super) fn begun(&self) -> Begun {
        self.lock().held()
    }

    /// What the last read has brought beside the content of messages, once.
    pub(super) fn take_aside(&self) -> Aside {
        std::mem::take(&mut self.lock().aside)
    }

    /// Says farewell, if that is taken below, and ends our stream.
    pub(super) fn shutdown(&self, farewell: Farewell) {
        let mut frames = self.lock();
        frames.say_end(match farewell {
            Farewell::Done => CloseCode::Normal,
            Farewell::GoingAway => CloseCode::Away,
            Farewell::TooLarge => CloseCode::Size,
            Farewell::Refused => CloseCode::Policy,
        });
        // Fails only if the peer has gone first, or does not read: then it has no use for it.
        let _ = self.send_own(&mut frames);
        self.below().shutdown(farewell);
    }

    pub(super) fn socket(&self) -> &Arc<Socket> {
        self.below().socket()
    }

    fn below(&self) -> &Transport {
        &self.0.below
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.0.frames.lock()
    }
}

impl Layer for Frames {
    fn plain(&mut self) -> &mut Surplus {
        &mut self.plain
    }

    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }
}

impl std::fmt::Debug for Ws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ws").field(self.below()).finish()
    }
}

/// So much is read at least, however little is asked for.
const LEAST_READ: usize = 4096;

/// So much is sent at a time, and may wait here for a peer that does not read.
const SEND_BYTES: usize = 32 * 1024;

/// The longest head of a frame.
const MAX_HEAD_BYTES: usize = 14;
