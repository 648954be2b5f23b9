//! The two classic formats of Zinx, and none. Both have a head of eight bytes: length and id, each a `u32`.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use crate::error::{Error, Result};
use crate::ziface::{Head, IDataPack};

/// Length, id, value, little-endian: the tutorial's and the Python port's format, and our default.
///
/// Id 1 with `ping` is `04000000 01000000 70696e67`. (Source: `zinx_pack_ltv_little_endian` of Go Zinx.)
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "NewDataPackLtv")]
pub struct LtvLittleEndian;

/// Id, length, value, big-endian: the default of Go Zinx today.
///
/// Id 1 with `ping` is `00000001 00000004 70696e67`. (Source: `zinx_pack_tlv_big_endian` of Go Zinx.)
#[derive(Clone, Copy, Debug, Default)]
pub struct TlvBigEndian;

/// No head: a payload leaves as it is. Beside a decoder, for peers with framing of their own, so that all that sends
/// messages (`send_msg`, `call`, `ask`, `broadcast`) sends whole frames of theirs. The message id is not sent. Without a
/// decoder the server does not start.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::prelude::*;
/// use zinx::zpack::{NoHead, htlvcrc_frame, new_htlvcrc_decoder};
///
/// fn set_up(server: &Server) -> zinx::Result<()> {
///     server.set_decoder(new_htlvcrc_decoder())?;
///     server.set_packet(NoHead)
/// }
///
/// /// Asks a device, and waits for its frame with the function 0x91.
/// fn ask(device: &dyn IConnection) -> zinx::Result<Message> {
///     device.call(0x11, htlvcrc_frame(0xa2, 0x11, &[1])?, 0x91, Duration::from_secs(2))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHead;

/// The default format, [`LtvLittleEndian`].
///
/// # Examples
///
/// ```
/// use zinx::ziface::IDataPack;
/// use zinx::zpack::{new_data_pack, new_message};
///
/// let frame = new_data_pack().pack(&new_message(1, "ping")).unwrap();
/// assert_eq!(frame, b"\x04\0\0\0\x01\0\0\0ping");
/// ```
#[doc(alias = "NewDataPack")]
#[doc(alias("Factory", "NewPack"))]
pub const fn new_data_pack() -> LtvLittleEndian {
    LtvLittleEndian
}

impl IDataPack for LtvLittleEndian {
    #[inline]
    fn get_head_len(&self) -> usize {
        HEAD_LEN
    }

    #[inline]
    fn unpack(&self, head: &[u8]) -> Result<Head> {
        let (len, id) = split::<LittleEndian>(head)?;
        Ok(Head { msg_id: id, data_len: len })
    }

    #[inline]
    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        join::<LittleEndian>(data_len, msg_id, out);
        Ok(())
    }
}

impl IDataPack for TlvBigEndian {
    #[inline]
    fn get_head_len(&self) -> usize {
        HEAD_LEN
    }

    #[inline]
    fn unpack(&self, head: &[u8]) -> Result<Head> {
        let (id, len) = split::<BigEndian>(head)?;
        Ok(Head { msg_id: id, data_len: len })
    }

    #[inline]
    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        join::<BigEndian>(msg_id, data_len, out);
        Ok(())
    }
}

impl IDataPack for NoHead {
    fn get_head_len(&self) -> usize {
        0
    }

    fn unpack(&self, _head: &[u8]) -> Result<Head> {
        Err(Error::BadFrame { reason: "without a head only a decoder can tell a frame" })
    }

    fn pack_head(&self, _msg_id: u32, _data_len: u32, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

#[inline]
fn split<O: ByteOrder>(head: &[u8]) -> Result<(u32, u32)> {
    match head {
        [_, _, _, _, _, _, _, _] => Ok((O::read_u32(&head[..4]), O::read_u32(&head[4..]))),
        _ => Err(Error::BadFrame { reason: "a head is eight bytes" }),
    }
}

#[inline]
fn join<O: ByteOrder>(first: u32, second: u32, out: &mut Vec<u8>) {
    let mut head = [0; HEAD_LEN];
    O::write_u32(&mut head[..4], first);
    O::write_u32(&mut head[4..], second);
    out.extend_from_slice(&head);
}

const HEAD_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zpack::new_message;

    #[test]
    fn frames_are_those_of_zinx_byte_for_byte() {
        let ping = new_message(1, "ping");
        let empty = new_message(7, "");
        assert_eq!(LtvLittleEndian.pack(&ping).unwrap(), b"\x04\0\0\0\x01\0\0\0ping");
        assert_eq!(LtvLittleEndian.pack(&empty).unwrap(), b"\0\0\0\0\x07\0\0\0");
        assert_eq!(TlvBigEndian.pack(&ping).unwrap(), b"\0\0\0\x01\0\0\0\x04ping");
        assert_eq!(TlvBigEndian.pack(&empty).unwrap(), b"\0\0\0\x07\0\0\0\0");
    }

    #[test]
    fn unpack_reads_what_pack_wrote() {
        for pack in [&LtvLittleEndian as &dyn IDataPack, &TlvBigEndian] {
            let frame = pack.pack(&new_message(0xDEAD_BEEF, vec![9; 300])).unwrap();
            let head = pack.unpack(&frame[..pack.get_head_len()]).unwrap();
            assert_eq!((head.get_msg_id(), head.get_data_len()), (0xDEAD_BEEF, 300));
        }
    }

    #[test]
    fn a_head_of_another_length_is_an_error() {
        assert!(LtvLittleEndian.unpack(&[0; 7]).is_err());
        assert!(TlvBigEndian.unpack(&[0; 9]).is_err());
    }
}
