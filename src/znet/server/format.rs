//! The wire format that the connections of a server share: how messages are packed, and how streams are cut.

use std::sync::Arc;

use super::core::{Core, Pack};
use crate::error::{Error, Result};
use crate::zconf::PackKind;
use crate::ziface::{IDataPack, IDecoder};
use crate::znet::read::codec::{ContainedDecoder, ContainedPack, LONGEST_HEAD};
use crate::zpack::{Framing, LtvLittleEndian, TlvBigEndian};

impl Core {
    /// The wire format: the one set, or the one the configuration names. Fixed by the first use.
    pub(crate) fn pack(&self) -> &dyn IDataPack {
        &**self.shared_pack()
    }

    /// Which of those built in that is, if it is one.
    #[inline]
    pub(crate) fn built_in_pack(&self) -> Option<PackKind> {
        self.fixed_pack().built_in
    }

    pub(crate) fn shared_pack(&self) -> &Arc<dyn IDataPack> {
        &self.fixed_pack().pack
    }

    #[inline]
    fn fixed_pack(&self) -> &Pack {
        self.pack.get_or_init(|| {
            let kind = self.config().data_pack;
            let pack: Arc<dyn IDataPack> = match kind {
                PackKind::LtvLittleEndian => Arc::new(LtvLittleEndian),
                PackKind::TlvBigEndian => Arc::new(TlvBigEndian),
            };
            Pack { pack, built_in: Some(kind) }
        })
    }

    /// Sets the wire format, unless it is fixed already.
    pub(crate) fn set_pack(&self, pack: impl IDataPack + 'static) -> Result<()> {
        let pack = Pack { pack: Arc::new(ContainedPack::new(pack)?), built_in: None };
        self.pack.set(pack).map_err(|_| Error::AlreadyStarted { what: "set the packet format" })
    }

    /// How streams are cut: by the decoder set, or by the wire format. Fixed by the first use.
    pub(crate) fn framing(&self) -> &Framing {
        self.framing.get_or_init(|| match self.decoder.get() {
            Some(decoder) => Framing::Decoder(Arc::clone(decoder)),
            None => {
                Framing::Pack { pack: Arc::clone(self.shared_pack()), max: self.config().max_packet_size }
            }
        })
    }

    /// The wire format that cuts streams, if it is one that is built in, and the longest payload.
    #[inline]
    pub(crate) fn built_in_framing(&self) -> Option<(PackKind, u32)> {
        match self.framing() {
            Framing::Pack { max, .. } => self.built_in_pack().map(|kind| (kind, *max)),
            Framing::Decoder(_) => None,
        }
    }

    /// # Errors
    ///
    /// [`Error::BadHead`] if nothing can tell where a frame ends.
    pub(crate) fn check_framing(&self) -> Result<()> {
        let no_head = self.decoder.get().is_none() && self.pack().get_head_len() == 0;
        if no_head { Err(Error::BadHead { len: 0, max: LONGEST_HEAD }) } else { Ok(()) }
    }

    /// Has streams cut by a decoder.
    pub(crate) fn set_decoder(&self, decoder: Arc<dyn IDecoder>) -> Result<()> {
        let decoder = Arc::new(ContainedDecoder(decoder));
        let late = self.framing.get().is_some() || self.decoder.set(decoder).is_err();
        if late { Err(Error::AlreadyStarted { what: "set the decoder" }) } else { Ok(()) }
    }

    pub(crate) fn decoder(&self) -> Option<&dyn IDecoder> {
        self.decoder.get().map(|decoder| &**decoder)
    }
}
