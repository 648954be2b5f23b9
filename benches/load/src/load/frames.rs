//! The stream that each connection sends: one frame again and again.

use super::options::{Options, Over};

pub struct Frames {
    /// Bytes of one frame, as it is sent.
    pub len: usize,
    /// Bytes of its echo.
    pub echo_len: usize,
    /// As many as fit [`BUFFER_BYTES`], side by side, so that many leave by one system call.
    pub bytes: Vec<u8>,
}

impl Frames {
    pub fn new(options: &Options) -> Self {
        let (id, data_len) = (options.id, options.payload as u32);
        let mut frame = match options.big_endian {
            true => [id.to_be_bytes(), data_len.to_be_bytes()].concat(),
            false => [data_len.to_le_bytes(), id.to_le_bytes()].concat(),
        };
        frame.extend((0..options.payload).map(|at| (at * 7 + 3) as u8));
        let mut echo_len = frame.len();
        if options.over == Over::WebSocket {
            // The mask is zero: all frames are alike.
            let head = websocket_head(frame.len());
            echo_len += head.len();
            frame = [&masked(&head)[..], &[0; 4], &frame].concat();
        }
        Self { len: frame.len(), echo_len, bytes: frame.repeat((BUFFER_BYTES / frame.len()).max(1)) }
    }
}

/// That of a binary message from a server.
fn websocket_head(len: usize) -> Vec<u8> {
    match len {
        0..126 => vec![0x82, len as u8],
        126..65_536 => [&[0x82, 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[0x82, 127][..], &(len as u64).to_be_bytes()].concat(),
    }
}

fn masked(head: &[u8]) -> Vec<u8> {
    let mut head = head.to_vec();
    head[1] |= 0x80;
    head
}

/// Bytes sent or read at once.
pub const BUFFER_BYTES: usize = 256 * 1024;
