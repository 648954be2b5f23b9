//! Frames that say in a field how long they are.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::ziface::{Decoded, IDecoder, LengthField, Order};

/// Cuts frames by a length field. Each is passed on, from the bytes to be stripped on, as a message of id 0, unless
/// [`parse`](Self::parse) says what is in it.
///
/// # Examples
///
/// ```
/// use zinx::ziface::{Decoded, LengthField};
/// use zinx::zpack::new_frame_decoder;
///
/// // One byte of id, two bytes of length that count the whole frame, the payload.
/// let field = LengthField { length_field_offset: 1, length_adjustment: -3, ..LengthField::default() };
/// let decoder = new_frame_decoder(field)?
///     .parse(|frame| Ok(Decoded::new(u32::from(frame[0]), frame.slice(3..))));
/// # Ok::<(), zinx::Error>(())
/// ```
pub struct LengthFieldDecoder {
    field: LengthField,
    parse: Option<Box<Parse>>,
}

type Parse = dyn Fn(Bytes) -> Result<Decoded> + Send + Sync;

/// A decoder by a length field.
///
/// # Errors
///
/// [`Error::BadDecoder`] if the field has another length than 1, 2, 3, 4 or 8 bytes, or a frame of the maximum length
/// has no room for it.
#[doc(alias = "NewFrameDecoder")]
#[doc(alias = "NewFrameDecoderByParams")]
pub fn new_frame_decoder(field: LengthField) -> Result<LengthFieldDecoder> {
    if !matches!(field.length_field_length, 1 | 2 | 3 | 4 | 8) {
        return Err(Error::BadDecoder { reason: "a length field has 1, 2, 3, 4 or 8 bytes" });
    }
    let end = field.length_field_offset.saturating_add(field.length_field_length);
    if end as u64 > field.max_frame_length || end > super::framing::MAX_UNKNOWN {
        return Err(Error::BadDecoder { reason: "the length field does not fit the longest frame" });
    }
    Ok(LengthFieldDecoder { field, parse: None })
}

/// Type, length, value, big-endian, each of the first two a `u32`: what `DataPack: tlv_big_endian` reads, as a decoder.
#[doc(alias = "NewTLVDecoder")]
pub fn new_tlv_decoder(max_packet_size: u32) -> LengthFieldDecoder {
    classic(Order::BigEndian, 4, 0, max_packet_size)
}

/// Length, type, value, little-endian, each of the first two a `u32`: what `DataPack: ltv_little_endian` reads, as a
/// decoder.
#[doc(alias = "NewLTV_Little_Decoder")]
pub fn new_ltv_little_decoder(max_packet_size: u32) -> LengthFieldDecoder {
    classic(Order::LittleEndian, 0, 4, max_packet_size)
}

fn classic(order: Order, length_at: usize, id_at: usize, max_packet_size: u32) -> LengthFieldDecoder {
    let field = LengthField {
        order,
        max_frame_length: u64::from(max_packet_size) + 8,
        length_field_offset: length_at,
        length_field_length: 4,
        length_adjustment: if length_at == 0 { 4 } else { 0 },
        initial_bytes_to_strip: 0,
    };
    let parse = move |frame: Bytes| {
        let id = frame.get(id_at..id_at + 4).map_or(0, |id| number(id, order));
        Ok(Decoded::new(id as u32, frame.slice(8..)))
    };
    LengthFieldDecoder { field, parse: Some(Box::new(parse)) }
}

impl LengthFieldDecoder {
    /// Lets `parse` make a message of each frame, without the bytes stripped.
    #[must_use]
    pub fn parse(self, parse: impl Fn(Bytes) -> Result<Decoded> + Send + Sync + 'static) -> Self {
        Self { parse: Some(Box::new(parse)), ..self }
    }
}

impl IDecoder for LengthFieldDecoder {
    fn frame_len(&self, begun: &[u8], _seen: usize) -> Result<Option<usize>> {
        let field = &self.field;
        let head_len = field.length_field_offset + field.length_field_length;
        let Some(bytes) = begun.get(field.length_field_offset..head_len) else { return Ok(None) };
        let len = i128::from(number(bytes, field.order)) + i128::from(field.length_adjustment);
        let len = len + head_len as i128;
        let least = head_len.max(field.initial_bytes_to_strip);
        if len < least as i128 {
            let len = i64::try_from(len).unwrap_or(i64::MIN);
            return Err(Error::FrameTooShort { len, least });
        }
        let max = field.max_frame_length;
        match usize::try_from(len) {
            Ok(whole) if whole as u64 <= max => Ok(Some(whole)),
            _ => Err(Error::FrameTooLarge { len: u64::try_from(len).unwrap_or(u64::MAX), max }),
        }
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        let data = frame.slice(self.field.initial_bytes_to_strip..);
        match &self.parse {
            Some(parse) => parse(data),
            None => Ok(Decoded::new(0, data)),
        }
    }

    fn get_length_field(&self) -> Option<LengthField> {
        Some(self.field)
    }
}

impl std::fmt::Debug for LengthFieldDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LengthFieldDecoder").field("field", &self.field).finish_non_exhaustive()
    }
}

/// A number of up to eight bytes.
fn number(bytes: &[u8], order: Order) -> u64 {
    let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match order {
        Order::BigEndian => bytes.iter().fold(0, append),
        Order::LittleEndian => bytes.iter().rev().fold(0, append),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len_of(field: LengthField, begun: &[u8]) -> Result<Option<usize>> {
        new_frame_decoder(field)?.frame_len(begun, 0)
    }

    #[test]
    fn every_length_of_the_field_is_read_in_both_orders() {
        for length_field_length in [1, 2, 3, 4, 8] {
            for order in [Order::BigEndian, Order::LittleEndian] {
                let field = LengthField { order, length_field_length, ..LengthField::default() };
                let mut bytes = vec![0; length_field_length];
                let last = if order == Order::BigEndian { length_field_length - 1 } else { 0 };
                bytes[last] = 200;
                assert_eq!(len_of(field, &bytes).unwrap(), Some(200 + length_field_length));
                assert_eq!(len_of(field, &bytes[1..]).unwrap(), None, "too few bytes to tell");
            }
        }
    }

    #[test]
    fn offset_adjustment_and_strip_are_counted() {
        let field = LengthField {
            length_field_offset: 2,
            length_adjustment: -4,
            initial_bytes_to_strip: 3,
            ..LengthField::default()
        };
        assert_eq!(len_of(field, &[9, 9, 0, 10]).unwrap(), Some(10));
        let decoder = new_frame_decoder(field).unwrap();
        let frame = Bytes::from_static(&[9, 9, 0, 7, 1, 2, 3]);
        assert_eq!(decoder.decode(frame).unwrap().data, [7, 1, 2, 3][..]);
        assert_eq!(decoder.get_length_field(), Some(field));
    }

    #[test]
    fn lengths_that_cannot_be_are_errors_with_their_numbers() {
        let field =
            LengthField { length_field_length: 8, length_adjustment: i64::MAX, ..LengthField::default() };
        let error = len_of(field, &[0xFF; 8]).unwrap_err();
        assert!(matches!(error, Error::FrameTooLarge { len: u64::MAX, max: 65_535 }), "{error}");
        let field = LengthField { length_adjustment: -5, ..LengthField::default() };
        let error = len_of(field, &[0, 3]).unwrap_err();
        assert_eq!(error.to_string(), "frame of 0 bytes is too short: its decoder needs at least 2 bytes");
        let error = len_of(field, &[0, 0]).unwrap_err();
        assert!(matches!(error, Error::FrameTooShort { len: -3, least: 2 }), "{error}");
    }

    #[test]
    fn parameters_that_cannot_be_are_errors() {
        for (length_field_length, max_frame_length) in [(0, 100), (5, 100), (16, 100), (4, 3)] {
            let field = LengthField { length_field_length, max_frame_length, ..LengthField::default() };
            assert!(matches!(new_frame_decoder(field), Err(Error::BadDecoder { .. })));
        }
    }
}
