//! What goes before the tail of a queue: full or sealed chunks, the first perhaps in part gone.

use std::collections::VecDeque;

use super::chunk::Chunk;

/// Full or sealed chunks, in order.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) chunks: VecDeque<Chunk>,
    /// Bytes in them still to be sent.
    pub(super) bytes: usize,
    /// Frames in them whose last byte is still to be sent.
    pub(super) messages: usize,
    /// Bytes among them of frames that other queues hold too.
    pub(super) shared: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.left();
        self.messages += chunk.messages();
        self.shared += chunk.left_shared();
        self.chunks.push_back(chunk);
    }

    /// Takes note that the next `n` bytes have been sent.
    pub(super) fn advance(&mut self, mut n: usize) {
        self.bytes -= n;
        while let Some(front) = self.chunks.front_mut() {
            let left = front.left();
            if n < left {
                let shared = front.left_shared();
                self.messages -= front.advance(n);
                self.shared -= shared - front.left_shared();
                return;
            }
            self.shared -= front.left_shared();
            n -= left;
            self.messages -= front.messages();
            self.chunks.pop_front();
        }
    }

    /// Drops the oldest frame of which nothing has been sent. `false` where there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        // Only the front chunk may hold none: its one frame left has begun to leave.
        for at in 0..self.chunks.len().min(2) {
            let chunk = &mut self.chunks[at];
            let shared = chunk.left_shared();
            let Some(dropped) = chunk.drop_oldest() else { continue };
            self.shared -= shared;
            if chunk.messages() == 0 {
                self.chunks.remove(at);
            }
            self.bytes -= dropped;
            self.messages -= 1;
            return true;
        }
        false
    }
}
