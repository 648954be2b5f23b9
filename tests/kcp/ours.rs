//! A server and clients of ours over KCP.

use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use zinx::zconf::Mode;
use zinx::ziface::{IClient, IRequest, IServer, TransportKind};
use zinx::znet::new_kcp_client_with_config;
use zinx::{Client, Config};

use crate::common::{self, ECHO, Running};

/// A server's configuration, for KCP alone; the Kcp keys hold for clients too.
pub(crate) fn config() -> Config {
    let mut config = common::config();
    (config.mode, config.kcp_port) = (Mode::KCP, 0);
    config
}

pub(crate) fn changed(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

pub(crate) fn address(running: &Running) -> SocketAddr {
    let found = running.server.local_addrs().into_iter().find(|(of, _)| *of == TransportKind::Kcp);
    found.expect("it listens there").1
}

/// A client, and what it hears of the echoes.
pub(crate) fn client(server: SocketAddr, config: Config) -> (Client, mpsc::Receiver<Vec<u8>>) {
    let client = new_kcp_client_with_config(server.ip().to_string(), server.port(), config).unwrap();
    let (said, heard) = mpsc::channel();
    let said = Mutex::new(said);
    let echo = move |request: &dyn IRequest| {
        // The test may be over.
        let _ = said.lock().unwrap().send(request.get_data().to_vec());
        Ok(())
    };
    client.add_router(ECHO, echo).unwrap();
    client.set_dial_timeout(Duration::from_secs(20));
    (client, heard)
}

/// Has a client's message echoed.
pub(crate) fn check_echo(client: &Client, heard: &mpsc::Receiver<Vec<u8>>, data: &[u8]) {
    client.conn().unwrap().send_msg(ECHO, data).unwrap();
    assert!(heard.recv_timeout(SOON).unwrap() == data, "{} bytes", data.len());
}

pub(crate) fn stop(client: &Client) {
    client.stop();
    assert!(client.wait_stopped(SOON), "the client has not stopped");
}

pub(crate) const SOON: Duration = Duration::from_secs(30);
