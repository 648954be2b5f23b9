//! Where the code of the program is on a connection, and what its waits are for. Noted only while there is an admin plane to
//! show it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::green::{self, with_purpose};

/// Which code of the program runs for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    /// None.
    #[default]
    None,
    /// The handler of this message id.
    Handler(u32),
    Session,
    StartHook,
    StopHook,
    /// The idle hook, and what is called for a peer that is not alive.
    Hook,
}

impl Code {
    const fn bits(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Handler(msg_id) => KIND | msg_id as u64,
            Self::Session => 2 * KIND,
            Self::StartHook => 3 * KIND,
            Self::StopHook => 4 * KIND,
            Self::Hook => 5 * KIND,
        }
    }

    #[cfg(feature = "admin")]
    const fn of(bits: u64) -> Self {
        match bits / KIND {
            1 => Self::Handler(bits as u32),
            2 => Self::Session,
            3 => Self::StartHook,
            4 => Self::StopHook,
            5 => Self::Hook,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no code of the program"),
            Self::Handler(msg_id) => write!(f, "the handler of message {msg_id}"),
            Self::Session => f.write_str("the session"),
            Self::StartHook => f.write_str("the start hook"),
            Self::StopHook => f.write_str("the stop hook"),
            Self::Hook => f.write_str("the idle or heartbeat hook"),
        }
    }
}

/// Where the code of the program is on one connection. Written by the coroutine that runs it.
#[derive(Default)]
pub(crate) struct Position {
    code: AtomicU64,
    /// The coroutine of a worker that runs it; 0 for the connection's own.
    coroutine: AtomicU64,
}

impl Position {
    /// The connection's own coroutine begins with a handler, once or several times.
    #[inline]
    pub(crate) fn handles(&self, msg_id: u32) {
        self.code.store(Code::Handler(msg_id).bits(), Ordering::Relaxed);
    }

    /// All handlers have returned.
    pub(crate) fn rests(&self) {
        self.code.store(Code::None.bits(), Ordering::Relaxed);
    }

    /// Begins with code of the program, perhaps in the middle of other code, until the guard is dropped.
    pub(super) fn enter(&self, code: Code, on_worker: bool) -> Entered<'_> {
        let coroutine = green::current().filter(|_| on_worker).map_or(0, |current| current.id());
        let before = (
            self.code.swap(code.bits(), Ordering::Relaxed),
            self.coroutine.swap(coroutine, Ordering::Relaxed),
        );
        Entered { position: self, before }
    }

    #[cfg(feature = "admin")]
    pub(crate) fn code(&self) -> Code {
        Code::of(self.code.load(Ordering::Relaxed))
    }

    /// The coroutine of a worker that runs it; `None` for the connection's own.
    #[cfg(feature = "admin")]
    pub(crate) fn coroutine(&self) -> Option<u64> {
        Some(self.coroutine.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }
}

/// Code of the program that runs. Dropped, what it was called from goes on.
pub(crate) struct Entered<'a> {
    position: &'a Position,
    before: (u64, u64),
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.position.code.store(self.before.0, Ordering::Relaxed);
        self.position.coroutine.store(self.before.1, Ordering::Relaxed);
    }
}

/// What a wait is for, where the wait alone does not tell: the coroutine waits for a socket, or for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The answer to a message with this id.
    Call(u32),
    Recv,
    RecvId(u32),
    /// Room in the queue to a peer, for a message.
    Send,
    /// The stream of a connection that was taken over.
    TakeOver,
}

impl Purpose {
    const fn bits(self) -> u64 {
        match self {
            Self::Call(msg_id) => KIND | msg_id as u64,
            Self::Recv => 2 * KIND,
            Self::RecvId(msg_id) => (3 * KIND) | msg_id as u64,
            Self::Send => 4 * KIND,
            Self::TakeOver => 5 * KIND,
        }
    }

    /// What a coroutine has noted; `None` for nothing.
    #[cfg(feature = "admin")]
    pub(crate) const fn of(bits: u64) -> Option<Self> {
        match bits / KIND {
            1 => Some(Self::Call(bits as u32)),
            2 => Some(Self::Recv),
            3 => Some(Self::RecvId(bits as u32)),
            4 => Some(Self::Send),
            5 => Some(Self::TakeOver),
            _ => None,
        }
    }

    /// Waits for this.
    pub(crate) fn during<T>(self, wait: impl FnOnce() -> T) -> T {
        with_purpose(self.bits(), wait)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(msg_id) => write!(f, "call {msg_id}"),
            Self::Recv => f.write_str("recv"),
            Self::RecvId(msg_id) => write!(f, "recv_id {msg_id}"),
            Self::Send => f.write_str("send: the queue to the peer is full"),
            Self::TakeOver => f.write_str("take_over: reads or writes the stream"),
        }
    }
}

/// Above the bits of a message id.
const KIND: u64 = 1 << 32;

#[cfg(all(test, feature = "admin"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_what_is_read() {
        let codes = [Code::None, Code::Handler(0), Code::Handler(u32::MAX), Code::Session, Code::StartHook];
        for code in codes.into_iter().chain([Code::StopHook, Code::Hook]) {
            assert_eq!(Code::of(code.bits()), code);
        }
        let purposes = [Purpose::Call(0), Purpose::Call(u32::MAX), Purpose::Recv, Purpose::RecvId(7)];
        for purpose in purposes.into_iter().chain([Purpose::Send, Purpose::TakeOver]) {
            assert_eq!(Purpose::of(purpose.bits()), Some(purpose));
        }
        assert_eq!(Purpose::of(0), None);
    }

    #[test]
    fn code_within_code_gives_back_where_it_was_called() {
        let position = Position::default();
        let session = position.enter(Code::Session, false);
        drop(position.enter(Code::Handler(3), false));
        assert_eq!((position.code(), position.coroutine()), (Code::Session, None));
        drop(session);
        assert_eq!(position.code(), Code::None);
    }
}
