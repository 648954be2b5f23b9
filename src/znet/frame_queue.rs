//! Whole frames on their way to the socket: small ones side by side, large payloads shared. Pure, no I/O.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::green::SendBuffer;
use crate::ziface::{IDataPack, Payload};

/// Frames waiting to be sent, the first perhaps in part gone.
#[derive(Default)]
pub(crate) struct FrameQueue {
    /// What goes before the tail; seldom there.
    backlog: Option<Box<Backlog>>,
    /// Where small frames are appended.
    tail: SendBuffer,
    tail_messages: usize,
}

/// Full or sealed chunks, in order.
#[derive(Default)]
struct Backlog {
    chunks: VecDeque<Chunk>,
    /// Bytes in them still to be sent.
    bytes: usize,
    /// Frames in them whose last byte is still to be sent.
    messages: usize,
    /// Bytes of the front chunk that are sent.
    sent: usize,
    /// Where the first frame not wholly sent begins in the front chunk. At most `sent`.
    boundary: usize,
}

enum Chunk {
    /// Whole frames, side by side.
    Small { frames: SendBuffer, messages: usize },
    /// One frame whose payload is shared, or bytes that are sent as they are: then the head is empty.
    Large { head: Vec<u8>, data: Bytes },
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Small { frames, .. } => frames.len(),
            Self::Large { head, data } => head.len() + data.len(),
        }
    }

    fn parts(&self) -> [&[u8]; 2] {
        match self {
            Self::Small { frames, .. } => [frames, &[]],
            Self::Large { head, data } => [head, data],
        }
    }

    const fn messages(&self) -> usize {
        match self {
            Self::Small { messages, .. } => *messages,
            Self::Large { .. } => 1,
        }
    }

    /// Length of the frame that begins at `at`.
    fn frame_len(&self, pack: &dyn IDataPack, at: usize) -> usize {
        match self {
            Self::Small { frames, .. } => {
                let head_len = pack.get_head_len();
                let head = frames.get(at..at + head_len).map(|head| pack.unpack(head));
                // What this server packed it can unpack; were it not so, the rest counts as one frame.
                head.and_then(Result::ok).map_or(frames.len() - at, |head| head_len + head.data_len as usize)
            }
            Self::Large { .. } => self.len(),
        }
    }
}

impl FrameQueue {
    /// Bytes still to be sent.
    pub(crate) fn bytes(&self) -> usize {
        self.tail.len() + self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Frames whose last byte is still to be sent.
    pub(crate) fn messages(&self) -> usize {
        self.tail_messages + self.backlog.as_ref().map_or(0, |backlog| backlog.messages)
    }

    /// Whether nothing is left to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Appends a frame.
    pub(crate) fn push(&mut self, pack: &dyn IDataPack, msg_id: u32, data: Payload<'_>) -> Result<()> {
        let len = data.as_slice().len();
        let Ok(data_len) = u32::try_from(len) else {
            return Err(Error::PacketTooLarge { len: len as u64, max: u32::MAX });
        };
        match data {
            Payload::Shared(data) if len >= SHARED_FROM => {
                let mut head = Vec::with_capacity(pack.get_head_len());
                pack.pack_head(msg_id, data_len, &mut head)?;
                self.seal();
                self.backlog().push(Chunk::Large { head, data });
                Ok(())
            }
            data => self.push_small(pack, msg_id, data_len, data.as_slice()),
        }
    }

    /// Appends bytes that count as one frame. Their length is known only to a chunk of their own.
    pub(crate) fn push_raw(&mut self, data: Payload<'_>) {
        let data = match data {
            Payload::Borrowed(data) => Bytes::copy_from_slice(data),
            Payload::Shared(data) => data,
        };
        self.seal();
        self.backlog().push(Chunk::Large { head: Vec::new(), data });
    }

    fn push_small(&mut self, pack: &dyn IDataPack, msg_id: u32, data_len: u32, data: &[u8]) -> Result<()> {
        if self.tail.len() > CHUNK_BYTES {
            self.seal();
        }
        let tail = self.tail.grow();
        let before = tail.len();
        if let Err(error) = pack.pack_head(msg_id, data_len, tail) {
            tail.truncate(before);
            return Err(error);
        }
        tail.extend_from_slice(data);
        self.tail_messages += 1;
        Ok(())
    }

    /// Appends a frame that is packed already.
    pub(crate) fn push_packed(&mut self, frame: &Bytes) {
        if frame.len() >= SHARED_FROM {
            return self.push_raw(Payload::Shared(frame.clone()));
        }
        if self.tail.len() > CHUNK_BYTES {
            self.seal();
        }
        self.tail.grow().extend_from_slice(frame);
        self.tail_messages += 1;
    }

    /// Appends all of a later queue whose first frame has not begun to leave.
    pub(crate) fn append(&mut self, mut later: Self) {
        if later.is_empty() {
            return;
        }
        later.seal();
        self.seal();
        for chunk in later.backlog.into_iter().flat_map(|later| later.chunks) {
            self.backlog().push(chunk);
        }
    }

    /// The bytes to be sent, in order, as far as `slices` has room. Returns how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (most, mut filled) = (slices.len(), 0);
        let mut fill = |part: &'a [u8]| {
            if !part.is_empty() && filled < most {
                slices[filled] = IoSlice::new(part);
                filled += 1;
            }
        };
        if let Some(backlog) = &self.backlog {
            let mut skip = backlog.sent;
            // Two parts a chunk at most: more chunks than slices cannot be filled in.
            for part in backlog.chunks.iter().take(most).flat_map(Chunk::parts) {
                let skipped = skip.min(part.len());
                skip -= skipped;
                fill(&part[skipped..]);
            }
        }
        fill(&self.tail);
        filled
    }

    /// Takes note that the next `n` bytes have been sent.
    pub(crate) fn advance(&mut self, pack: &dyn IDataPack, n: usize) {
        if n >= self.bytes() {
            *self = Self::default();
            return;
        }
        self.seal();
        self.backlog().advance(pack, n);
    }

    /// Drops the oldest frame of which nothing has been sent. `false` where there is none.
    pub(crate) fn drop_oldest(&mut self, pack: &dyn IDataPack) -> bool {
        self.seal();
        let backlog = self.backlog();
        let dropped = backlog.drop_oldest(pack);
        backlog.bytes -= dropped.unwrap_or(0);
        backlog.messages -= usize::from(dropped.is_some());
        dropped.is_some()
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let frames = std::mem::take(&mut self.tail);
            let messages = std::mem::take(&mut self.tail_messages);
            self.backlog().push(Chunk::Small { frames, messages });
        }
    }

    fn backlog(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_default()
    }
}

impl Backlog {
    /// Appends a chunk of which nothing has been sent.
    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.len();
        self.messages += chunk.messages();
        self.chunks.push_back(chunk);
    }

    /// Takes note that the next `n` bytes have been sent.
    fn advance(&mut self, pack: &dyn IDataPack, mut n: usize) {
        self.bytes -= n;
        while let Some(front) = self.chunks.front() {
            let left = front.len() - self.sent;
            if n < left {
                break;
            }
            n -= left;
            self.messages -= front.messages();
            self.pop_front();
        }
        self.sent += n;
        self.pass_boundaries(pack);
    }

    /// Counts off the frames of the front chunk that are wholly sent.
    fn pass_boundaries(&mut self, pack: &dyn IDataPack) {
        let Some(front) = self.chunks.front_mut() else { return };
        loop {
            let end = self.boundary + front.frame_len(pack, self.boundary);
            if end > self.sent {
                return;
            }
            self.boundary = end;
            self.messages -= 1;
            if let Chunk::Small { messages, .. } = front {
                *messages -= 1;
            }
        }
    }

    /// Drops the oldest frame of which nothing has been sent, and returns its length.
    fn drop_oldest(&mut self, pack: &dyn IDataPack) -> Option<usize> {
        let front = self.chunks.front_mut()?;
        let begun = self.sent > self.boundary;
        let next = if begun { self.boundary + front.frame_len(pack, self.boundary) } else { self.boundary };
        if next >= front.len() {
            return self.drop_first_of_second(pack);
        }
        let len = front.frame_len(pack, next);
        if let Chunk::Small { frames, messages } = front {
            // The frame begun moves up to the one behind the dropped, also the part that is sent: its head is read.
            frames.copy_within(self.boundary..next, self.boundary + len);
            *messages -= 1;
        }
        self.sent += len;
        self.boundary += len;
        if self.sent == front.len() {
            self.pop_front();
        }
        Some(len)
    }

    fn drop_first_of_second(&mut self, pack: &dyn IDataPack) -> Option<usize> {
        let second = self.chunks.get_mut(1)?;
        let len = second.frame_len(pack, 0);
        if let Chunk::Small { frames, messages } = second {
            frames.drain(..len);
            *messages -= 1;
        }
        if second.messages() == 0 || matches!(second, Chunk::Large { .. }) {
            self.chunks.remove(1);
        }
        Some(len)
    }

    fn pop_front(&mut self) {
        self.chunks.pop_front();
        (self.sent, self.boundary) = (0, 0);
    }
}

/// Payloads from this length leave without a copy.
const SHARED_FROM: usize = 16 * 1024;

/// Small frames side by side in one chunk, about.
const CHUNK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zpack::LtvLittleEndian;

    fn queue(lens: &[usize]) -> (FrameQueue, Vec<Vec<u8>>) {
        let mut queue = FrameQueue::default();
        let mut frames = Vec::new();
        for (id, &len) in lens.iter().enumerate() {
            let data = Bytes::from(vec![id as u8; len]);
            let mut frame = Vec::new();
            LtvLittleEndian.pack_head(id as u32, len as u32, &mut frame).unwrap();
            frame.extend_from_slice(&data);
            frames.push(frame);
            queue.push(&LtvLittleEndian, id as u32, data.into()).unwrap();
        }
        (queue, frames)
    }

    fn bytes(queue: &FrameQueue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = queue.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn what_is_sent_in_any_pieces_is_counted_exactly() {
        let lens = [0, 5, 20_000, 1, 70_000, 3, 16_384, 2];
        for step in [13, 1000, 16_392, 50_000] {
            let (mut queue, frames) = queue(&lens);
            let all = frames.concat();
            assert!(bytes(&queue) == all);
            let mut sent = 0;
            while !queue.is_empty() {
                sent = (sent + step).min(all.len());
                queue.advance(&LtvLittleEndian, step);
                let mut end = 0;
                let left = frames
                    .iter()
                    .filter(|frame| {
                        end += frame.len();
                        end > sent
                    })
                    .count();
                assert_eq!(
                    (queue.messages(), queue.bytes()),
                    (left, all.len() - sent),
                    "step {step}, sent {sent}"
                );
                assert!(bytes(&queue) == all[sent..], "step {step}, sent {sent}");
            }
        }
    }

    #[test]
    fn the_oldest_frame_not_begun_is_dropped_and_the_stream_stays_whole() {
        let lens = [3, 5, 20_000, 7, 9];
        for sent in 0..40 {
            let (mut queue, frames) = queue(&lens);
            queue.advance(&LtvLittleEndian, sent);
            let mut begin = 0;
            let starts: Vec<usize> = frames
                .iter()
                .map(|f| {
                    let at = begin;
                    begin += f.len();
                    at
                })
                .collect();
            let mut expected: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            while let Some(first) = starts.iter().position(|&at| at >= sent).filter(|_| queue.messages() > 0)
            {
                if !queue.drop_oldest(&LtvLittleEndian) {
                    break;
                }
                let gone = frames.len() - expected.len();
                expected.remove(first);
                let whole = expected.concat();
                assert!(bytes(&queue) == whole[sent.min(whole.len())..], "sent {sent}, dropped {}", gone + 1);
            }
            assert!(queue.messages() <= 1, "only a frame begun stays");
        }
    }

    #[test]
    fn a_later_queue_follows() {
        let (mut first, mut frames) = queue(&[4, 30_000]);
        let (second, more) = queue(&[6]);
        first.advance(&LtvLittleEndian, 5);
        first.append(second);
        frames.extend(more);
        assert_eq!(bytes(&first), &frames.concat()[5..]);
        assert_eq!(first.messages(), 3);
    }
}
