//! A transport that is being opened: both sides have to agree on something before the first message.

use std::io;
use std::sync::Arc;

use super::Transport;
use super::tls::Tls;
use crate::green::{Readiness, Socket};

/// A transport that is being opened.
pub(crate) enum Opening {
    Tls(Tls),
}

/// How far it has come.
pub(crate) enum Opened {
    /// It goes on once one of these is ready.
    Waits(Readiness),
    Open(Transport),
}

impl Opening {
    /// Goes on, without waiting.
    ///
    /// # Errors
    ///
    /// If the two sides do not agree.
    pub(crate) fn go_on(&mut self) -> io::Result<Opened> {
        match self {
            Self::Tls(tls) => Ok(match tls.shake_hands()? {
                Some(wanted) => Opened::Waits(wanted.or(Readiness::HANGUP).or(Readiness::INTERRUPT)),
                None => Opened::Open(Transport::Tls(tls.clone())),
            }),
        }
    }

    /// Ends our side, so that the peer sees an end and no reset.
    pub(crate) fn refuse(&self) {
        self.socket().shutdown_write();
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match self {
            Self::Tls(tls) => tls.socket(),
        }
    }
}
