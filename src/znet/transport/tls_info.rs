//! What both sides of a TLS connection have agreed on.

use rustls::{CommonState, ProtocolVersion};

/// What both sides of a TLS connection have agreed on, and how the peer has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol that both speak (`Alpn`), if they have named one.
    pub protocol: Option<String>,
    /// The certificates of the peer, its own first, in DER; they have been verified. A server has them if it asks for some
    /// (`ClientCaFile`), a client always.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The version of TLS: `1.2` or `1.3`.
    pub version: &'static str,
}

impl TlsInfo {
    pub(super) fn new(state: &CommonState) -> Self {
        let certificates = state.peer_certificates().unwrap_or_default();
        Self {
            protocol: state.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            peer_certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
        }
    }
}
