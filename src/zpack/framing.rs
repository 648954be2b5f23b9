//! How a connection's stream is cut: by a wire format with a head, or by a decoder.

use std::sync::Arc;

use bytes::Bytes;

use super::Message;
use crate::error::{Error, Result};
use crate::ziface::{Head, IDataPack, IDecoder};

/// How a stream is cut.
#[derive(Clone)]
pub enum Framing {
    /// By a head that announces the payload.
    Pack {
        /// The format.
        pack: Arc<dyn IDataPack>,
        /// Longest payload accepted, in bytes.
        max: u32,
    },
    /// By a decoder.
    Decoder(Arc<dyn IDecoder>),
}

/// A frame that begins, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Length of the whole frame, in bytes.
    pub(super) frame_len: usize,
    /// Bytes of it before the payload.
    pub(super) head_len: usize,
    /// A `u32`, as wide as its neighbours: stored as four bytes and moved as eight it would stall the processor.
    msg_id: u64,
}

impl Cut {
    pub(super) const fn msg_id(&self) -> u32 {
        self.msg_id as u32
    }
}

impl Framing {
    /// The message of a frame cut; `data` is what follows its head.
    #[inline(always)]
    pub(super) fn message(&self, cut: Cut, data: Bytes) -> Result<Message> {
        match self {
            Self::Pack { .. } => Ok(Message::new(cut.msg_id(), data)),
            Self::Decoder(decoder) => Ok(Message::decoded(decoder.decode(data)?)),
        }
    }
}

/// The frame with which `begun` begins, once that can be told.
#[inline(always)]
pub(super) fn cut_packed(pack: &(impl IDataPack + ?Sized), max: u32, begun: &[u8]) -> Result<Option<Cut>> {
    let head_len = pack.get_head_len();
    let Some(head) = begun.get(..head_len) else { return Ok(None) };
    let Head { msg_id, data_len } = pack.unpack(head)?;
    // Checked before anything is reserved: the peer chooses this number.
    if data_len > max {
        return Err(Error::PacketTooLarge { len: u64::from(data_len), max });
    }
    Ok(Some(Cut { frame_len: head_len + data_len as usize, head_len, msg_id: u64::from(msg_id) }))
}

/// As [`cut_packed`]; `seen` bytes of it were there before.
pub(super) fn cut_decoded(decoder: &dyn IDecoder, begun: &[u8], seen: usize) -> Result<Option<Cut>> {
    if begun.is_empty() {
        return Ok(None);
    }
    match decoder.frame_len(begun, seen)? {
        // It would be cut forever.
        Some(0) => Err(Error::BadFrame { reason: "a frame of no bytes" }),
        Some(frame_len) => Ok(Some(Cut { frame_len, head_len: 0, msg_id: 0 })),
        None if begun.len() >= MAX_UNKNOWN => {
            Err(Error::FrameTooLarge { len: begun.len() as u64 + 1, max: MAX_UNKNOWN as u64 })
        }
        None => Ok(None),
    }
}

impl std::fmt::Debug for Framing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pack { .. } => "Framing::Pack",
            Self::Decoder(_) => "Framing::Decoder",
        })
    }
}

/// Most bytes of a frame that are kept while a decoder cannot tell its length.
pub(super) const MAX_UNKNOWN: usize = 64 * 1024;
