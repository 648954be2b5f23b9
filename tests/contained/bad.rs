//! Values and formats that panic.

use std::fmt;

use bytes::Bytes;
use zinx::prelude::*;
use zinx::ziface::{Decoded, Head, IDecoder};
use zinx::zpack::LtvLittleEndian;

use super::cases::{ANSWER, BAD};

/// Panics when it is dropped.
#[derive(Debug)]
pub(super) struct Bomb;

impl Bomb {
    /// For a closure that is to own one.
    pub(super) const fn is_there(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, in drop");
    }
}

/// Panics when it is displayed.
#[derive(Debug)]
pub(super) struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose, in display");
    }
}

impl std::error::Error for Unspeakable {}

/// An error whose destructor panics.
#[derive(Debug)]
pub(super) struct Explosive(pub(super) Bomb);

impl fmt::Display for Explosive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("explosive")
    }
}

impl std::error::Error for Explosive {}

/// The classic format, except for messages of one id.
pub(super) struct BadPack {
    pub(super) unpack: fn() -> Result<Head>,
    pub(super) pack: fn() -> Result<()>,
}

impl IDataPack for BadPack {
    fn get_head_len(&self) -> usize {
        LtvLittleEndian.get_head_len()
    }

    fn unpack(&self, head: &[u8]) -> Result<Head> {
        LtvLittleEndian
            .unpack(head)
            .and_then(|head| if head.msg_id == BAD { (self.unpack)() } else { Ok(head) })
    }

    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        LtvLittleEndian.pack_head(msg_id, data_len, out)?;
        if msg_id == ANSWER { (self.pack)() } else { Ok(()) }
    }
}

/// The classic format as a decoder, except for messages of one id.
pub(super) struct BadDecoder<D> {
    pub(super) classic: D,
    pub(super) frame_len: fn() -> Result<Option<usize>>,
    pub(super) decode: fn() -> Result<Decoded>,
}

impl<D: IDecoder> IDecoder for BadDecoder<D> {
    fn frame_len(&self, begun: &[u8], seen: usize) -> Result<Option<usize>> {
        let is_bad = begun.get(4..8) == Some(&BAD.to_le_bytes());
        if is_bad { (self.frame_len)() } else { self.classic.frame_len(begun, seen) }
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        if frame[4..8] == BAD.to_le_bytes() { (self.decode)() } else { self.classic.decode(frame) }
    }
}
