//! Lines read from a socket by `green::bluelet`, over a real connection.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use socket2::SockRef;
use zinx::green::bluelet::{Connection, Listener};

use super::source::{Source, pieces};

/// Reads lines up to a terminator out of the input, set beside the plainest way to do that. A line too long is an error
/// that loses nothing: the bytes are still there to be received.
pub fn lines(input: &[u8]) {
    let mut source = Source::new(input);
    let (choice, max) = (source.byte(), 1 + source.number(2) as usize % 600);
    let terminator = source.bytes(1 + usize::from(choice % 4));
    let stream = source.rest();
    if terminator.is_empty() {
        return;
    }
    // The peer lives as long as its connection is read.
    let (mut conn, _peer) = connect(stream);
    let mut rest = stream;
    while let Some(line) = first_line(rest, terminator, max) {
        assert_eq!(conn.readline_max(terminator, max).unwrap(), line);
        rest = &rest[line.len()..];
        if line.is_empty() {
            return;
        }
    }
    let refused = conn.readline_max(terminator, max).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    let mut received = Vec::new();
    while received.len() < rest.len() {
        let more = conn.recv(MAX_RECV).unwrap();
        assert!(!more.is_empty() && more.len() <= MAX_RECV);
        received.extend(more);
    }
    assert_eq!(received, rest);
}

/// The first line, with its terminator; what is left where there is none; `None` where it is too long.
fn first_line<'a>(rest: &'a [u8], terminator: &[u8], max: usize) -> Option<&'a [u8]> {
    let start = (0..rest.len()).find(|at| rest[*at..].starts_with(terminator));
    match start.map(|start| start + terminator.len()) {
        Some(end) if end <= max => Some(&rest[..end]),
        None if rest.len() < max => Some(rest),
        _ => None,
    }
}

/// A connection on which `stream` arrives in pieces, and then its end. The peer closes by a reset, so that no port stays
/// taken behind it.
fn connect(stream: &[u8]) -> (Connection, TcpStream) {
    static LISTENER: LazyLock<Listener> = LazyLock::new(|| Listener::new("127.0.0.1", 0).unwrap());
    let mut peer = TcpStream::connect(LISTENER.local_addr()).unwrap();
    peer.set_nodelay(true).unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    let conn = LISTENER.accept().unwrap();
    for piece in pieces(stream, 1..=256) {
        peer.write_all(piece).unwrap();
    }
    peer.shutdown(Shutdown::Write).unwrap();
    (conn, peer)
}

/// What is asked for at a time.
const MAX_RECV: usize = 7;
