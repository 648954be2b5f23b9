//! What a server listens on: the transports of the configuration, if they are built in, and the certificates for them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::core::Core;
use super::life::ServerLife;
#[cfg(any(feature = "tls", feature = "websocket"))]
use super::server::Server;
#[cfg(feature = "websocket")]
use crate::error::Error;
use crate::error::Result;
use crate::error::config::{ConfigErrors, ConfigProblem};
use crate::zconf::{Config, Mode, without_password};
use crate::ziface::TransportKind;
use crate::znet::enter::acceptor;
use crate::znet::enter::entrance::Entrance;
#[cfg(feature = "kcp")]
use crate::znet::enter::kcp_door::KcpDoor;
use crate::znet::enter::listener::Listener;
#[cfg(feature = "websocket")]
use crate::znet::transport::bare::Bare;
#[cfg(feature = "tls")]
use crate::znet::transport::certificates::Certificates;
#[cfg(feature = "kcp")]
use crate::znet::transport::kcp::link::Link;
#[cfg(feature = "websocket")]
use crate::znet::transport::ws_rules::{WsRefusal, WsRequest};
#[cfg(feature = "redis")]
use crate::zredis::Address;

/// What a server is to listen on: what is spoken there, and the addresses, of which the first that can be had is taken.
pub(super) type Wanted = Vec<(TransportKind, Vec<SocketAddr>)>;

/// What the configuration asks for. Resolving a name may wait, so the caller holds no lock.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) if a transport is not built in; [`Error::Io`](crate::Error::Io) if `Host` means nothing.
pub(super) fn wanted(config: &Config) -> Result<Wanted> {
    check(config)?;
    #[cfg(feature = "kcp")]
    if config.mode.has(Mode::KCP) {
        check_kcp(config)?;
    }
    let (encrypted, mode) = (!config.cert_file.is_empty(), config.mode);
    let tcp = if encrypted { TransportKind::Tls } else { TransportKind::Tcp };
    let websocket = if encrypted { TransportKind::SecureWebSocket } else { TransportKind::WebSocket };
    let all = [
        (Mode::TCP, tcp, config.tcp_port),
        (Mode::WEBSOCKET, websocket, config.ws_port),
        (Mode::KCP, TransportKind::Kcp, config.kcp_port),
    ];
    let asked = all.into_iter().filter(|(one, ..)| mode.has(*one));
    asked.map(|(_, kind, port)| Ok((kind, Listener::addresses(config, port)?))).collect()
}

/// Whether all that the configuration asks for is built in, and goes together.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) with every problem.
pub(super) fn check(config: &Config) -> Result<()> {
    let (cert, key, mode) = (&config.cert_file, &config.private_key_file, config.mode);
    let mut problems = Vec::new();
    let mut problem = |key: &str, found: &str, expected: &str| {
        let (key, found) = (key.to_string(), format!("{found:?}"));
        problems.push(ConfigProblem {
            key,
            found,
            expected: expected.to_string(),
            ..ConfigProblem::default()
        });
    };
    if let Some(address) = config.admin_address().filter(|_| cfg!(not(feature = "admin"))) {
        problem("Admin", address, "nothing, or zinx built with the cargo feature `admin`");
    }
    if !config.cluster.is_empty() && cfg!(not(feature = "redis")) {
        problem(
            "Cluster",
            &without_password(&config.cluster),
            "nothing, or zinx built with the cargo feature `redis`",
        );
    }
    #[cfg(feature = "redis")]
    if !config.cluster.is_empty()
        && let Err(why) = Address::parse(&config.cluster)
    {
        let expected = format!("a URL such as redis://127.0.0.1:6379 ({why})");
        problem("Cluster", &without_password(&config.cluster), &expected);
    }
    if !config.cluster_ca_file.is_empty() && !config.cluster.starts_with("rediss") {
        problem("ClusterCaFile", &config.cluster_ca_file, "nothing, unless Cluster begins with rediss");
    }
    if !config.cluster.is_empty() && config.node_name.is_empty() {
        problem("NodeName", "", "the name of this server among the nodes, because there is a Cluster");
    }
    if mode.has(Mode::KCP) && cfg!(not(feature = "kcp")) {
        problem("Mode", &mode.to_string(), "no kcp, or zinx built with the cargo feature `kcp`");
    }
    if config.proxy_protocol && config.trusted_proxies.is_empty() {
        problem("TrustedProxies", "", "the networks of the proxies, because ProxyProtocol is true");
    }
    if mode.has(Mode::WEBSOCKET) && cfg!(not(feature = "websocket")) {
        let expected = "no websocket, or zinx built with the cargo feature `websocket`";
        problem("Mode", &mode.to_string(), expected);
    }
    if !cert.is_empty() && cfg!(not(feature = "tls")) {
        problem("CertFile", cert, "nothing, or zinx built with the cargo feature `tls`");
    } else if !cert.is_empty() && key.is_empty() {
        problem("PrivateKeyFile", key, "the file with the key of CertFile");
    } else if cert.is_empty() && !key.is_empty() {
        problem("CertFile", cert, "the file with the certificate of PrivateKeyFile");
    } else if cert.is_empty() && !config.client_ca_file.is_empty() {
        problem("CertFile", cert, "a certificate, because ClientCaFile asks clients for one");
    }
    ConfigErrors::none_of(problems)
}

/// Whether there can be such an error correction.
#[cfg(feature = "kcp")]
pub(super) fn check_kcp(config: &Config) -> Result<()> {
    let (data, parity) = (config.kcp_fec_data_shards, config.kcp_fec_parity_shards);
    let is_possible = (data == 0) == (parity == 0) && data + parity <= MOST_SHARDS;
    ConfigErrors::none_of(if is_possible {
        Vec::new()
    } else {
        vec![ConfigProblem {
            key: "KcpFecDataShards".to_string(),
            found: format!("{data} beside {parity} parity shards"),
            expected: "0 for both, or at least 1 of each and at most 256 in all".to_string(),
            ..ConfigProblem::default()
        }]
    })
}

/// Listens on all that is wanted, and begins to accept. Reads the certificates.
///
/// # Errors
///
/// The file's if a certificate cannot be used, the system's if a port cannot be had. Nothing is left behind then.
pub(super) fn listen(core: &Arc<Core>, life: &mut ServerLife, wanted: Wanted) -> Result<()> {
    load_certificates(core)?;
    #[cfg(feature = "kcp")]
    let (udp, wanted): (Wanted, Wanted) =
        wanted.into_iter().partition(|(kind, _)| *kind == TransportKind::Kcp);
    let bind = |(kind, addresses)| Listener::bind(&core.config(), kind, addresses).map(Arc::new);
    let listeners = wanted.into_iter().map(bind).collect::<Result<Vec<_>>>()?;
    #[cfg(feature = "kcp")]
    let links = udp.into_iter().map(|(_, addresses)| KcpDoor::bind(&core.config(), addresses));
    #[cfg(feature = "kcp")]
    let links = links.collect::<Result<Vec<_>>>()?;
    let entrance = Entrance::new(Arc::clone(core));
    let close = {
        let (listeners, entrance) = (listeners.clone(), Arc::clone(&entrance));
        move || {
            listeners.iter().for_each(|listener| listener.close());
            entrance.close();
        }
    };
    let begun = listeners.iter().map(|listener| acceptor::begin(&entrance, listener));
    life.acceptors = begun.collect::<Result<_>>().inspect_err(|_| close())?;
    life.locals = listeners.iter().map(|listener| (listener.kind(), listener.local_addr())).collect();
    #[cfg(feature = "kcp")]
    let close = open_doors(life, &entrance, links, close)?;
    for (kind, local) in &life.locals {
        match kind {
            TransportKind::Tcp => log::info!("listening on {local}"),
            kind => log::info!("listening on {local}, {kind}"),
        }
    }
    // Ends the acceptors' waits, and clients are refused at once.
    life.interrupt = Some(Box::new(close));
    Ok(())
}

#[cfg(feature = "websocket")]
impl Core {
    /// Has messages of WebSocket be bare, as the configuration says.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the wire format does not allow it.
    pub(super) fn set_bare(&self) -> Result<()> {
        if let Some(bare) = Bare::new(&self.config(), self.shared_pack(), self.decoder().is_some())? {
            self.ws_rules.bare.get_or_init(|| Arc::new(bare));
        }
        Ok(())
    }
}

/// Lets peers in over KCP. Returns what lets nobody in any more, there and elsewhere.
#[cfg(feature = "kcp")]
fn open_doors(
    life: &mut ServerLife,
    entrance: &Arc<Entrance>,
    links: Vec<Arc<Link>>,
    close_others: impl FnOnce() + Send + 'static,
) -> Result<impl FnOnce() + Send + 'static> {
    life.locals.extend(links.iter().map(|link| (TransportKind::Kcp, link.local_addr())));
    let mut doors = Vec::new();
    for link in links {
        match KcpDoor::open(entrance, link) {
            Ok(door) => doors.push(Arc::new(door)),
            Err(error) => {
                close_others();
                return Err(error);
            }
        }
    }
    let to_close = doors.clone();
    if !doors.is_empty() {
        life.settle = Some(Box::new(move |deadline, hurried| {
            doors.iter().for_each(|door| door.finish(deadline, hurried))
        }));
    }
    Ok(move || {
        close_others();
        to_close.iter().for_each(|door| door.close());
    })
}

#[cfg(feature = "tls")]
fn load_certificates(core: &Core) -> Result<()> {
    match core.certificates.get() {
        // A start that failed before.
        Some(certificates) => certificates.reload(),
        None => {
            if let Some(certificates) = Certificates::load(&core.config())? {
                core.certificates.get_or_init(|| certificates);
            }
            Ok(())
        }
    }
}

#[cfg(not(feature = "tls"))]
const fn load_certificates(_: &Core) -> Result<()> {
    Ok(())
}

#[cfg(feature = "tls")]
impl Server {
    /// Reads the files of the certificates again. Without it, the server looks at most once a second, when a peer connects, whether
    /// they have been replaced. Connections that are open keep what they have. Before the start, which reads them, and without
    /// `CertFile` it does nothing.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the key is not that of the certificate. The old certificates stay then.
    pub fn reload_certificates(&self) -> Result<()> {
        self.core().certificates.get().map_or(Ok(()), Certificates::reload)
    }
}

#[cfg(feature = "websocket")]
impl Server {
    /// Sets what judges the request of each peer that comes over WebSocket, before it is a connection: it sees path, query, headers
    /// and address, and may refuse by an HTTP status. A text as the error means 401. It may wait, but no longer than
    /// `HandshakeTimeoutMs` in all: then its wait ends as under [`with_timeout`](crate::green::with_timeout), and the connection closes.
    /// If it panics, the peer gets 500. Path and origin have been judged by then (`WsPath`,
    /// `WsOrigins`).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::Server;
    /// use zinx::znet::{WsRefusal, WsRequest};
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// server.set_websocket_auth(|request: &WsRequest<'_>| match request.header("Authorization") {
    ///     Some("Bearer secret") => Ok(()),
    ///     Some(_) => Err(WsRefusal::new(403, "a wrong token")),
    ///     None => Err("no token".into()),
    /// })
    /// # }
    /// ```
    #[doc(alias = "SetWebsocketAuth")]
    pub fn set_websocket_auth(
        &self,
        auth: impl Fn(&WsRequest<'_>) -> std::result::Result<(), WsRefusal> + Send + Sync + 'static,
    ) -> Result<()> {
        let set = self.core().ws_rules.auth.set(Box::new(auth));
        set.map_err(|_| Error::AlreadyStarted { what: "set the judge of WebSocket requests" })
    }
}

/// More shards than this cannot be told apart.
#[cfg(feature = "kcp")]
const MOST_SHARDS: u32 = 256;
