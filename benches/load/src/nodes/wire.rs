//! What the clients of each server send over WebSocket.

use std::io;
use std::str::FromStr;

#[derive(Clone, Copy)]
pub enum Wire {
    /// Frames of zinx: those of `bin/zinx_node.rs`.
    Zinx,
    /// The JSON protocol of centrifuge and centrifugo.
    Centrifuge,
    /// socket.io 4 over engine.io 4.
    SocketIo,
}

impl FromStr for Wire {
    type Err = io::Error;

    fn from_str(word: &str) -> io::Result<Self> {
        match word {
            "zinx" => Ok(Self::Zinx),
            "centrifuge" => Ok(Self::Centrifuge),
            "socketio" => Ok(Self::SocketIo),
            _ => Err(io::Error::other(format!("there is no wire {word:?}"))),
        }
    }
}

impl Wire {
    pub fn upgrade(self) -> String {
        let path = match self {
            Self::Zinx | Self::Centrifuge => "/",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }

    /// The login, which the server answers with something that contains [`READY`].
    pub fn login(self, user: usize) -> Vec<u8> {
        match self {
            Self::Zinx => zinx(1, &format!("u{user}")),
            Self::Centrifuge => text(&format!(r#"{{"id":1,"connect":{{"token":"u{user}"}}}}"#)),
            Self::SocketIo => text(&format!(r#"40{{"user":"u{user}"}}"#)),
        }
    }

    pub fn push(self, to: usize) -> Vec<u8> {
        let payload = payload();
        match self {
            Self::Zinx => zinx(2, &format!("u{to}\n{payload}")),
            Self::Centrifuge => {
                text(&format!(r#"{{"send":{{"data":{{"to":"u{to}","text":"{payload}"}}}}}}"#))
            }
            Self::SocketIo => text(&format!(r#"42["push","u{to}","{payload}"]"#)),
        }
    }

    pub fn broadcast(self) -> Vec<u8> {
        let payload = payload();
        match self {
            Self::Zinx => zinx(3, &payload),
            Self::Centrifuge => text(&format!(r#"{{"send":{{"data":{{"text":"{payload}"}}}}}}"#)),
            Self::SocketIo => text(&format!(r#"42["all","{payload}"]"#)),
        }
    }
}

/// Each message that arrives contains it once, whatever is around it. Not part of any protocol, and of the length of a WebSocket
/// frame only if that has 32,380 bytes.
pub const MARK: [u8; 2] = *b"~|";
pub const READY: &[u8] = b"ready";

/// 64 bytes.
fn payload() -> String {
    format!("~|{}", "x".repeat(62))
}

/// Length and id, little-endian, and the payload, in a binary message.
fn zinx(id: u32, payload: &str) -> Vec<u8> {
    let head = [(payload.len() as u32).to_le_bytes(), id.to_le_bytes()].concat();
    message(2, &[&head, payload.as_bytes()].concat())
}

fn text(payload: &str) -> Vec<u8> {
    message(1, payload.as_bytes())
}

/// A WebSocket message of a client. Its mask is zero, so all messages of a client are alike.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = match payload.len() {
        len @ 0..126 => vec![0x80 | opcode, 0x80 | len as u8],
        len => [&[0x80 | opcode, 0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
    };
    [&head[..], &[0; 4], payload].concat()
}
