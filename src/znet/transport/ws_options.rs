//! What a client of WebSocket asks its server for.

use std::sync::{Arc, OnceLock};

use super::bare::Bare;
use crate::error::{Error, Result};

/// What a client of WebSocket asks its server for, beside the address.
#[derive(Clone, Debug, Default)]
pub struct WsOptions {
    headers: String,
    bad_header: Option<String>,
    /// Whom it trusts, and how it shows itself, under `wss://`.
    #[cfg(feature = "tls")]
    pub(crate) tls: super::tls_options::TlsOptions,
}

impl WsOptions {
    /// The default: nothing more.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a header with the request, such as `Authorization`. What has a line break in it is an error when the client is made.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if is_name && !value.contains(['\r', '\n', '\0']) {
            self.headers.push_str(&format!("{name}: {value}\r\n"));
        } else {
            self.bad_header = Some(name.to_string());
        }
        self
    }

    /// Names the protocols that the client speaks, best first, with commas between them.
    #[must_use]
    pub fn protocols(self, names: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", names)
    }

    /// Whom it trusts, and how it shows itself, under `wss://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, options: super::tls_options::TlsOptions) -> Self {
        self.tls = options;
        self
    }

    /// What connections to `host`, as it stands in the address, begin with.
    pub(crate) fn target(&self, host: &str, path: &str) -> Result<WsTarget> {
        if let Some(name) = &self.bad_header {
            return Err(Error::other(format!("the header {name:?} has a line break or is no name")));
        }
        if path.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(Error::other(format!("the path {path:?} has a space or a line break")));
        }
        let (host, path, headers) = (host.to_string(), path.to_string(), self.headers.clone());
        Ok(WsTarget { host, path, headers, bare: OnceLock::new() })
    }
}

/// What a connection of a client begins with.
pub(crate) struct WsTarget {
    pub(super) host: String,
    pub(super) path: String,
    pub(super) headers: String,
    /// Which messages are bare, if any; set at the start.
    pub(crate) bare: OnceLock<Arc<Bare>>,
}

impl WsTarget {
    /// The protocols that it asks for.
    pub(super) fn protocols(&self) -> Vec<String> {
        let named = self.headers.lines().filter_map(|line| line.split_once(':'));
        let lists = named.filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Protocol"));
        lists.flat_map(|(_, list)| list.split(',')).map(|name| name.trim().to_string()).collect()
    }
}
