//! Decoders fed with anything: no panic, and any split of a stream decodes the same.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block nobody's worker"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::mem::discriminant;
use std::sync::Arc;

use common::random::{Random, with_seeds};
use zinx::ziface::{IDecoder, LengthField, Order};
use zinx::zpack::{
    FrameReader, Framing, LtvLittleEndian, MIN_BUFFER, Message, Pass, TlvBigEndian, htlvcrc_frame,
    new_delimiter_decoder, new_fixed_length_decoder, new_frame_decoder, new_htlvcrc_decoder,
    new_ltv_little_decoder, new_tlv_decoder,
};
use zinx::{Error, Result};

#[test]
fn random_bytes_decode_the_same_however_they_are_split() {
    with_seeds(40, |seed| {
        let mut random = Random::new(seed);
        // Few different bytes: so heads and delimiters come about.
        let kinds = [2, 5, 256][random.below(3) as usize];
        let stream: Vec<u8> = (0..random.below(3000)).map(|_| random.below(kinds) as u8).collect();
        for framing in framings() {
            check(&framing, &stream, &mut random);
        }
    });
}

#[test]
fn damaged_frames_decode_the_same_however_they_are_split() {
    let framings = framings();
    with_seeds(40, |seed| {
        let mut random = Random::new(seed);
        let mut stream: Vec<u8> = (0..random.below(20))
            .flat_map(|_| {
                let body: Vec<u8> = (0..random.below(256)).map(|_| random.below(256) as u8).collect();
                htlvcrc_frame(0xa2, random.below(256) as u8, &body).unwrap()
            })
            .collect();
        if !stream.is_empty() && random.below(2) == 0 {
            let at = random.below(stream.len() as u64) as usize;
            stream[at] ^= 1 << random.below(8);
        }
        check(&framings[0], &stream, &mut random);
    });
}

fn framings() -> Vec<Framing> {
    let field = |order, offset, length, adjustment, strip| LengthField {
        order,
        max_frame_length: 20_000,
        length_field_offset: offset,
        length_field_length: length,
        length_adjustment: adjustment,
        initial_bytes_to_strip: strip,
    };
    let fields = [
        field(Order::BigEndian, 0, 1, 0, 0),
        field(Order::LittleEndian, 3, 2, -5, 4),
        field(Order::BigEndian, 1, 3, 7, 9),
        field(Order::LittleEndian, 0, 4, 0, 4),
        field(Order::BigEndian, 2, 8, i64::MIN, 0),
    ];
    let decoders: [Arc<dyn IDecoder>; 6] = [
        Arc::new(new_htlvcrc_decoder()),
        Arc::new(new_delimiter_decoder([0], 100, 1).unwrap()),
        Arc::new(new_delimiter_decoder([1, 1, 0], 500, 1).unwrap()),
        Arc::new(new_fixed_length_decoder(7, 1).unwrap()),
        Arc::new(new_tlv_decoder(300)),
        Arc::new(new_ltv_little_decoder(300)),
    ];
    let by_fields = fields.map(|field| Arc::new(new_frame_decoder(field).unwrap()) as Arc<dyn IDecoder>);
    let packs = [
        Framing::Pack { pack: Arc::new(LtvLittleEndian), max: 300 },
        Framing::Pack { pack: Arc::new(TlvBigEndian), max: 300 },
    ];
    decoders.into_iter().chain(by_fields).map(Framing::Decoder).chain(packs).collect()
}

/// Decodes a stream in one piece, byte by byte, and in random pieces.
fn check(framing: &Framing, stream: &[u8], random: &mut Random) {
    let whole = decode(framing, stream, &mut || usize::MAX);
    for most in [1, 2, 50, 1000] {
        let split = decode(framing, stream, &mut || 1 + random.below(most) as usize);
        assert_eq!(split.0, whole.0, "{framing:?}, pieces of up to {most}");
        let kind = |error: &Option<Error>| error.as_ref().map(discriminant);
        assert_eq!(kind(&split.1), kind(&whole.1), "{framing:?}, pieces of up to {most}");
        assert_eq!(split.2, whole.2, "{framing:?}, pieces of up to {most}: what a frame begun has");
    }
}

/// The messages, the error after them, and the bytes left over where there is none.
fn decode(
    framing: &Framing,
    mut stream: &[u8],
    piece: &mut dyn FnMut() -> usize,
) -> (Vec<Message>, Option<Error>, usize) {
    let (mut reader, mut messages) = (FrameReader::new(), Vec::new());
    while !stream.is_empty() {
        let n = piece().min(stream.len());
        match feed(&mut reader, framing, &stream[..n], &mut messages) {
            Ok(taken) => stream = &stream[taken..],
            Err(error) => return (messages, Some(error), 0),
        }
    }
    (messages, None, reader.received())
}

/// Gives the reader a piece as a connection does. Returns how much of it was taken.
fn feed(
    reader: &mut FrameReader,
    framing: &Framing,
    piece: &[u8],
    messages: &mut Vec<Message>,
) -> Result<usize> {
    if let Some((rest, missing)) = reader.large_rest() {
        let n = missing.min(piece.len());
        rest.extend_from_slice(&piece[..n]);
        messages.extend(reader.take_large(framing)?);
        return Ok(n);
    }
    let mut buffer = vec![0; MIN_BUFFER + piece.len()];
    let start = reader.restore(&mut buffer);
    buffer[start..start + piece.len()].copy_from_slice(piece);
    let mut pass = Pass::new(buffer, start + piece.len());
    while let Some(message) = reader.next(framing, &mut pass)? {
        messages.push(message);
    }
    Ok(piece.len())
}
