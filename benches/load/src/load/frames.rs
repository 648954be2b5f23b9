//! The stream that each connection sends: one frame again and again.

use super::options::Options;

pub struct Frames {
    /// Bytes of one frame.
    pub len: usize,
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
        Self { len: frame.len(), bytes: frame.repeat((BUFFER_BYTES / frame.len()).max(1)) }
    }
}

/// Bytes sent or read at once.
pub const BUFFER_BYTES: usize = 256 * 1024;
