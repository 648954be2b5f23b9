//! What a peer of WebSocket must not do, and the code by which it is told.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

/// Which side we are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

/// What the peer has done that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) what: &'static str,
    pub(super) code: CloseCode,
}

impl Broken {
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self { what, code: CloseCode::Protocol }
    }
}

/// Judges the head of a frame with so much content. `in_message`: a message has begun that is not whole.
pub(super) fn check(side: Side, in_message: bool, head: &FrameHeader, len: u64) -> Result<(), Broken> {
    if head.rsv1 || head.rsv2 || head.rsv3 {
        return Err(Broken::protocol("a reserved bit: no extension was agreed on"));
    }
    match (side, head.mask) {
        (Side::Server, None) => return Err(Broken::protocol("a frame of a client without a mask")),
        (Side::Client, Some(_)) => return Err(Broken::protocol("a frame of a server with a mask")),
        _ => {}
    }
    match head.opcode {
        OpCode::Control(_) if !head.is_final => Err(Broken::protocol("a control frame in pieces")),
        OpCode::Control(_) if len > MAX_CONTROL_BYTES => {
            Err(Broken::protocol("a control frame of more than 125 bytes"))
        }
        OpCode::Data(Data::Continue) if !in_message => {
            Err(Broken::protocol("a frame that continues no message"))
        }
        OpCode::Data(Data::Text | Data::Binary) if in_message => {
            Err(Broken::protocol("a message within another"))
        }
        OpCode::Control(_) | OpCode::Data(_) => Ok(()),
    }
}

/// The code in a close.
pub(super) fn close_code(content: &[u8]) -> Result<CloseCode, Broken> {
    let (code, reason) = match content {
        [] => return Ok(CloseCode::Normal),
        [_] => return Err(Broken::protocol("half a code in a close")),
        [high, low, reason @ ..] => (CloseCode::from(u16::from_be_bytes([*high, *low])), reason),
    };
    if !code.is_allowed() {
        return Err(Broken::protocol("a code that a close must not have"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(code),
        Err(_) => Err(Broken { what: "a reason that is no UTF-8", code: CloseCode::Invalid }),
    }
}

/// What a text message is to those that take none.
pub(super) const TEXT: Broken = Broken { what: "a text message", code: CloseCode::Unsupported };

/// The most that a control frame holds.
const MAX_CONTROL_BYTES: u64 = 125;
