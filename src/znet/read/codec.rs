//! The program's wire format and decoder, contained: a panic of theirs is an error as any other, wherever they are called.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::green::contain;
use crate::ziface::{Decoded, Head, IDataPack, IDecoder, IMessage, LengthField};

/// A wire format of the program.
pub(crate) struct ContainedPack<P> {
    pack: P,
    /// Asked once: it is needed for each frame.
    head_len: usize,
}

impl<P: IDataPack> ContainedPack<P> {
    /// # Errors
    ///
    /// If the head is longer than promised. A format without one is right beside a decoder: the start looks for that.
    pub(crate) fn new(pack: P) -> Result<Self> {
        let head_len = contain_codec(PACK, || Ok(pack.get_head_len()))?;
        if head_len > LONGEST_HEAD {
            return Err(Error::BadHead { len: head_len, max: LONGEST_HEAD });
        }
        Ok(Self { pack, head_len })
    }
}

impl<P: IDataPack> IDataPack for ContainedPack<P> {
    fn get_head_len(&self) -> usize {
        self.head_len
    }

    fn unpack(&self, head: &[u8]) -> Result<Head> {
        contain_codec(PACK, || self.pack.unpack(head).map_err(in_words))
    }

    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        contain_codec(PACK, || self.pack.pack_head(msg_id, data_len, out))
    }

    fn pack(&self, message: &dyn IMessage) -> Result<Vec<u8>> {
        contain_codec(PACK, || self.pack.pack(message))
    }
}

/// A decoder of the program.
pub(crate) struct ContainedDecoder(pub(crate) Arc<dyn IDecoder>);

impl IDecoder for ContainedDecoder {
    fn frame_len(&self, begun: &[u8], seen: usize) -> Result<Option<usize>> {
        contain_codec(DECODER, || self.0.frame_len(begun, seen).map_err(in_words))
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        contain_codec(DECODER, || self.0.decode(frame).map_err(in_words))
    }

    fn get_length_field(&self) -> Option<LengthField> {
        contain(|| self.0.get_length_field()).ok().flatten()
    }
}

fn contain_codec<T>(what: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    contain(call).unwrap_or_else(|words| Err(Error::Panicked { what, words }))
}

/// An error of the program's own says what it is in here, where a panic is contained: it becomes a reason to close.
fn in_words(error: Error) -> Error {
    match error {
        Error::Other(source) => Error::other(source.to_string()),
        error => error,
    }
}

const PACK: &str = "the wire format";
const DECODER: &str = "the decoder";

/// What `IDataPack::get_head_len` promises.
pub(crate) const LONGEST_HEAD: usize = 64;
