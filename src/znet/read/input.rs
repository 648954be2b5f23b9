//! One read: from the transport to a pass of bytes, out of which frames are cut. Both loops that read use it: the reader,
//! and a handler that reads ahead.

use crate::error::{Error, Result};
use crate::green::ReadBuffer;
use crate::znet::transport::{Received, Transport};
use crate::zpack::{FrameReader, Pass};

/// What has been read and not been cut into frames: the beginning of one.
#[derive(Default)]
pub(crate) struct Input {
    pub(super) frames: FrameReader,
}

/// What one read has brought.
pub(crate) struct Filled {
    pub(super) received: Received,
    /// `None` if the read went into the buffer of a large frame.
    pub(super) pass: Option<Pass<ReadBuffer>>,
}

impl Input {
    pub(super) const fn new(frames: FrameReader) -> Self {
        Self { frames }
    }

    /// Whether a frame has begun that has a buffer of its own.
    pub(super) fn is_in_large_frame(&mut self) -> bool {
        self.frames.large_rest().is_some()
    }

    /// Reads what the transport has, once, behind what has been read of a frame. `most` says how much may be read, within
    /// a large frame or not; `take` makes a buffer with room behind so many bytes.
    ///
    /// # Errors
    ///
    /// If the transport has failed.
    #[inline]
    pub(super) fn fill(
        &mut self,
        transport: &Transport,
        most: impl Fn(bool) -> usize,
        take: impl FnOnce(usize) -> ReadBuffer,
    ) -> Result<Filled> {
        if self.is_in_large_frame() {
            return self.fill_large(transport, most(true));
        }
        let mut buffer = take(self.frames.received());
        let start = self.frames.restore(&mut buffer);
        let room = (buffer.len() - start).min(most(false));
        let received = transport.recv(&mut buffer[start..start + room]).map_err(failed)?;
        Ok(Filled { received, pass: Some(Pass::new(buffer, start + received.n)) })
    }

    #[inline(never)]
    fn fill_large(&mut self, transport: &Transport, most: usize) -> Result<Filled> {
        let Some((buffer, missing)) = self.frames.large_rest() else {
            return Ok(Filled { received: Received::NOTHING, pass: None });
        };
        let received = transport.recv_into(buffer, missing.min(most)).map_err(failed)?;
        Ok(Filled { received, pass: None })
    }
}

#[cold]
pub(super) fn failed(source: std::io::Error) -> Error {
    Error::io("read", source)
}
