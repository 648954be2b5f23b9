//! The admin plane: an HTTP server for one person or program, and what each path leads to.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use super::guard::Guard;
use super::{acts, bans, cluster, conns, coroutines, live, metrics, people, routes, trace, vars};
use crate::error::{Error, Result};
use crate::green::time_waits;
use crate::http::{HttpServer, Request, Response};
use crate::zconf::Config;
use crate::znet::server::core::Core;

/// Where the admin plane is to listen; empty if there is to be none. Resolving a name may wait.
///
/// # Errors
///
/// [`Error::Io`] if the name means nothing, or means other machines although no token is set.
pub(crate) fn addresses(config: &Config) -> Result<Vec<SocketAddr>> {
    let Some(text) = config.admin_address() else { return Ok(Vec::new()) };
    let failed = |source| Error::io(format!("listen on {text} (Admin)"), source);
    let addresses: Vec<_> = text.to_socket_addrs().map_err(failed)?.collect();
    let is_open = |address: &&SocketAddr| config.admin_token.is_empty() && !address.ip().is_loopback();
    match addresses.iter().find(is_open) {
        Some(open) => Err(failed(std::io::Error::other(format!(
            "it is {open}, which other machines may reach: that needs an AdminToken"
        )))),
        None => Ok(addresses),
    }
}

/// Answers from now on, until what is returned is dropped.
///
/// # Errors
///
/// [`Error::Io`] if the port cannot be had.
pub(crate) fn open(core: &Arc<Core>, addresses: &[SocketAddr]) -> Result<HttpServer> {
    let plane = Plane { core: Arc::clone(core) };
    time_waits();
    let config = core.config();
    let address = config.admin_address().unwrap_or_default();
    let server = HttpServer::start(addresses, move |request| plane.answer(request))
        .map_err(|source| Error::io(format!("listen on {address} (Admin)"), source))?;
    log::info!("admin plane on http://{}", server.local_addr());
    Ok(server)
}

struct Plane {
    core: Arc<Core>,
}

impl Plane {
    fn answer(&self, request: &Request) -> Response {
        let segments = request.segments();
        let path: Vec<_> = segments.iter().map(String::as_str).collect();
        if let ("GET" | "HEAD", [probe @ ("healthz" | "readyz")]) = (request.method(), &path[..]) {
            return if *probe == "healthz" { vars::health() } else { vars::readiness(&self.core) };
        }
        let config = self.core.config();
        let guard = Guard::new(&config.admin_token);
        if live::is_asked_for(request) {
            return guard.check_page(request).map_or_else(|refused| refused, |()| live::page());
        }
        if let Err(refused) = guard.check(request) {
            return refused;
        }
        match request.method() {
            "GET" | "HEAD" => self.look(request, &path),
            "POST" => self.act(request, &path),
            _ => not_allowed("GET, HEAD, POST"),
        }
    }

    fn look(&self, request: &Request, path: &[&str]) -> Response {
        let core = &self.core;
        match path {
            [] => Response::text(200, PATHS).with_header("Vary", "Accept"),
            ["varz"] => vars::variables(core),
            ["connz"] => conns::list(core, request),
            ["connz", id] => conns::one(core, id),
            ["groupz"] => people::groups(core, request),
            ["groupz", name] => people::group(core, name, request),
            ["userz"] => people::users(core, request),
            ["userz", uid] => people::user(core, uid, request),
            ["routez"] => routes::list(core, request),
            ["slowz"] => routes::slow(core, request),
            ["metrics"] => metrics::metrics(core),
            ["banz"] => bans::list(core, request),
            ["clusterz"] => cluster::state(core),
            ["greenz"] => coroutines::list(request),
            ["loglevel"] => acts::log_level(),
            ["connz" | "userz", _, "kick"]
            | ["banz", _, "lift"]
            | ["banz", _, bans::NETWORK, "lift"]
            | ["drain" | "reload" | "trace"] => not_allowed("POST"),
            _ => unknown(request),
        }
    }

    fn act(&self, request: &Request, path: &[&str]) -> Response {
        let core = &self.core;
        match path {
            ["connz", id, "kick"] => acts::kick(core, id),
            ["userz", uid, "kick"] => acts::kick_user(core, uid),
            ["banz", address, "lift"] => bans::lift(core, address),
            // As it is shown: its slash is that of a path, too.
            ["banz", address, bans::NETWORK, "lift"] => {
                bans::lift(core, &format!("{address}/{}", bans::NETWORK))
            }
            ["drain"] => acts::drain(core, request),
            ["trace"] => trace::trace(core, request),
            ["reload"] => acts::reload(core, request),
            ["loglevel"] => acts::set_log_level(request),
            []
            | [
                "varz" | "banz" | "connz" | "groupz" | "userz" | "greenz" | "healthz" | "readyz" | "routez"
                | "slowz" | "metrics" | "clusterz",
            ]
            | ["connz" | "groupz" | "userz", _] => not_allowed("GET, HEAD"),
            _ => unknown(request),
        }
    }
}

fn not_allowed(allowed: &str) -> Response {
    Response::error(405, format!("this path takes {allowed}")).with_header("Allow", allowed)
}

fn unknown(request: &Request) -> Response {
    Response::error(404, format!("there is no {}; / lists what there is", request.path()))
}

const PATHS: &str = "\
GET  /                        this list, or in a browser a live page
GET  /healthz                 200 while the process works
GET  /readyz                  200 while a new connection would be taken, else 503
GET  /varz                    version, configuration, counters, limits
GET  /connz                   ?sort=id|age|idle|waiting|pending|messages|bytes_in|bytes_out|rtt
                              ?order=desc|asc  ?state=open|away|closing|closed  ?search=  ?user=  ?address=
                              ?group=  ?limit=  ?offset=
GET  /connz/ID                one connection
GET  /groupz  /groupz/NAME    groups, the members of one
GET  /userz   /userz/ID       users, the connections of one
GET  /banz                    addresses that are banned
GET  /clusterz                the nodes, how far each is behind, what this one counts
GET  /routez                  what the handlers of each route took
GET  /slowz                   the handlers of late that took long
GET  /metrics                 for Prometheus
GET  /greenz                  coroutines and what they wait for  ?name=
GET  /loglevel
POST /connz/ID/kick           closes a connection in order
POST /userz/ID/kick           all connections of a user
POST /banz/ADDRESS/lift       ends a ban
POST /drain                   stops the server in order  ?seconds=  closes its connections over so long
POST /reload                  reads the configuration again, and says what has changed
POST /trace                   follows the frames of a few connections  ?id=|user=|address=  ?seconds=
POST /loglevel?level=debug    off, error, warn, info, debug or trace
";
