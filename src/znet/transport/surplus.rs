//! Bytes that a transport holds between two calls: read and not taken yet, or not sent yet. One of its own costs nothing while
//! it is empty.

/// Bytes that leave at the front.
#[derive(Default)]
pub(super) struct Surplus {
    bytes: Vec<u8>,
    /// How many of them have left.
    gone: usize,
}

impl Surplus {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), gone: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    /// Bytes of memory that it takes.
    pub(super) const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Appends what `write` says it has put into so many bytes.
    #[cfg(feature = "tls")]
    pub(super) fn push_with(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let before = self.bytes.len();
        self.bytes.resize(before + room, 0);
        let written = write(&mut self.bytes[before..]);
        self.bytes.truncate(before + written);
    }

    /// Takes note that `n` bytes have left. Once all have, their memory goes too.
    pub(super) fn advance(&mut self, n: usize) {
        self.gone += n;
        if self.gone >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Moves as many as fit to the front of `room`. Returns how many.
    pub(super) fn take_into(&mut self, room: &mut [u8]) -> usize {
        let n = self.rest().len().min(room.len());
        room[..n].copy_from_slice(&self.rest()[..n]);
        self.advance(n);
        n
    }
}

/// Where content goes: into what is asked for, and what has no room there into what is kept.
#[cfg(feature = "websocket")]
pub(super) struct Sink<'a> {
    pub(super) out: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) rest: &'a mut Surplus,
}

#[cfg(feature = "websocket")]
impl Sink<'_> {
    pub(super) fn put(&mut self, part: &[u8]) {
        let n = part.len().min(self.out.len() - self.filled);
        self.out[self.filled..self.filled + n].copy_from_slice(&part[..n]);
        self.filled += n;
        self.rest.push(&part[n..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_leaves_in_order_and_leaves_no_memory() {
        let mut surplus = Surplus::default();
        surplus.push(b"abc");
        surplus.push(b"de");
        let mut room = [0; 2];
        assert_eq!((surplus.take_into(&mut room), &room), (2, b"ab"));
        assert_eq!(surplus.rest(), b"cde");
        surplus.advance(3);
        assert!(surplus.is_empty() && surplus.bytes.capacity() == 0);
        assert_eq!(surplus.take_into(&mut room), 0);
    }
}
