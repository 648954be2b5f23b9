//! A server that a stream is sent to, over a real connection, and what it answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Server, new_server_with_config};

use super::source::pieces;

/// A server that echoes these messages, and what else `set_up` makes it do.
pub(crate) fn serve(mut config: Config, echoed: &[u32], set_up: impl FnOnce(&Server)) -> Server {
    (config.tcp_port, config.ws_port, config.handle_signals) = (0, 0, false);
    let server = new_server_with_config(config).unwrap();
    for id in echoed {
        let echo = |request: &dyn IRequest| {
            request.get_connection().send_msg(request.get_msg_id(), request.get_data())
        };
        server.add_router(*id, echo).unwrap();
    }
    set_up(&server);
    server.start().unwrap();
    server
}

/// Sends the stream in one piece, and in pieces of several sizes. Returns what comes each time, unless a reset has come.
pub(crate) fn answers(server: SocketAddr, stream: &[u8]) -> Vec<Vec<u8>> {
    let least = 1 + stream.len() / 128;
    let whole = std::iter::once(answer(server, std::iter::once(stream)));
    let split = [1, 9, 256].map(|times| answer(server, pieces(stream, least..=times * least)));
    whole.chain(split).flatten().collect()
}

fn answer<'a>(server: SocketAddr, pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut peer = TcpStream::connect(server).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    // So that no port stays taken.
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    for piece in pieces {
        if peer.write_all(piece).is_err() {
            // It has heard enough.
            break;
        }
    }
    let _ = peer.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match peer.read_to_end(&mut answer) {
        Ok(_) => Some(answer),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("no end of the answer: {error}"),
    }
}

/// The server has to answer within this time, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
