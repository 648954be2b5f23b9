//! Reading messages from a blocking stream, without a server.

use std::io::{self, Read};

use super::{Message, new_message};
use crate::error::{Error, Result};
use crate::ziface::IDataPack;

/// Reads one message from a blocking stream, for clients written as a loop. `None` if the stream ends between two
/// frames.
///
/// # Errors
///
/// [`Error::PacketTooLarge`] over `max` payload bytes, [`Error::Io`] where reading fails or the stream ends inside a
/// frame.
///
/// # Examples
///
/// ```
/// use zinx::ziface::IMessage;
/// use zinx::zpack::{new_data_pack, read_message};
///
/// let mut stream = &b"\x04\0\0\0\x01\0\0\0ping"[..];
/// let message = read_message(&mut stream, &new_data_pack(), 4096)?.unwrap();
/// assert_eq!(message.get_data(), "ping");
/// assert!(read_message(&mut stream, &new_data_pack(), 4096)?.is_none());
/// # Ok::<(), zinx::Error>(())
/// ```
pub fn read_message(stream: &mut impl Read, pack: &dyn IDataPack, max: u32) -> Result<Option<Message>> {
    let mut head = vec![0; pack.get_head_len()];
    if !read_first(stream, &mut head)? {
        return Ok(None);
    }
    let head = pack.unpack(&head)?;
    if head.data_len > max {
        return Err(Error::PacketTooLarge { len: u64::from(head.data_len), max });
    }
    let mut data = Vec::new();
    let got = stream.take(u64::from(head.data_len)).read_to_end(&mut data)?;
    if got < head.data_len as usize {
        return Err(Error::io("read a message", io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(new_message(head.msg_id, data)))
}

/// Fills `head`; `false` if the stream ends before its first byte.
fn read_first(stream: &mut impl Read, head: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while filled < head.len() {
        match stream.read(&mut head[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(Error::io("read a message", io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read a message", error)),
        }
    }
    Ok(true)
}
