//! Both ends are ours.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use zinx::ziface::{IClient, IConnection, IRequest, TransportKind};
use zinx::znet::{
    TlsOptions, WsOptions, new_client_with_config, new_kcp_client_with_config, new_tls_client_with_options,
    new_ws_client_with_options,
};
use zinx::{Client, Config, Result, green};

use crate::common::ECHO;
use crate::served::{Served, config, start_with};
use crate::tls_peer::pem;

// Neither end reads less because it has much to send: else what one sends would wait for what the other does, and the other way
// round.

pub(crate) fn a_client_may_send_much_without_a_look_at_the_replies(kind: TransportKind) {
    let served = start_with(kind, patient, |_| {});
    let client = client(kind, &served);
    let echoes = note_echoes(|note| client.add_router(ECHO, note).unwrap());
    client.start().unwrap();
    send_much(client.conn().unwrap(), &echoes);
    stop(&client, served);
}

pub(crate) fn a_server_may_send_much_to_a_client_that_answers_all_of_it(kind: TransportKind) {
    let mut echoes = None;
    let served = start_with(kind, patient, |server| {
        echoes = Some(note_echoes(|note| server.add_router(ECHOED, note).unwrap()));
    });
    let client = client(kind, &served);
    let echo = |request: &dyn IRequest| request.get_connection().send_msg(ECHOED, request.get_data());
    client.add_router(ECHO, echo).unwrap();
    client.start().unwrap();
    send_much(served.conn(client.conn().unwrap().get_local_addr()), &echoes.unwrap());
    stop(&client, served);
}

fn patient(config: &mut Config) {
    (config.write_timeout_ms, config.queue_wait_ms) = (120_000, 120_000);
    config.max_packet_size = 65_536;
}

/// Hands `route` a handler that says how long each message is.
fn note_echoes(
    route: impl FnOnce(Box<dyn Fn(&dyn IRequest) -> Result<()> + Send + Sync>),
) -> mpsc::Receiver<usize> {
    let (said, heard) = mpsc::channel();
    let said = Mutex::new(said);
    route(Box::new(move |request| {
        // The test may be over.
        let _ = said.lock().unwrap().send(request.get_data().len());
        Ok(())
    }));
    heard
}

fn send_much(conn: Arc<dyn IConnection>, echoes: &mpsc::Receiver<usize>) {
    let sender = green::spawn(move || (0..MESSAGES).try_for_each(|_| conn.send_msg(ECHO, vec![7; LEN])));
    for n in 0..MESSAGES {
        let len = echoes.recv_timeout(SOON).unwrap_or_else(|error| panic!("echo {n} of {MESSAGES}: {error}"));
        assert_eq!(len, LEN);
    }
    sender.get().unwrap().unwrap();
}

fn stop(client: &Client, served: Served) {
    client.stop();
    assert!(client.wait_stopped(SOON), "the client has not stopped");
    served.stop();
}

fn client(kind: TransportKind, served: &Served) -> Client {
    let mut config = config(kind);
    patient(&mut config);
    let address = served.address();
    let (host, port) = (address.ip().to_string(), address.port());
    let trust = || TlsOptions::new().ca_file(pem("ca.pem"));
    let made = match kind {
        TransportKind::Tls => new_tls_client_with_options("localhost", port, &trust(), config),
        TransportKind::WebSocket => {
            new_ws_client_with_options(&format!("ws://{address}/"), &WsOptions::new(), config)
        }
        TransportKind::SecureWebSocket => {
            let options = WsOptions::new().tls(trust());
            new_ws_client_with_options(&format!("wss://localhost:{port}/"), &options, config)
        }
        TransportKind::Kcp => new_kcp_client_with_config(host, port, config),
        _ => new_client_with_config(host, port, config),
    };
    made.unwrap()
}

const ECHOED: u32 = 7;

const MESSAGES: usize = 400;

/// All of them are much more than what two sockets and two queues hold.
const LEN: usize = 60_000;

const SOON: Duration = Duration::from_secs(20);
