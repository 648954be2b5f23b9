//! Requests for WebSocket, and frames behind one.

use std::net::SocketAddr;
use std::sync::LazyLock;

use zinx::zconf::Mode;
use zinx::ziface::IServer;
use zinx::{Config, Server};

use super::serving::{answers, serve};

/// A request is answered by the same status however its bytes arrive, or not at all.
pub fn websocket_upgrade(input: &[u8]) {
    let all: Vec<_> = answers(*SERVER_ADDRESS, input).into_iter().map(|answer| status(&answer)).collect();
    for found in &all {
        assert_eq!(found, &all[0]);
        assert!(found.is_empty() || found.starts_with("HTTP/1.1 "), "{found}");
    }
}

/// Messages come back whole, in order and as they were; frames that break the protocol end the connection with a code. It is the same
/// however the bytes arrive.
pub fn websocket_frames(input: &[u8]) {
    let stream = [REQUEST, input].concat();
    let all: Vec<_> = answers(*SERVER_ADDRESS, &stream).iter().map(|answer| Answer::parse(answer)).collect();
    for answer in &all {
        assert_eq!(answer.messages, all[0].messages);
        assert_eq!(answer.close, all[0].close);
        // Pings behind what ends the connection may be read, or not.
        let both = answer.pongs.len().min(all[0].pongs.len());
        assert_eq!(answer.pongs[..both], all[0].pongs[..both]);
    }
}

fn status(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).lines().next().unwrap_or_default().to_string()
}

/// What a server has said behind its answer to the request.
#[derive(Default)]
struct Answer {
    messages: Vec<(u8, Vec<u8>)>,
    pongs: Vec<Vec<u8>>,
    close: Option<Vec<u8>>,
}

impl Answer {
    fn parse(answer: &[u8]) -> Self {
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let (mut rest, mut this) = (&answer[head..], Self::default());
        while let [first, second, behind @ ..] = rest {
            let (len, behind) = match second {
                126 => (usize::from(u16::from_be_bytes([behind[0], behind[1]])), &behind[2..]),
                len => (usize::from(*len), behind),
            };
            let (content, behind) = behind.split_at(len);
            rest = behind;
            assert!(this.close.is_none(), "nothing follows a close");
            match first {
                0x81 => assert!(std::str::from_utf8(content).is_ok()),
                0x82 => {}
                0x8a => this.pongs.push(content.to_vec()),
                0x88 => this.close = Some(content.to_vec()),
                other => panic!("a frame that begins with {other:#x}"),
            }
            if first & 0xf < 8 {
                this.messages.push((*first, content.to_vec()));
            }
        }
        assert!(rest.is_empty() && this.close.is_some());
        this
    }
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let mut config = Config::default();
    (config.mode, config.ws_text_msg_id, config.ws_binary_msg_id) = (Mode::WEBSOCKET, 1, 2);
    serve(config, &[1, 2], |_| {})
});

static SERVER_ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| SERVER.local_addrs()[0].1);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
