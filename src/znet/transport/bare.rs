//! Bare messages of WebSocket: each is a message of the program as it is, without a head. Its kind, text or binary, stands for the
//! message id.

use std::sync::Arc;

use tungstenite::protocol::frame::coding::{CloseCode, Data};

use super::Begun;
use super::surplus::Sink;
use super::utf8::Utf8;
use super::ws_checks::Broken;
use crate::error;
use crate::error::config::{ConfigErrors, ConfigProblem};
use crate::zconf::Config;
use crate::ziface::{Head, IDataPack};

/// Which messages are bare, and the ids that they have in the program.
pub(crate) struct Bare {
    pack: Arc<dyn IDataPack>,
    /// The longest one accepted.
    max: u32,
    /// 0: texts are refused.
    text: u32,
    /// 0: binary messages carry a stream of frames.
    binary: u32,
}

/// A bare message that comes.
pub(super) struct Coming {
    id: u32,
    /// That of a text.
    utf8: Option<Utf8>,
    /// What has come, as long as nobody knows how long it will be.
    held: Option<Vec<u8>>,
}

impl Bare {
    /// `None` if no message is bare.
    ///
    /// # Errors
    ///
    /// If the program's format does not tell a message as well as its head would.
    pub(crate) fn new(
        config: &Config,
        pack: &Arc<dyn IDataPack>,
        has_decoder: bool,
    ) -> error::Result<Option<Self>> {
        let (text, binary) = (config.ws_text_msg_id, config.ws_binary_msg_id);
        if text == 0 && binary == 0 {
            return Ok(None);
        }
        let this = Self { pack: Arc::clone(pack), max: config.max_packet_size, text, binary };
        let why = if text == binary {
            "an id other than that of WsTextMsgId"
        } else if has_decoder || ![text, binary].into_iter().all(|id| this.reads_its_own_head(id)) {
            "0, because it needs a wire format of which the heads are the same in both directions, and no decoder"
        } else {
            return Ok(Some(this));
        };
        let (key, id) = if binary == 0 { ("WsTextMsgId", text) } else { ("WsBinaryMsgId", binary) };
        let (key, found, expected) = (key.to_string(), id.to_string(), why.to_string());
        ConfigErrors::none_of(vec![ConfigProblem { key, found, expected, ..ConfigProblem::default() }])?;
        Ok(None)
    }

    fn reads_its_own_head(&self, id: u32) -> bool {
        [0, 1, self.max].into_iter().all(|len| {
            let Some(head) = self.head(id, len) else { return false };
            head.len() == self.pack.get_head_len()
                && self.pack.unpack(&head).is_ok_and(|read| read == Head { msg_id: id, data_len: len })
        })
    }

    fn head(&self, id: u32, len: u32) -> Option<Vec<u8>> {
        let mut head = Vec::with_capacity(self.pack.get_head_len());
        self.pack.pack_head(id, len, &mut head).ok().map(|()| head)
    }

    /// The message of this kind that begins. `None` if such messages are not bare.
    pub(super) fn begin(&self, data: Data) -> Option<Coming> {
        let (id, utf8) = match data {
            Data::Text => (self.text, Some(Utf8::default())),
            _ => (self.binary, None),
        };
        (id != 0).then(|| Coming { id, utf8, held: Some(Vec::new()) })
    }

    /// How a frame of `len` bytes leaves that begins so: the kind of its message, and how much of it is left out.
    pub(super) fn kind(&self, begins: &[u8], len: usize) -> (Data, usize) {
        let head_len = self.pack.get_head_len();
        let head = begins.get(..head_len).and_then(|head| self.pack.unpack(head).ok());
        match head {
            Some(Head { msg_id, data_len }) if Some(data_len as usize) == len.checked_sub(head_len) => {
                match msg_id {
                    0 => (Data::Binary, 0),
                    id if id == self.text => (Data::Text, head_len),
                    id if id == self.binary => (Data::Binary, head_len),
                    _ => (Data::Binary, 0),
                }
            }
            _ => (Data::Binary, 0),
        }
    }
}

impl Coming {
    /// A frame of it begins, with so much content. Once its length is known, it goes on with a head as any other message; one that is
    /// too long is refused by that.
    pub(super) fn frame(
        &mut self,
        bare: &Bare,
        len: u64,
        is_final: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Broken> {
        if len == 0 && is_final {
            self.check_end()?;
        }
        let Some(held) = &self.held else { return Ok(()) };
        let len = len.saturating_add(held.len() as u64);
        if is_final || len > u64::from(bare.max) {
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            let Some(head) = bare.head(self.id, len) else {
                let what = "the wire format has no head for a message";
                return Err(Broken { what, code: CloseCode::Error });
            };
            sink.put(&head);
            sink.put(held);
            self.held = None;
        }
        Ok(())
    }

    /// A part of it has come, perhaps the last. It is judged before anybody can take it.
    pub(super) fn content(&mut self, part: &[u8], is_last: bool, sink: &mut Sink<'_>) -> Result<(), Broken> {
        if let Some(utf8) = &mut self.utf8 {
            utf8.take(part).map_err(|()| NO_TEXT)?;
        }
        if is_last {
            self.check_end()?;
        }
        match &mut self.held {
            Some(held) => held.extend_from_slice(part),
            None => sink.put(part),
        }
        Ok(())
    }

    fn check_end(&self) -> Result<(), Broken> {
        if self.utf8.as_ref().is_some_and(|utf8| !utf8.is_whole()) { Err(NO_TEXT) } else { Ok(()) }
    }

    /// What is held until its length is known.
    pub(super) fn begun(&self) -> Begun {
        self.held
            .as_ref()
            .map_or_else(Begun::default, |held| Begun { received: held.len(), held: held.capacity() })
    }
}

const NO_TEXT: Broken = Broken { what: "a text message that is no UTF-8", code: CloseCode::Invalid };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::znet::transport::surplus::Surplus;
    use crate::zpack::LtvLittleEndian;

    fn bare() -> Bare {
        Bare { pack: Arc::new(LtvLittleEndian), max: 10, text: 7, binary: 0 }
    }

    /// What comes out of a text whose frames are these: each is its parts.
    fn taken(frames: &[&[&[u8]]]) -> Result<Vec<u8>, Broken> {
        let (bare, mut rest) = (bare(), Surplus::new());
        let mut coming = bare.begin(Data::Text).unwrap();
        let mut outcome = Ok(());
        for (n, parts) in frames.iter().enumerate() {
            let (mut left, is_final) = (parts.concat().len(), n + 1 == frames.len());
            let mut sink = Sink { out: &mut [], filled: 0, rest: &mut rest };
            outcome = outcome.and_then(|()| coming.frame(&bare, left as u64, is_final, &mut sink));
            for part in *parts {
                left -= part.len();
                outcome = outcome.and_then(|()| coming.content(part, is_final && left == 0, &mut sink));
            }
        }
        outcome.map(|()| rest.rest().to_vec())
    }

    #[test]
    fn a_text_gets_a_head_once_its_length_is_known() {
        let whole = [&[5, 0, 0, 0, 7, 0, 0, 0], &b"hello"[..]].concat();
        let cases: [&[&[&[u8]]]; 5] = [
            &[&[b"hello"]],
            &[&[b"he", b"llo"]],
            &[&[b"he"], &[b"llo"]],
            &[&[b"hello"], &[]],
            &[&[], &[b"h"], &[], &[b"el", b"l"], &[b"o"]],
        ];
        for frames in cases {
            assert_eq!(taken(frames).unwrap(), whole, "{frames:?}");
        }
        assert_eq!(taken(&[&[]]).unwrap(), [0, 0, 0, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_text_that_ends_within_a_character_is_no_message() {
        let cases: [&[&[&[u8]]]; 4] =
            [&[&[b"a\xce"]], &[&[b"a", b"\xce"]], &[&[b"a\xce"], &[]], &[&[b"a"], &[b"\xe2", b"\x82"]]];
        for frames in cases {
            assert_eq!(taken(frames).unwrap_err().code, CloseCode::Invalid, "{frames:?}");
        }
        assert!(taken(&[&[b"\xce"], &[b"\xba"]]).is_ok());
    }

    /// So that the reader refuses it by its own limit, before more of it is kept.
    #[test]
    fn a_text_that_is_too_long_says_so_as_soon_as_that_is_known() {
        let (bare, mut rest) = (bare(), Surplus::new());
        let mut coming = bare.begin(Data::Text).unwrap();
        let mut sink = Sink { out: &mut [], filled: 0, rest: &mut rest };
        coming.frame(&bare, 6, false, &mut sink).unwrap();
        coming.content(b"abcdef", false, &mut sink).unwrap();
        assert_eq!(coming.begun().received, 6);
        coming.frame(&bare, 5, false, &mut sink).unwrap();
        assert_eq!(rest.rest()[..8], [11, 0, 0, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn what_leaves_under_the_id_of_a_text_is_one() {
        let bare = bare();
        let head = |id: u8, len: u8| [len, 0, 0, 0, id, 0, 0, 0, b'a'];
        assert_eq!(bare.kind(&head(7, 1), 9), (Data::Text, 8));
        assert_eq!(bare.kind(&head(7, 0)[..8], 8), (Data::Text, 8));
        for (begins, len) in [(&head(8, 1)[..], 9), (&head(7, 1)[..], 10), (&head(7, 1)[..7], 9), (b"", 0)] {
            assert_eq!(bare.kind(begins, len), (Data::Binary, 0));
        }
    }
}
