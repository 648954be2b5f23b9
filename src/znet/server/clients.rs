//! Clients on other transports than TCP, and by an address of the form `wss://host:port/path`.

#[cfg(feature = "kcp")]
use std::sync::Arc;

#[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
use super::client::client_of;
use super::client::{Client, new_client};
#[cfg(feature = "kcp")]
use super::transports::check_kcp;
use crate::error::{Error, Result};
#[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
use crate::zconf::Config;
#[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
use crate::znet::enter::dialer::Dialer;
#[cfg(feature = "kcp")]
use crate::znet::enter::kcp_dial::KcpDial;
#[cfg(any(feature = "tls", feature = "websocket", feature = "kcp"))]
use crate::znet::enter::target::Target;
#[cfg(feature = "kcp")]
use crate::znet::transport::kcp::options::KcpOptions;
#[cfg(feature = "tls")]
use crate::znet::transport::tls_options::TlsOptions;
#[cfg(feature = "websocket")]
use crate::znet::transport::ws_options::WsOptions;

/// A client that speaks TLS, configured by `zinx.yaml` and the environment. Unlike Go's it verifies the server: by the authorities
/// that this machine trusts, for the name `host`. With the cargo feature `tls`.
///
/// # Errors
///
/// As [`new_tls_client_with_options`].
#[cfg(feature = "tls")]
#[doc(alias = "NewTLSClient")]
pub fn new_tls_client(host: impl Into<String>, port: u16) -> Result<Client> {
    new_tls_client_with_options(host, port, &TlsOptions::new(), Config::load()?)
}

/// A client that speaks TLS, with options and a configuration of its own. The time limit of an attempt to connect covers the
/// handshake too. With the cargo feature `tls`.
///
/// # Errors
///
/// [`Error::Config`] if a value is out of range; [`Error::Io`] if a file of the options cannot be used.
///
/// # Examples
///
/// ```no_run
/// use zinx::prelude::*;
/// use zinx::znet::{TlsOptions, new_tls_client_with_options};
///
/// # fn main() -> zinx::Result<()> {
/// let options = TlsOptions::new().ca_file("ca.pem");
/// let client = new_tls_client_with_options("game.example", 7777, &options, Config::default())?;
/// client.start()?; // an error if the server is not the one it says
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "tls")]
pub fn new_tls_client_with_options(
    host: impl Into<String>,
    port: u16,
    options: &TlsOptions,
    config: Config,
) -> Result<Client> {
    config.validate()?;
    let host = host.into();
    let target = Target::default().with_tls(options.target(&host)?);
    Ok(client_of(Dialer::new(host, port, target), config))
}

/// A client that speaks WebSocket, for the path `/`, configured by `zinx.yaml` and the environment. With the cargo feature
/// `websocket`.
///
/// # Errors
///
/// As [`new_ws_client_with_options`].
#[cfg(feature = "websocket")]
#[doc(alias = "NewWsClient")]
pub fn new_ws_client(host: impl Into<String>, port: u16) -> Result<Client> {
    let host = host.into();
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    new_ws_client_with_options(&format!("ws://{host}:{port}/"), &WsOptions::new(), Config::load()?)
}

/// A client that speaks WebSocket to `ws://host:port/path?query`, or to `wss://` with the cargo feature `tls` too, with options and a
/// configuration of its own. The time limit of an attempt to connect covers the handshakes too. With the cargo feature `websocket`.
///
/// # Errors
///
/// [`Error::Config`] if a value is out of range; [`Error::Other`] if the address or a header is none; [`Error::Io`] if a file of the
/// options cannot be used.
#[cfg(feature = "websocket")]
pub fn new_ws_client_with_options(url: &str, options: &WsOptions, config: Config) -> Result<Client> {
    config.validate()?;
    let address = Url::parse(url)?;
    let ws = options.target(&address.host_as_written, &address.path)?;
    let target = Target::default().with_ws(ws);
    let target = match address.scheme.as_str() {
        "ws" => target,
        "wss" => address.secure(target, options)?,
        _ => return Err(Error::other(format!("{url:?} begins with neither ws:// nor wss://"))),
    };
    let port = address.port.unwrap_or(if address.scheme == "wss" { 443 } else { 80 });
    Ok(client_of(Dialer::new(address.host, port, target), config))
}

/// A client that speaks KCP over UDP, configured by `zinx.yaml` and the environment: the Kcp keys hold for it too, and those of the
/// error correction have to be the server's. It has connected once the server answers. With the cargo feature `kcp`.
///
/// # Errors
///
/// As [`new_kcp_client_with_config`].
#[cfg(feature = "kcp")]
pub fn new_kcp_client(host: impl Into<String>, port: u16) -> Result<Client> {
    new_kcp_client_with_config(host, port, Config::load()?)
}

/// A client that speaks KCP over UDP, with a configuration of its own. With the cargo feature `kcp`.
///
/// # Errors
///
/// [`Error::Config`] if a value is out of range.
#[cfg(feature = "kcp")]
pub fn new_kcp_client_with_config(host: impl Into<String>, port: u16, config: Config) -> Result<Client> {
    config.validate()?;
    check_kcp(&config)?;
    let dial = Arc::new(KcpDial::new(KcpOptions::of(&config)));
    Ok(client_of(Dialer::new(host.into(), port, Target::default().with_kcp(dial)), config))
}

/// A client of the server at an address: `tcp://host:port`, `tls://host:port`, `ws://host:port/path`, `wss://host:port/path`
/// or `kcp://host:port`, with the default options of the transport, configured by `zinx.yaml` and the environment. All but the first
/// need the cargo features `tls`, `websocket` and `kcp`. Without a port, WebSocket has its usual ones, 80 and 443.
///
/// # Errors
///
/// [`Error::Config`] with every problem of the configuration; [`Error::Other`] if the address is none, or its transport not built in.
///
/// # Examples
///
/// ```
/// use zinx::znet::new_client_with_url;
///
/// # fn main() -> zinx::Result<()> {
/// let client = new_client_with_url("tcp://localhost:7777")?;
/// assert!(new_client_with_url("http://localhost").is_err());
/// # Ok(())
/// # }
/// ```
pub fn new_client_with_url(url: &str) -> Result<Client> {
    let address = Url::parse(url)?;
    let port = || address.port.ok_or_else(|| Error::other(format!("{url:?} has no port")));
    match address.scheme.as_str() {
        "tcp" => new_client(address.host.clone(), port()?),
        #[cfg(feature = "tls")]
        "tls" => new_tls_client(address.host.clone(), port()?),
        #[cfg(feature = "websocket")]
        "ws" | "wss" => new_ws_client_with_options(url, &WsOptions::new(), Config::load()?),
        #[cfg(feature = "kcp")]
        "kcp" => new_kcp_client(address.host.clone(), port()?),
        _ => Err(Error::other(format!("no transport of this name is built in: {url:?}"))),
    }
}

/// An address, taken apart.
#[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "WebSocket has paths"))]
struct Url {
    scheme: String,
    /// Without the brackets of IPv6.
    host: String,
    /// With them, and with the port.
    host_as_written: String,
    port: Option<u16>,
    /// With the query.
    path: String,
}

impl Url {
    fn parse(url: &str) -> Result<Self> {
        Self::take_apart(url).ok_or_else(|| Error::other(format!("{url:?} is no scheme://host:port/path")))
    }

    fn take_apart(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let begins = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(begins);
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if port.is_empty() => None,
            None => return None,
        };
        let is_host =
            !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
        let path = path.split('#').next()?.to_string();
        let (scheme, host, host_as_written) =
            (scheme.to_ascii_lowercase(), host.to_string(), authority.to_string());
        is_host.then_some(Self { scheme, host, host_as_written, port, path })
    }

    #[cfg(all(feature = "tls", feature = "websocket"))]
    fn secure(&self, target: Target, options: &WsOptions) -> Result<Target> {
        Ok(target.with_tls(options.tls.target(&self.host)?))
    }

    #[cfg(all(not(feature = "tls"), feature = "websocket"))]
    fn secure(&self, _: Target, _: &WsOptions) -> Result<Target> {
        Err(Error::other(format!("wss://{} needs the cargo feature `tls`", self.host_as_written)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(String, String, Option<u16>, String)> {
        Url::take_apart(url).map(|url| (url.scheme, url.host, url.port, url.path))
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (url, scheme, host, port, path) in [
            ("ws://a", "ws", "a", None, "/"),
            ("WSS://a.example:1/b/c?d=e#f", "wss", "a.example", Some(1), "/b/c?d=e"),
            ("ws://a?b", "ws", "a", None, "/?b"),
            ("tcp://[::1]:7777", "tcp", "::1", Some(7777), "/"),
            ("tls://127.0.0.1:7777/", "tls", "127.0.0.1", Some(7777), "/"),
        ] {
            let expected = (scheme.to_string(), host.to_string(), port, path.to_string());
            assert_eq!(parts(url), Some(expected), "{url}");
        }
        for bad in
            ["", "a", "ws://", "ws://:1", "ws://a:b", "ws://a:70000", "ws://[::1", "ws://[::1]x", "ws://u@a"]
        {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
