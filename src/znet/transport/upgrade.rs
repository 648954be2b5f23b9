//! The handshake of WebSocket (RFC 6455, section 4): a request of HTTP, and the answer to it.

use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::{HeaderMap, HeaderValue, StatusCode};

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
    Server {
        rules: Arc<WsRules>,
        peer: SocketAddr,
    },
    /// `protocols`: those that were asked for.
    Client {
        key: String,
        protocols: Vec<String>,
    },
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
    pub(crate) fn begin(self, below: Transport) -> Box<Upgrade> {
        Box::new(match self {
            Self::Server(rules, peer) => {
                let bare = rules.bare.get().cloned();
                Upgrade::new(below, Role::Server { rules, peer }, bare)
            }
            Self::Client(target) => Upgrade::connect(below, &target),
        })
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
        let role = Role::Client { key, protocols: target.protocols() };
        let mut this = Self::new(below, role, target.bare.get().cloned());
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
                self.refuse_head();
            }
            return;
        };
        let end = looked_at + end + 4;
        let head: Vec<u8> = self.came.drain(..end).collect();
        if head.len() > MAX_HEAD_BYTES {
            return self.refuse_head();
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
        let mut response = match create_response(&with_plain_lists(request)) {
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

    /// As a server: the peer is told the status.
    fn refuse(&mut self, refusal: &WsRefusal) {
        let (status, reason) = (refusal.status(), refusal.reason());
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        let phrase = code.canonical_reason().unwrap_or("Refused");
        let mut answer = Vec::new();
        let _ = write!(
            answer,
            "HTTP/1.1 {} {phrase}\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{phrase}\n",
            code.as_u16(),
            phrase.len() + 1
        );
        self.unsent.push(&answer);
        self.outcome = Some(Outcome::Refused(format!("{status}, {reason}")));
    }

    fn refuse_head(&mut self) {
        let why = format!("a head of more than {MAX_HEAD_BYTES} bytes");
        match &self.role {
            Role::Server { .. } => self.refuse(&WsRefusal::new(431, why)),
            Role::Client { .. } => {
                self.outcome = Some(Outcome::Refused(format!("the server answers with {why}")));
            }
        }
    }

    /// As a client: whether the server has agreed.
    fn check(&mut self, head: &[u8]) {
        let Role::Client { key, protocols } = &self.role else { return };
        let refused = match Response::try_parse(head) {
            Ok(Some((_, response))) => disagreement(&response, key, protocols),
            Ok(None) => Some("the answer is cut short".to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.outcome = Some(refused.map_or(Outcome::Agreed, Outcome::Refused));
    }
}

/// What is wrong with the answer of a server, if anything is.
fn disagreement(response: &Response, key: &str, protocols: &[String]) -> Option<String> {
    let headers = response.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Some(format!("the server answers {}", response.status()));
    }
    if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
        return Some("the server does not speak WebSocket".to_string());
    }
    if header("Sec-WebSocket-Accept") != derive_accept_key(key.as_bytes()) {
        return Some("the server answers another request".to_string());
    }
    if !header("Sec-WebSocket-Extensions").is_empty() {
        return Some("the server wants an extension that was not asked for".to_string());
    }
    let mut spoken = headers.get_all("Sec-WebSocket-Protocol").into_iter();
    let other = spoken.find(|name| !protocols.iter().any(|asked| *name == asked))?;
    Some(format!("the server speaks the protocol {other:?}, which was not asked for"))
}

/// Whether a header that is a list has this word, however it is written: in one line or in several.
fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split([' ', '\t', ','])).any(|word| word.eq_ignore_ascii_case(token))
}

/// The same request, with the words that `tungstenite` looks for where it does.
fn with_plain_lists(request: &Request) -> Request {
    let mut plain = request.clone();
    for (name, token) in [("Connection", "upgrade"), ("Upgrade", "websocket")] {
        if has_token(request.headers(), name, token) {
            plain.headers_mut().insert(name, HeaderValue::from_static(token));
        }
    }
    plain
}

/// The longest head, of a request or an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const READ_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::znet::transport::ws_options::WsOptions;

    #[test]
    fn a_server_speaks_a_protocol_that_was_asked_for_or_none() {
        let target = WsOptions::new().protocols("zinx.1, zinx.2").target("localhost", "/").unwrap();
        let answer = |more: &str| {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{more}\r\n",
                derive_accept_key(b"key")
            );
            let (_, response) = Response::try_parse(head.as_bytes()).unwrap().unwrap();
            disagreement(&response, "key", &target.protocols())
        };
        assert_eq!(answer(""), None);
        assert_eq!(answer("Sec-WebSocket-Protocol: zinx.2\r\n"), None);
        for other in ["zinx.3", "ZINX.1", "zinx.1, zinx.2"] {
            let why = answer(&format!("Sec-WebSocket-Protocol: {other}\r\n")).unwrap();
            assert_eq!(why, format!("the server speaks the protocol {other:?}, which was not asked for"));
        }
    }
}
