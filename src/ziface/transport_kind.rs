//! What carries the bytes of a connection.

use std::fmt;

/// What carries the bytes of a connection: `get_transport` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// TCP: the bytes as they are.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
    /// KCP over UDP.
    Kcp,
}

/// As the scheme of an address: `tcp`, `tls`, `ws`, `wss`, `kcp`.
impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Kcp => "kcp",
        })
    }
}
