//! HTLVCRC: frames of devices, with a checksum.
//!
//! | head | function | length of the body | body | CRC-16/MODBUS of all before, low byte first |
//! |---|---|---|---|---|
//! | `u8` | `u8` | `u8` | up to 255 bytes | `u16` |

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::ziface::{Decoded, IDecoder, LengthField};

/// Cuts and checks HTLVCRC frames. The message id is the function, the payload the whole frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct HtlvCrcDecoder;

/// A decoder of HTLVCRC frames, of up to 260 bytes.
#[doc(alias = "NewHTLVCRCDecoder")]
pub const fn new_htlvcrc_decoder() -> HtlvCrcDecoder {
    HtlvCrcDecoder
}

impl IDecoder for HtlvCrcDecoder {
    fn frame_len(&self, begun: &[u8], _seen: usize) -> Result<Option<usize>> {
        Ok(begun.get(2).map(|&body| HEAD_LEN + usize::from(body) + CRC_LEN))
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        let Some((covered, &[low, high])) = frame.split_last_chunk() else {
            return Err(Error::BadFrame { reason: "no room for a checksum" });
        };
        let (found, expected) = (u16::from_le_bytes([low, high]), crc16_modbus(covered));
        if found != expected {
            return Err(Error::BadCrc { found, expected });
        }
        let msg_id = covered.get(1).map_or(0, |&function| u32::from(function));
        Ok(Decoded::new(msg_id, frame))
    }

    fn get_length_field(&self) -> Option<LengthField> {
        Some(LengthField {
            max_frame_length: (HEAD_LEN + 255 + CRC_LEN) as u64,
            length_field_offset: 2,
            length_field_length: 1,
            length_adjustment: CRC_LEN as i64,
            ..LengthField::default()
        })
    }
}

/// A whole HTLVCRC frame, to be sent with `send_to_queue`.
///
/// # Errors
///
/// [`Error::FrameTooLarge`] for a body of more than 255 bytes.
///
/// # Examples
///
/// ```
/// assert_eq!(zinx::zpack::htlvcrc_frame(0xa2, 0x10, &[7])?, [0xa2, 0x10, 1, 7, 0x62, 0x0b]);
/// # Ok::<(), zinx::Error>(())
/// ```
pub fn htlvcrc_frame(head: u8, function: u8, body: &[u8]) -> Result<Vec<u8>> {
    let whole = HEAD_LEN + body.len() + CRC_LEN;
    let Ok(len) = u8::try_from(body.len()) else {
        return Err(Error::FrameTooLarge { len: whole as u64, max: (HEAD_LEN + 255 + CRC_LEN) as u64 });
    };
    let mut frame = Vec::with_capacity(whole);
    frame.extend_from_slice(&[head, function, len]);
    frame.extend_from_slice(body);
    let crc = crc16_modbus(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    Ok(frame)
}

/// CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF.
#[doc(alias = "CheckCRC")]
#[doc(alias = "GetCrC")]
pub fn crc16_modbus(data: &[u8]) -> u16 {
    data.iter().fold(0xFFFF, |crc, &byte| crc >> 8 ^ TABLE[usize::from((crc ^ u16::from(byte)) as u8)])
}

static TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

const HEAD_LEN: usize = 3;
const CRC_LEN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_modbus() {
        assert_eq!(crc16_modbus(b"123456789").to_le_bytes(), [0x37, 0x4b]);
    }

    #[test]
    fn frames_are_those_of_zinx_byte_for_byte() {
        assert_eq!(htlvcrc_frame(0xa2, 0x10, &[7]).unwrap(), [0xa2, 0x10, 1, 7, 0x62, 0x0b]);
        assert_eq!(htlvcrc_frame(0xa2, 0x10, &[0; 3]).unwrap(), [0xa2, 0x10, 3, 0, 0, 0, 0xd8, 0xde]);
        assert!(htlvcrc_frame(0xa2, 0x10, &[0; 256]).is_err());
    }
}
