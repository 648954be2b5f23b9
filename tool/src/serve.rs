//! `zinx serve`: the server of the tutorial's hook chapter, which prints and answers as `demo/hook` does, and an echo beside
//! it.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use zinx::ziface::{BaseRouter, IConnection, IRequest, IServer, TransportKind};
use zinx::{Config, Error, Result, Server, new_server_with_config, zlog};

/// Prints a message, and answers with two of id 1: `ping\n`, then its own bytes.
struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        print(format_args!("调用Handle"));
        print(format_args!("b'{}'", request.get_data().escape_ascii()));
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

fn echo(request: &dyn IRequest) -> Result<()> {
    request.get_connection().send_msg(2, request.get_data())
}

fn connection_start(conn: &Arc<dyn IConnection>) -> Result<()> {
    print(format_args!("======Start======== {}", conn.get_conn_id()));
    Ok(())
}

fn connection_stop(conn: &Arc<dyn IConnection>) -> Result<()> {
    print(format_args!("======Stop======== {}", conn.get_conn_id()));
    Ok(())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    zlog::init(&config)?;
    log::info!("configuration: {}", config.origin());
    if !config.admin.is_empty() {
        return serve_with(config);
    }
    config.admin = ADMIN.to_string();
    let mut without = config.clone();
    without.admin = "off".to_string();
    match serve_with(config) {
        // Nobody has asked for this port: another server on this machine may have it.
        Err(Error::Io { what, source }) if what.contains(ADMIN) => {
            log::warn!("no admin plane: {what}: {source}; ZINX_ADMIN chooses another port");
            serve_with(without)
        }
        served => served,
    }
}

fn serve_with(config: Config) -> Result<()> {
    let server = new_server_with_config(config)?;
    server.set_on_conn_start(connection_start);
    server.set_on_conn_stop(connection_stop);
    server.add_router(1, PingRouter)?;
    server.add_router(2, echo)?;
    announce(server.clone())?;
    // After a start that has failed, nobody is to be told where the server is.
    server.serve().inspect_err(|_| server.stop())
}

/// Says where the server is, once it listens. `serve` itself starts it, for it catches signals before anybody can know
/// the address: whoever has read that may send one.
fn announce(server: Server) -> Result<()> {
    let wait = move || {
        let addresses = loop {
            let found = server.local_addrs();
            if !found.is_empty() {
                break found;
            }
            if server.wait_stopped(LOOK_EVERY) {
                return;
            }
        };
        for (kind, address) in addresses {
            let scheme = if kind == TransportKind::Tcp { String::new() } else { format!("{kind}://") };
            log::info!("to talk to it: zinx send {scheme}{} 1 hello", reachable(address));
        }
    };
    let started = thread::Builder::new().name("announce".to_string()).spawn(wait);
    started.map(drop).map_err(|source| Error::io("start a thread", source))
}

/// Prints a line. That nobody reads it any more is no fault of a connection, and ends none.
fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Where a client on this machine finds the server.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Serves until it is told to stop.
pub(crate) fn run() -> ExitCode {
    zinx::exit(serve())
}

/// Where the admin plane is if nobody says anything else.
const ADMIN: &str = "127.0.0.1:7778";

/// How often to look whether the server listens. It does within milliseconds, or the process ends.
const LOOK_EVERY: Duration = Duration::from_millis(5);
