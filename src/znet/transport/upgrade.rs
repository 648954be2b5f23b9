//! The handshake of WebSocket (RFC 6455, section 4): a request of HTTP, and the answer to it.

use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::{HeaderValue, StatusCode};

use super::bare::Bare;
use super::surplus::Surplus;
use super::ws::Ws;
use super::ws_checks::Side;
use super::ws_options::WsTarget;
use super::ws_rules::{WsRefusal, WsRequest, WsRules};
use super::{Left, Transport};
use crate::green::{ReadBuffer, Readiness};

/// A handshake in progress.
pub(crate) struct Upgrade {
    /// TCP or TLS.
    below: Transport,
    role: Role,
    /// What has come of the peer's head, and what came behind it.
    came: Vec<u8>,
    unsent: Surplus,
    outcome: Option<Outcome>,
    bare: Option<Arc<Bare>>,
    /// The request of a proxy, which is judged once somebody knows for which client it asks.
    asked: Option<(SocketAddr, Request)>,
}

/// Why a handshake does not go on.
pub(super) enum Pause {
    /// It waits for this.
    Waits(Readiness),
    /// The peer is a proxy, and says for which client it asks. It is to be called again, if that one may come in.
    SpeaksFor(SocketAddr),
}

enum Role {
    Server { rules: Arc<WsRules>, peer: SocketAddr },
    Client { key: String },
}

enum Outcome {
    Agreed,
    Refused(String),
}

/// Which side of a handshake is to begin.
#[derive(Clone)]
pub(crate) enum Ask {
    /// The server's: for this peer.
    Server(Arc<WsRules>, SocketAddr),
    /// The client's.
    Client(Arc<WsTarget>),
}

impl Ask {
    pub(crate) fn begin(self, below: Transport) -> Upgrade {
        match self {
            Self::Server(rules, peer) => {
                let bare = rules.bare.get().cloned();
                Upgrade::new(below, Role::Server { rules, peer }, bare)
            }
            Self::Client(target) => Upgrade::connect(below, &target),
        }
    }
}

impl Upgrade {
    fn connect(below: Transport, target: &WsTarget) -> Self {
        let key = generate_key();
        let (path, host, more) = (&target.path, &target.host, &target.headers);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
        );
        let mut this = Self::new(below, Role::Client { key }, target.bare.get().cloned());
        this.unsent.push(request.as_bytes());
        this
    }

    const fn new(below: Transport, role: Role, bare: Option<Arc<Bare>>) -> Self {
        Self { below, role, came: Vec::new(), unsent: Surplus::new(), outcome: None, bare, asked: None }
    }

    pub(super) const fn below(&self) -> &Transport {
        &self.below
    }

    /// Goes on, without waiting. Returns the transport, or why there is none yet.
    ///
    /// # Errors
    ///
    /// If one side refuses. The peer has been told, if it took that.
    pub(super) fn go_on(&mut self) -> io::Result<Result<Transport, Pause>> {
        if let Some((client, request)) = self.asked.take() {
            self.judge(&request, client);
        }
        loop {
            if !self.send()? {
                return Ok(Err(Pause::Waits(Readiness::WRITE)));
            }
            match self.outcome.take() {
                Some(Outcome::Agreed) => {
                    let side = match self.role {
                        Role::Server { .. } => Side::Server,
                        Role::Client { .. } => Side::Client,
                    };
                    let early = std::mem::take(&mut self.came);
                    let ws = Ws::new(self.below.clone(), side, self.bare.take(), early);
                    return Ok(Ok(Transport::Ws(ws)));
                }
                Some(Outcome::Refused(why)) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
                None => {}
            }
            let mut scratch = ReadBuffer::take(0);
            let room = READ_BYTES.min(scratch.len());
            let received = self.below.recv(&mut scratch[..room])?;
            match received.left {
                Left::Nothing => return Ok(Err(Pause::Waits(Readiness::READ))),
                Left::End => {
                    let why =
                        "the peer ended the stream in the WebSocket handshake: it may not speak WebSocket";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Left::More | Left::Begun | Left::Drained => self.take(&scratch[..received.n]),
            }
            if let Some((client, _)) = &self.asked {
                return Ok(Err(Pause::SpeaksFor(*client)));
            }
        }
    }

    /// Sends what is unsent. Whether all has left.
    fn send(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.below.send(&[IoSlice::new(self.unsent.rest())], std::iter::empty) {
                Ok(sent) => self.unsent.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match self.below.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            flushed => flushed.map(|()| true),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        // The empty line that ends a head may have begun before.
        let looked_at = self.came.len().saturating_sub(3);
        self.came.extend_from_slice(bytes);
        let Some(end) = self.came[looked_at..].windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.came.len() > MAX_HEAD_BYTES {
                self.refuse(&WsRefusal::new(431, "the head of the request is too large"));
            }
            return;
        };
        let end = looked_at + end + 4;
        let head: Vec<u8> = self.came.drain(..end).collect();
        if head.len() > MAX_HEAD_BYTES {
            return self.refuse(&WsRefusal::new(431, "the head of the request is too large"));
        }
        match &self.role {
            Role::Server { .. } => self.answer(&head),
            Role::Client { .. } => self.check(&head),
        }
    }

    /// As a server: reads the request, and says whether the peer may come in.
    fn answer(&mut self, head: &[u8]) {
        let Role::Server { rules, peer } = &self.role else { return };
        let (request, peer) = match Request::try_parse(head) {
            Ok(Some((_, request))) => (request, *peer),
            Ok(None) => return self.refuse(&WsRefusal::new(400, "the request is cut short")),
            Err(error) => return self.refuse(&WsRefusal::new(400, error.to_string())),
        };
        match rules.client(&request, peer) {
            Ok(None) => self.judge(&request, peer),
            Ok(Some(client)) => self.asked = Some((client, request)),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Says whether the client that asks may come in.
    fn judge(&mut self, request: &Request, client: SocketAddr) {
        let Role::Server { rules, .. } = &self.role else { return };
        let asked = WsRequest::new(request, client);
        let mut response = match create_response(request) {
            Ok(response) => response,
            Err(error) => {
                let outdated = asked.header("Sec-WebSocket-Version").is_some_and(|version| version != "13");
                return self.refuse(&WsRefusal::new(if outdated { 426 } else { 400 }, error.to_string()));
            }
        };
        let protocol = match rules.judge(&asked) {
            Ok(protocol) => protocol,
            Err(refusal) => return self.refuse(&refusal),
        };
        if let Some(Ok(protocol)) = protocol.map(|name| HeaderValue::from_str(&name)) {
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        }
        let mut answer = Vec::new();
        // Writing into memory does not fail, and each header is a text.
        let _ = write_response(&mut answer, &response);
        self.unsent.push(&answer);
        self.outcome = Some(Outcome::Agreed);
    }

    fn refuse(&mut self, refusal: &WsRefusal) {
        let (status, reason) = (refusal.status(), refusal.reason());
        if matches!(self.role, Role::Server { .. }) {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            let phrase = status.canonical_reason().unwrap_or("Refused");
            let mut answer = Vec::new();
            let _ = write!(
                answer,
                "HTTP/1.1 {} {phrase}\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n{phrase}\n",
                status.as_u16(),
                phrase.len() + 1
            );
            self.unsent.push(&answer);
        }
        self.outcome = Some(Outcome::Refused(format!("{status}, {reason}")));
    }

    /// As a client: whether the server has agreed.
    fn check(&mut self, head: &[u8]) {
        let Role::Client { key } = &self.role else { return };
        let refused = match Response::try_parse(head) {
            Ok(Some((_, response))) => disagreement(&response, key),
            Ok(None) => Some("the answer is cut short".to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.outcome = Some(refused.map_or(Outcome::Agreed, Outcome::Refused));
    }
}

/// What is wrong with the answer of a server, if anything is.
fn disagreement(response: &Response, key: &str) -> Option<String> {
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Some(format!("the server answers {}", response.status()));
    }
    let upgrades = header("Upgrade").eq_ignore_ascii_case("websocket");
    let agrees = header("Connection").split([' ', ',']).any(|word| word.eq_ignore_ascii_case("upgrade"));
    if !upgrades || !agrees {
        return Some("the server does not speak WebSocket".to_string());
    }
    if header("Sec-WebSocket-Accept") != derive_accept_key(key.as_bytes()) {
        return Some("the server answers another request".to_string());
    }
    let extensions = !header("Sec-WebSocket-Extensions").is_empty();
    extensions.then(|| "the server wants an extension that was not asked for".to_string())
}

/// The longest head, of a request or an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const READ_BYTES: usize = 4096;
