//! A transport that is being opened: both sides have to agree on something before the first message.

use std::io;
#[cfg(feature = "websocket")]
use std::net::SocketAddr;
use std::sync::Arc;

use super::Transport;
#[cfg(feature = "tls")]
use super::tls::Tls;
#[cfg(all(feature = "tls", feature = "websocket"))]
use super::upgrade::Ask;
#[cfg(feature = "websocket")]
use super::upgrade::{Pause, Upgrade};
use crate::green::{Readiness, Socket};

/// A transport that is being opened.
pub(crate) enum Opening {
    #[cfg(feature = "tls")]
    Tls(Tls, Next),
    #[cfg(feature = "websocket")]
    Ws(Box<Upgrade>),
}

/// What is to be agreed on once TLS is.
#[cfg(feature = "tls")]
pub(crate) enum Next {
    Nothing,
    #[cfg(feature = "websocket")]
    Ws(Ask),
}

/// How far it has come.
pub(crate) enum Opened {
    /// It goes on once one of these is ready.
    Waits(Readiness),
    /// The peer is a proxy, and says for which client it speaks. It goes on at once, if that one may come in.
    #[cfg(feature = "websocket")]
    SpeaksFor(SocketAddr),
    /// Over.
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
            #[cfg(feature = "tls")]
            Self::Tls(tls, next) => {
                if let Some(wanted) = tls.shake_hands()? {
                    return Ok(Opened::Waits(wanted));
                }
                let below = Transport::Tls(tls.clone());
                match std::mem::replace(next, Next::Nothing) {
                    Next::Nothing => Ok(Opened::Open(below)),
                    #[cfg(feature = "websocket")]
                    Next::Ws(ask) => {
                        *self = Self::Ws(ask.begin(below));
                        self.go_on()
                    }
                }
            }
            #[cfg(feature = "websocket")]
            Self::Ws(upgrade) => Ok(match upgrade.go_on()? {
                Ok(transport) => Opened::Open(transport),
                Err(Pause::Waits(wanted)) => Opened::Waits(wanted),
                Err(Pause::SpeaksFor(client)) => Opened::SpeaksFor(client),
            }),
        }
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(tls, _) => tls.socket(),
            #[cfg(feature = "websocket")]
            Self::Ws(upgrade) => upgrade.below().socket(),
        }
    }
}
