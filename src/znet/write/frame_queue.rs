//! Whole frames on their way to the socket: small ones side by side, large payloads shared. Pure, no I/O.
//!
//! The queue remembers how long each frame is. It never reads a head to learn that: the answers of a wire format may
//! have other heads than its requests, and `unpack` reads those of requests only.

use std::io::IoSlice;

use bytes::Bytes;

use super::backlog::Backlog;
use super::chunk::Chunk;
use crate::error::{Error, Result};
use crate::green::SendBuffer;
use crate::ziface::{IDataPack, Payload};

/// Frames waiting to be sent, the first perhaps in part gone.
#[derive(Default)]
pub(crate) struct FrameQueue {
    /// What goes before the tail; seldom there.
    backlog: Option<Box<Backlog>>,
    /// Where small frames are appended. Each frame is a piece of it.
    tail: SendBuffer,
}

impl FrameQueue {
    /// Bytes still to be sent.
    pub(crate) fn bytes(&self) -> usize {
        self.tail.len() + self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Bytes in memory of those frames that no other queue holds. What has left of the first one is still there.
    pub(crate) fn own_bytes(&self) -> usize {
        let backlog = self.backlog.as_ref();
        let not_own = backlog.map_or(0, |backlog| backlog.shared);
        let left_already = backlog.and_then(|backlog| backlog.chunks.front()).map_or(0, Chunk::gone_own);
        self.bytes() - not_own + left_already
    }

    /// Frames whose last byte is still to be sent.
    pub(crate) fn messages(&self) -> usize {
        self.tail.pieces() + self.backlog.as_ref().map_or(0, |backlog| backlog.messages)
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
            Payload::Shared(data) if len >= SHARED_FROM => self.push_large(pack, msg_id, data_len, data),
            // A buffer of its own: the tail stays small, and knows the length of each frame in 32 bits.
            data if len >= CHUNK_BYTES => {
                self.push_large(pack, msg_id, data_len, Bytes::copy_from_slice(data.as_slice()))
            }
            data => self.push_small(pack, msg_id, data_len, data.as_slice()),
        }
    }

    /// Appends a frame, if it is a small one and no more than so many frames and bytes are queued then. `false`, and nothing
    /// is done, if not.
    #[inline]
    pub(crate) fn push_plain(
        &mut self,
        pack: &(impl IDataPack + ?Sized),
        msg_id: u32,
        data: &[u8],
        (messages, bytes): (usize, usize),
    ) -> Result<bool> {
        let len = self.tail.len() + pack.get_head_len() + data.len();
        let is_plain = self.backlog.is_none() && data.len() < SHARED_FROM && len <= bytes.min(CHUNK_BYTES);
        if !is_plain || self.tail.pieces() >= messages {
            return Ok(false);
        }
        self.tail.append(|tail| {
            pack.pack_head(msg_id, data.len() as u32, tail)?;
            tail.extend_from_slice(data);
            Ok(true)
        })
    }

    /// Appends bytes that count as one frame.
    pub(crate) fn push_raw(&mut self, data: Payload<'_>) {
        let data = match data {
            Payload::Borrowed(data) => Bytes::copy_from_slice(data),
            Payload::Shared(data) => data,
        };
        self.seal();
        self.backlog().push(Chunk::large(Vec::new(), data));
    }

    fn push_large(&mut self, pack: &dyn IDataPack, msg_id: u32, data_len: u32, data: Bytes) -> Result<()> {
        let mut head = Vec::with_capacity(pack.get_head_len());
        pack.pack_head(msg_id, data_len, &mut head)?;
        self.seal();
        self.backlog().push(Chunk::large(head, data));
        Ok(())
    }

    fn push_small(&mut self, pack: &dyn IDataPack, msg_id: u32, data_len: u32, data: &[u8]) -> Result<()> {
        self.room_in_tail().append(|tail| {
            pack.pack_head(msg_id, data_len, tail)?;
            tail.extend_from_slice(data);
            Ok(())
        })
    }

    /// Appends a frame that is packed already.
    pub(crate) fn push_packed(&mut self, frame: &Bytes) {
        if frame.len() >= SHARED_FROM {
            return self.push_raw(Payload::Shared(frame.clone()));
        }
        let appended: Result<()> = self.room_in_tail().append(|tail| {
            tail.extend_from_slice(frame);
            Ok(())
        });
        debug_assert!(appended.is_ok(), "nothing in there fails");
    }

    /// Appends a frame that is packed already and that other queues hold too.
    pub(crate) fn push_shared(&mut self, frame: &Bytes) {
        self.seal();
        self.backlog().push(Chunk::shared(frame.clone()));
    }

    /// The tail, with room for a small frame.
    fn room_in_tail(&mut self) -> &mut SendBuffer {
        if self.tail.len() > CHUNK_BYTES {
            self.seal();
        }
        &mut self.tail
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

    /// How long each frame is of which something is still to be sent; of the first, what is left of it.
    pub(crate) fn frame_lens(&self) -> impl Iterator<Item = usize> + use<'_> {
        let before = self.backlog.iter().flat_map(|backlog| &backlog.chunks).flat_map(Chunk::frame_lens);
        before.chain((0..self.tail.pieces()).map(|at| self.tail.piece_len(at))).filter(|len| *len > 0)
    }

    /// The bytes to be sent if all of them lie side by side.
    #[inline]
    pub(crate) fn only_tail(&self) -> Option<&[u8]> {
        self.backlog.is_none().then(|| &*self.tail)
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
            // Two parts a chunk at most: more chunks than slices cannot be filled in.
            backlog.chunks.iter().take(most).flat_map(Chunk::rest).for_each(&mut fill);
        }
        fill(&self.tail);
        filled
    }

    /// Takes note that the next `n` bytes have been sent.
    pub(crate) fn advance(&mut self, n: usize) {
        if n >= self.bytes() {
            *self = Self::default();
            return;
        }
        self.seal();
        self.backlog().advance(n);
    }

    /// Drops the oldest frame of which nothing has been sent. `false` if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        self.seal();
        self.backlog().drop_oldest()
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let frames = std::mem::take(&mut self.tail);
            self.backlog().push(Chunk::small(frames));
        }
    }

    fn backlog(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_default()
    }
}

/// Payloads from this length leave without a copy.
pub(crate) const SHARED_FROM: usize = 16 * 1024;

/// Small frames side by side in one chunk, about.
const CHUNK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ziface::Head;
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
        slices[..filled].iter().map(|slice| &**slice).collect::<Vec<_>>().concat()
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
                queue.advance(step);
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
            queue.advance(sent);
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
                if !queue.drop_oldest() {
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

    /// Answers have a head that `unpack` would read as something else, of another length than requests have.
    struct OtherHead;

    impl IDataPack for OtherHead {
        fn get_head_len(&self) -> usize {
            4
        }

        fn unpack(&self, _: &[u8]) -> Result<Head> {
            Ok(Head { msg_id: 0, data_len: 1 })
        }

        fn pack_head(&self, msg_id: u32, _: u32, out: &mut Vec<u8>) -> Result<()> {
            out.extend_from_slice(&[0xFF; 7]);
            if msg_id == 13 { Err(Error::BadFrame { reason: "on purpose" }) } else { Ok(()) }
        }
    }

    #[test]
    fn frames_are_counted_whatever_their_heads_look_like() {
        for dropped in 0..4 {
            let mut queue = FrameQueue::default();
            let push = |queue: &mut FrameQueue, id| queue.push(&OtherHead, id, (&[1; 3][..]).into());
            (0..4).for_each(|id| push(&mut queue, id).unwrap());
            push(&mut queue, 13).unwrap_err();
            assert_eq!((queue.messages(), queue.bytes()), (4, 40), "nothing is left of a frame that failed");
            queue.advance(11);
            let possible = (0..dropped).take_while(|_| queue.drop_oldest()).count();
            let messages = 3 - possible;
            assert_eq!((queue.messages(), queue.bytes()), (messages, 10 * messages - 1));
            assert_eq!(bytes(&queue)[..9], [&[0xFF; 6][..], &[1; 3]].concat());
        }
    }

    #[test]
    fn frames_without_a_byte_are_none() {
        struct Headless;
        impl IDataPack for Headless {
            fn get_head_len(&self) -> usize {
                1
            }

            fn unpack(&self, _: &[u8]) -> Result<Head> {
                Ok(Head { msg_id: 0, data_len: 0 })
            }

            fn pack_head(&self, _: u32, _: u32, _: &mut Vec<u8>) -> Result<()> {
                Ok(())
            }
        }
        let mut queue = FrameQueue::default();
        queue.push(&Headless, 1, "".into()).unwrap();
        assert!(queue.is_empty() && queue.messages() == 0);
        queue.push(&Headless, 1, "data".into()).unwrap();
        assert_eq!((queue.messages(), bytes(&queue)), (1, b"data".to_vec()));
    }

    #[test]
    fn a_frame_that_has_left_in_part_is_in_memory_as_a_whole() {
        let (mut first, frames) = queue(&[1_000_000, 20_000]);
        let (len, rest) = (frames.concat().len(), frames[1].len());
        first.advance(999_000);
        assert_eq!((first.bytes(), first.own_bytes()), (len - 999_000, len));
        first.advance(len - 999_000 - rest);
        assert_eq!((first.bytes(), first.own_bytes()), (rest, rest));
    }

    #[test]
    fn a_later_queue_follows() {
        let (mut first, mut frames) = queue(&[4, 30_000]);
        let (second, more) = queue(&[6]);
        first.advance(5);
        first.append(second);
        frames.extend(more);
        assert_eq!(bytes(&first), &frames.concat()[5..]);
        assert_eq!(first.messages(), 3);
    }
}
