//! One read: from the transport to a buffer, out of which frames are cut. Both loops that read use it: the reader,
//! and a handler that reads ahead.

use crate::error::{Error, Result};
use crate::green::ReadBuffer;
use crate::zconf::PackKind;
use crate::znet::transport::{Received, Transport};
use crate::zpack::{Frame, FrameReader, Framing, LtvLittleEndian, Pass, TlvBigEndian};

/// What has been read and not been cut into frames: the beginning of one.
#[derive(Default)]
pub(crate) struct Input {
    pub(super) frames: FrameReader,
}

impl Input {
    pub(super) const fn new(frames: FrameReader) -> Self {
        Self { frames }
    }

    /// Whether a frame has begun that has a buffer of its own.
    pub(super) fn is_in_large_frame(&mut self) -> bool {
        self.frames.large_rest().is_some()
    }

    /// Reads what the transport has, once, into `buffer`, behind what has been read of a frame: at most so many bytes.
    /// Returns also up to where the buffer is filled then. It is lent, not moved, and so takes no stack while the connection
    /// waits.
    ///
    /// In line, as all between the loop that reads and the system call: behind one the processor guesses wrong where each function
    /// that was called before it returns to.
    ///
    /// # Errors
    ///
    /// If the transport has failed.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        transport: &Transport,
        buffer: &mut ReadBuffer,
        most: usize,
    ) -> Result<(Received, usize)> {
        let start = self.frames.restore(buffer);
        let room = (buffer.len() - start).min(most);
        let received = transport.recv(&mut buffer[start..start + room]).map_err(failed)?;
        Ok((received, start + received.n))
    }

    /// Cuts the next frame out of a pass: see [`FrameReader::next_lent`]. `built_in`: the format, if it is one whose head can be
    /// read in line, and the longest payload.
    #[inline(always)]
    pub(super) fn next_lent(
        &mut self,
        framing: &Framing,
        built_in: Option<(PackKind, u32)>,
        pass: &mut Pass<ReadBuffer>,
    ) -> Result<Option<Frame>> {
        match built_in {
            Some((PackKind::LtvLittleEndian, max)) => self.frames.next_packed(&LtvLittleEndian, max, pass),
            Some((PackKind::TlvBigEndian, max)) => self.frames.next_packed(&TlvBigEndian, max, pass),
            None => self.frames.next_lent(framing, pass),
        }
    }

    /// As [`fill`](Self::fill), into the buffer of the large frame that has begun.
    pub(super) fn fill_large(&mut self, transport: &Transport, most: usize) -> Result<Received> {
        let Some((buffer, missing)) = self.frames.large_rest() else { return Ok(Received::NOTHING) };
        transport.recv_into(buffer, missing.min(most)).map_err(failed)
    }
}

#[cold]
fn failed(source: std::io::Error) -> Error {
    Error::io("read", source)
}

/// The peer is away, or has taken its socket to another connection.
#[cold]
pub(super) fn no_transport<T>() -> Result<T> {
    Err(failed(std::io::ErrorKind::NotConnected.into()))
}
