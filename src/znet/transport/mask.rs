//! The mask of a WebSocket frame: what a client sends does not look to a proxy like what it is.

/// A mask, and how far it has been applied.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    bytes: Option<[u8; 4]>,
    at: usize,
}

impl Mask {
    pub(super) const fn new(bytes: Option<[u8; 4]>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn bytes(&self) -> Option<[u8; 4]> {
        self.bytes
    }

    pub(super) fn apply(&mut self, part: &mut [u8]) {
        let Some(bytes) = self.bytes else { return };
        let turned: [u8; 4] = std::array::from_fn(|n| bytes[(self.at + n) % 4]);
        self.at = (self.at + part.len()) % 4;
        let mut fours = part.chunks_exact_mut(4);
        for four in &mut fours {
            for (byte, mask) in four.iter_mut().zip(turned) {
                *byte ^= mask;
            }
        }
        for (byte, mask) in fours.into_remainder().iter_mut().zip(turned) {
            *byte ^= mask;
        }
    }
}
