//! Whom a server lets in over WebSocket: by path, origin, protocol, and what the program says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tungstenite::handshake::server::Request;

use super::bare::Bare;
use crate::green::{contain, drop_contained};
use crate::lock::Lock;
use crate::zconf::{Config, Networks};

/// Whom a server lets in over WebSocket.
#[derive(Default)]
pub(crate) struct WsRules {
    /// A reload replaces them.
    names: Lock<Arc<Names>>,
    pub(crate) auth: OnceLock<Box<Auth>>,
    /// Which messages are bare, if any; set at the start.
    pub(crate) bare: OnceLock<Arc<Bare>>,
}

/// What the configuration says of it.
#[derive(Default)]
struct Names {
    path: String,
    /// Empty: any.
    origins: Vec<String>,
    /// Best first.
    protocols: Vec<String>,
    /// Proxies that say for which client they ask.
    proxies: Networks,
}

/// What the program says of a peer.
pub(crate) type Auth = dyn Fn(&WsRequest<'_>) -> Result<(), WsRefusal> + Send + Sync;

/// What the program has set is dropped by whoever holds the last handle of its server.
impl Drop for WsRules {
    fn drop(&mut self) {
        drop_contained(self.auth.take());
    }
}

impl WsRules {
    pub(crate) fn new(config: &Config) -> Self {
        let rules = Self::default();
        rules.configure(config);
        rules
    }

    /// Goes by this configuration for peers that ask from now on.
    pub(crate) fn configure(&self, config: &Config) {
        let names = Names {
            path: config.ws_path.clone(),
            origins: words(&config.ws_origins),
            protocols: words(&config.ws_protocols),
            proxies: config.trusted_proxies.clone(),
        };
        *self.names.lock() = Arc::new(names);
    }

    fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names.lock())
    }

    /// The client for whom a peer asks, if it is a proxy that is trusted and says so.
    ///
    /// # Errors
    ///
    /// If what it says is no address.
    pub(super) fn client(
        &self,
        request: &Request,
        peer: SocketAddr,
    ) -> Result<Option<SocketAddr>, WsRefusal> {
        let proxies = &self.names().proxies;
        if !proxies.contain(peer.ip()) {
            return Ok(None);
        }
        let named = request.headers().get_all("X-Forwarded-For").into_iter();
        let lists: Vec<_> = named.map(|value| value.to_str().unwrap_or("no text")).collect();
        // Each proxy adds whom it has seen at the end: behind the last one that is not trusted, anything may stand.
        let mut client = None;
        for word in lists.iter().flat_map(|list| list.split(',')).rev().map(str::trim) {
            let Some(address) = address_of(word) else {
                return Err(WsRefusal::new(400, format!("X-Forwarded-For has {word:?}")));
            };
            client = Some(address);
            if !proxies.contain(address.ip()) {
                break;
            }
        }
        Ok(client)
    }

    /// Whether a peer may come in, and the protocol that is spoken with it, if it names one.
    pub(super) fn judge(&self, request: &WsRequest<'_>) -> Result<Option<String>, WsRefusal> {
        let names = self.names();
        let is_ours = match names.path.strip_suffix('*') {
            Some(front) => request.path().starts_with(front),
            None => request.path() == names.path,
        };
        if !is_ours {
            return Err(WsRefusal::new(404, format!("there is only {}", names.path)));
        }
        // A program that is no browser sends no origin, and could send any.
        if let Some(origin) = request.header("Origin")
            && !names.origins.is_empty()
            && !names.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
        {
            return Err(WsRefusal::new(403, format!("a page of {origin}")));
        }
        if let Some(auth) = self.auth.get() {
            contain(|| auth(request)).unwrap_or_else(|words| {
                Err(WsRefusal::new(500, format!("what judges requests panicked: {words}")))
            })?;
        }
        let asked: Vec<&str> = request.protocols().collect();
        Ok(names.protocols.iter().find(|ours| asked.contains(&ours.as_str())).cloned())
    }
}

/// The request by which a peer asks for WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct WsRequest<'a> {
    request: &'a Request,
    peer: SocketAddr,
}

impl<'a> WsRequest<'a> {
    pub(super) const fn new(request: &'a Request, peer: SocketAddr) -> Self {
        Self { request, peer }
    }

    /// The method, which is always `GET`: others are refused before.
    pub fn method(&self) -> &'a str {
        self.request.method().as_str()
    }

    /// The path, without the query; as it was sent, so perhaps with `%20` in it.
    pub fn path(&self) -> &'a str {
        self.request.uri().path()
    }

    /// What stands behind the question mark, if there is one; as it was sent.
    pub fn query(&self) -> Option<&'a str> {
        self.request.uri().query()
    }

    /// A header, by its name in any case; the first if there are several. `None` if it is not there, or is no text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// All headers that are text, by their names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let headers = self.request.headers().iter();
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// The address of the peer. If that is a proxy of `TrustedProxies`, the address of the client for which it says that it asks; if
    /// it does not say a port, the port is 0.
    pub const fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The protocols that the peer speaks, best first.
    pub fn protocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let named = self.request.headers().get_all("Sec-WebSocket-Protocol").into_iter();
        named.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim)
    }
}

/// Why a peer may not come in: an HTTP status that it is told, and a reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsRefusal {
    status: u16,
    reason: String,
}

impl WsRefusal {
    /// A refusal by this status, from 400 to 599; another becomes 403.
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        let status = if (400..600).contains(&status) { status } else { 403 };
        Self { status, reason: reason.into() }
    }

    /// The status that the peer is told.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason, for the log: the peer is not told.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// 401, as in Go Zinx.
impl From<&str> for WsRefusal {
    fn from(reason: &str) -> Self {
        Self::new(401, reason)
    }
}

/// 401, as in Go Zinx.
impl From<String> for WsRefusal {
    fn from(reason: String) -> Self {
        Self::new(401, reason)
    }
}

impl fmt::Display for WsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.status, self.reason)
    }
}

impl std::error::Error for WsRefusal {}

/// An address, perhaps with a port.
fn address_of(word: &str) -> Option<SocketAddr> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    word.parse().ok().or_else(|| bare.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0)))
}

fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_string).collect()
}
