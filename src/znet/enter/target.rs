//! What a client speaks to its server, and the handshake that leads there.

use std::io;
use std::sync::Arc;

#[cfg(any(feature = "tls", feature = "websocket"))]
use super::handshake::shake_hands;
#[cfg(feature = "kcp")]
use super::kcp_dial::KcpDial;
use crate::green::{Socket, TcpStream, Until};
use crate::lock::Lock;
use crate::znet::server::core::Core;
use crate::znet::transport::Transport;
#[cfg(feature = "tls")]
use crate::znet::transport::opening::Next;
#[cfg(any(feature = "tls", feature = "websocket"))]
use crate::znet::transport::opening::Opening;
use crate::znet::transport::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::znet::transport::tls::Tls;
#[cfg(feature = "tls")]
use crate::znet::transport::tls_options::TlsTarget;
#[cfg(feature = "websocket")]
use crate::znet::transport::upgrade::Ask;
#[cfg(feature = "websocket")]
use crate::znet::transport::ws_options::WsTarget;

/// What a client speaks to its server: TCP, or what is set here over it.
#[derive(Default)]
pub(crate) struct Target {
    #[cfg(feature = "tls")]
    tls: Option<TlsTarget>,
    #[cfg(feature = "websocket")]
    ws: Option<Arc<WsTarget>>,
    #[cfg(feature = "kcp")]
    pub(super) kcp: Option<Arc<KcpDial>>,
}

/// A handshake in progress, which a stop interrupts.
#[derive(Default)]
pub(super) struct Shaking(Lock<State>);

#[derive(Default)]
struct State {
    is_off: bool,
    socket: Option<Arc<Socket>>,
}

impl Target {
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(mut self, target: TlsTarget) -> Self {
        self.tls = Some(target);
        self
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn with_ws(mut self, target: WsTarget) -> Self {
        self.ws = Some(Arc::new(target));
        self
    }

    #[cfg(feature = "kcp")]
    pub(crate) fn with_kcp(mut self, dial: Arc<KcpDial>) -> Self {
        self.kcp = Some(dial);
        self
    }

    /// Takes what the client has settled by its start.
    pub(super) fn prepare(&self, core: &Core) {
        #[cfg(feature = "websocket")]
        if let (Some(ws), Some(bare)) = (&self.ws, core.ws_rules.bare.get()) {
            ws.bare.get_or_init(|| Arc::clone(bare));
        }
        #[cfg(not(feature = "websocket"))]
        let _ = core;
    }

    /// Makes a transport of a stream, in the coroutine that calls. `Interrupted` once it is called off.
    #[cfg(any(feature = "tls", feature = "websocket"))]
    pub(super) fn open(&self, stream: TcpStream, until: Until, shaking: &Shaking) -> io::Result<Transport> {
        let Some(opening) = self.opening(&stream)? else { return Ok(Transport::Tcp(Tcp::new(stream))) };
        drop(stream);
        shaking.note(Some(opening.socket()));
        let opened = shake_hands(opening, until, || shaking.is_off());
        shaking.note(None);
        opened
    }

    #[cfg(not(any(feature = "tls", feature = "websocket")))]
    pub(super) fn open(&self, stream: TcpStream, _: Until, _: &Shaking) -> io::Result<Transport> {
        Ok(Transport::Tcp(Tcp::new(stream)))
    }

    /// `None` if nothing is to be agreed on.
    #[cfg(any(feature = "tls", feature = "websocket"))]
    fn opening(&self, stream: &TcpStream) -> io::Result<Option<Opening>> {
        #[cfg(feature = "tls")]
        if let Some(target) = &self.tls {
            let tls = Tls::connect(stream.clone(), Arc::clone(&target.config), target.name.clone())?;
            #[cfg(feature = "websocket")]
            if let Some(ws) = &self.ws {
                return Ok(Some(Opening::Tls(tls, Next::Ws(Ask::Client(Arc::clone(ws))))));
            }
            return Ok(Some(Opening::Tls(tls, Next::Nothing)));
        }
        #[cfg(feature = "websocket")]
        if let Some(ws) = &self.ws {
            let below = Transport::Tcp(Tcp::new(stream.clone()));
            return Ok(Some(Opening::Ws(Ask::Client(Arc::clone(ws)).begin(below))));
        }
        Ok(None)
    }
}

impl Shaking {
    /// What waits for it now, to be interrupted.
    #[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
    pub(super) fn note(&self, socket: Option<&Arc<Socket>>) {
        let before = std::mem::replace(&mut self.0.lock().socket, socket.cloned());
        drop(before);
    }

    #[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
    pub(super) fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Ends the handshake, and those to come.
    pub(super) fn call_off(&self) {
        let socket = {
            let mut state = self.0.lock();
            state.is_off = true;
            state.socket.take()
        };
        if let Some(socket) = socket {
            socket.interrupt();
        }
    }

    /// May go on again.
    pub(super) fn reset(&self) {
        self.0.lock().is_off = false;
    }
}
