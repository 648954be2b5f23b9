//! Every decoder of the library, with parameters out of the input.

use std::sync::Arc;

use bytes::Bytes;
use zinx::Error;
use zinx::ziface::{IDataPack, IDecoder, LengthField, Order};
use zinx::zpack::{
    Framing, LtvLittleEndian, Message, TlvBigEndian, crc16_modbus, new_delimiter_decoder,
    new_fixed_length_decoder, new_frame_decoder, new_htlvcrc_decoder, new_ltv_little_decoder, new_message,
    new_tlv_decoder, read_message,
};

use super::feeding::{Cutter, Outcome};
use super::source::Source;

/// The two classic formats: as a wire format, as a decoder and read by `read_message` they give the same.
pub fn classic(input: &[u8]) {
    let mut source = Source::new(input);
    let (choice, max) = (source.byte(), source.number(2) as u32);
    let stream = source.rest();
    let (pack, decoder): (Arc<dyn IDataPack>, Arc<dyn IDecoder>) = if choice & 1 == 0 {
        (Arc::new(LtvLittleEndian), Arc::new(new_ltv_little_decoder(max)))
    } else {
        (Arc::new(TlvBigEndian), Arc::new(new_tlv_decoder(max)))
    };
    let cutter = |framing| Cutter { framing, longest: u64::from(max) + 8, around: (8, 0) };
    let by_pack = cutter(Framing::Pack { pack: Arc::clone(&pack), max }).check(stream);
    let by_decoder = cutter(Framing::Decoder(decoder)).check(stream);
    assert_eq!(by_decoder.messages, by_pack.messages);
    // The decoder refuses a length before the head is whole.
    if by_pack.error.is_some() || by_pack.left >= pack.get_head_len() {
        assert_eq!((by_decoder.error.is_some(), by_decoder.left), (by_pack.error.is_some(), by_pack.left));
    }
    check_read_message(&*pack, max, stream, &by_pack);
    // What was read is written as it came.
    let written: Vec<u8> = by_pack.messages.iter().flat_map(|message| pack.pack(message).unwrap()).collect();
    assert!(stream.starts_with(&written));
    assert!(pack.unpack(stream).is_ok() == (stream.len() == pack.get_head_len()));
}

fn check_read_message(pack: &dyn IDataPack, max: u32, mut stream: &[u8], expected: &Outcome) {
    for message in &expected.messages {
        assert_eq!(read_message(&mut stream, pack, max).unwrap().as_ref(), Some(message));
    }
    match read_message(&mut stream, pack, max) {
        Ok(end) => assert!(end.is_none() && expected.error.is_none() && expected.left == 0),
        Err(Error::Io { .. }) => assert!(expected.error.is_none() && expected.left > 0),
        Err(_) => assert!(expected.error.is_some()),
    }
}

/// HTLVCRC. Where the first byte is odd the checksums are put right, for chance would hit none.
pub fn htlvcrc(input: &[u8]) {
    let mut source = Source::new(input);
    let mend = source.byte() & 1 == 1;
    let mut stream = source.rest().to_vec();
    let _ = new_htlvcrc_decoder().decode(Bytes::copy_from_slice(&stream));
    let frames = if mend { mend_checksums(&mut stream) } else { 0 };
    let cutter =
        Cutter { framing: Framing::Decoder(Arc::new(new_htlvcrc_decoder())), longest: 260, around: (0, 0) };
    let outcome = cutter.check(&stream);
    assert!(outcome.messages.len() >= frames);
    assert!(!mend || outcome.error.is_none());
}

/// Returns how many frames there are.
fn mend_checksums(stream: &mut [u8]) -> usize {
    let (mut from, mut frames) = (0, 0);
    while let Some(body) = stream.get(from + 2) {
        let end = from + 3 + usize::from(*body);
        let Some(frame) = stream.get_mut(from..end + 2) else { break };
        let (covered, crc) = frame.split_at_mut(end - from);
        crc.copy_from_slice(&crc16_modbus(covered).to_le_bytes());
        (from, frames) = (end + 2, frames + 1);
    }
    frames
}

/// The length-field decoder, all of its parameters out of the input: those that cannot be are refused, with the others
/// streams are cut.
pub fn length_field(input: &[u8]) {
    let mut source = Source::new(input);
    let choice = source.byte();
    let field = LengthField {
        order: if choice & 1 == 0 { Order::BigEndian } else { Order::LittleEndian },
        length_field_length: usize::from(choice >> 1 & 0xF),
        max_frame_length: if choice & 0x20 == 0 { source.number(2) } else { source.number(8) },
        length_field_offset: if choice & 0x40 == 0 { source.number(1) } else { source.number(8) } as usize,
        length_adjustment: if choice & 0x80 == 0 {
            i64::from(source.byte().cast_signed())
        } else {
            source.number(8).cast_signed()
        },
        initial_bytes_to_strip: source.number(1) as usize,
    };
    let Ok(decoder) = new_frame_decoder(field) else { return };
    assert_eq!(decoder.get_length_field(), Some(field));
    let cutter = Cutter {
        framing: Framing::Decoder(Arc::new(decoder)),
        longest: field.max_frame_length,
        around: (field.initial_bytes_to_strip, 0),
    };
    cutter.check(source.rest());
}

/// The delimiter decoder, set beside the plainest way to cut at a delimiter.
pub fn delimiter(input: &[u8]) {
    let mut source = Source::new(input);
    let (len, max) = (source.byte() % 5, source.number(2) as usize);
    let delimiter = source.bytes(usize::from(len));
    let Ok(decoder) = new_delimiter_decoder(delimiter, max, ID) else {
        assert!(delimiter.is_empty() || delimiter.len() > max);
        return;
    };
    let cutter = Cutter {
        framing: Framing::Decoder(Arc::new(decoder)),
        longest: max as u64,
        around: (0, delimiter.len()),
    };
    let stream = source.rest();
    let outcome = cutter.check(stream);
    let (messages, left) = cut_plainly(stream, delimiter, max);
    assert_eq!(outcome.messages, messages);
    assert_eq!(outcome.error.is_some(), left.is_none());
    assert_eq!(outcome.left, left.unwrap_or(0));
}

/// The frames, and what is left behind them; `None` where that is no frame.
fn cut_plainly(mut stream: &[u8], delimiter: &[u8], max: usize) -> (Vec<Message>, Option<usize>) {
    let mut messages = Vec::new();
    loop {
        let end = (0..stream.len()).find(|at| stream[*at..].starts_with(delimiter));
        match end {
            Some(end) if end + delimiter.len() <= max => {
                messages.push(new_message(ID, stream[..end].to_vec()));
                stream = &stream[end + delimiter.len()..];
            }
            None if stream.len() < max => return (messages, Some(stream.len())),
            _ => return (messages, None),
        }
    }
}

/// Frames of one length.
pub fn fixed_length(input: &[u8]) {
    let mut source = Source::new(input);
    let choice = source.byte();
    let len = source.number(if choice < 250 { 1 } else { 4 }) as usize;
    let Ok(decoder) = new_fixed_length_decoder(len, ID) else {
        assert!(len == 0 || len > 1 << 30);
        return;
    };
    let cutter = Cutter { framing: Framing::Decoder(Arc::new(decoder)), longest: len as u64, around: (0, 0) };
    let stream = source.rest();
    let outcome = cutter.check(stream);
    let expected: Vec<_> = stream.chunks_exact(len).map(|frame| new_message(ID, frame.to_vec())).collect();
    assert_eq!(outcome.messages, expected);
    assert!(outcome.error.is_none());
}

/// The message id of frames that have none.
const ID: u32 = 5;
