//! Buffers to read into and to send from. Each worker keeps a few to spare, and what it has not needed for a while goes
//! back to the system. Another thread keeps one of each kind until it ends.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::home::{self, Home};
use super::memory;
use super::worker::with_spare;

/// Has all workers free the spare buffers that they have not needed since this was last called: each as soon as it has nothing
/// else to do.
pub(super) fn free_unused() {
    ROUND.fetch_add(1, Ordering::Relaxed);
    home::all().iter().for_each(Home::ring);
}

/// Frees those of the worker that calls, and what is free at the end of its heap, if that was asked for. By its poller.
pub(super) fn trim() {
    let round = ROUND.load(Ordering::Relaxed);
    let unused = with_spare(|spare| (spare.round != round).then(|| spare.take_unused(round))).flatten();
    if let Some(unused) = unused {
        drop(unused);
        memory::trim_own_heap();
    }
}

/// What a thread has to spare.
pub(super) struct Spare {
    keeps_many: bool,
    /// What was last asked of it by [`free_unused`].
    round: u32,
    read: Stack<Vec<u8>>,
    // Handed on as they are, in one word each.
    send: Stack<Box<Pieces>>,
    /// Small ones, of which a broadcast to many takes as many.
    small: Stack<Box<Pieces>>,
}

impl Spare {
    pub(super) const fn new() -> Self {
        Self { keeps_many: false, round: 0, read: Stack::new(), send: Stack::new(), small: Stack::new() }
    }

    /// The thread is a worker, which [trims](trim) what it keeps.
    pub(super) const fn keep_many(&mut self) {
        self.keeps_many = true;
    }

    const fn most(&self, on_worker: usize) -> usize {
        if self.keeps_many { on_worker } else { 1 }
    }

    fn take_unused(&mut self, round: u32) -> impl Sized + use<> {
        self.round = round;
        let read = self.read.take_unused();
        LARGE_BUFFERS.fetch_sub(read.len(), Ordering::Relaxed);
        (read, self.send.take_unused(), self.small.take_unused())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        LARGE_BUFFERS.fetch_sub(self.read.all.len(), Ordering::Relaxed);
    }
}

/// Spare buffers. The last one put in is the first one taken.
struct Stack<T> {
    all: Vec<T>,
    /// The fewest there have been since it was last looked: so many have not been needed.
    fewest: usize,
}

impl<T> Stack<T> {
    const fn new() -> Self {
        Self { all: Vec::new(), fewest: 0 }
    }

    fn take(&mut self) -> Option<T> {
        let taken = self.all.pop();
        self.fewest = self.fewest.min(self.all.len());
        taken
    }

    /// Puts a buffer in. `false` if there are `most` already, and it is dropped.
    fn put(&mut self, buffer: T, most: usize) -> bool {
        let has_room = self.all.len() < most;
        if has_room {
            self.all.push(buffer);
        }
        has_room
    }

    /// Takes those that have not been needed since this was last called.
    fn take_unused(&mut self) -> Vec<T> {
        let unused = self.all.drain(..self.fewest).collect();
        self.fewest = self.all.len();
        unused
    }
}

/// A read buffer of the thread that took it. Belongs to one read pass; dropped, it serves the next.
pub(crate) struct ReadBuffer(Vec<u8>);

impl ReadBuffer {
    /// Takes a buffer with room behind `begun` bytes, of which there are 64 KiB at most, from the thread if it has one
    /// to spare. It is of [`READ_BUFFER_BYTES`], or small if very many wait with theirs.
    pub(crate) fn take(begun: usize) -> Self {
        Self(with_spare(|spare| spare.read.take()).flatten().unwrap_or_else(|| Self::make(begun)))
    }

    /// Whether it is a small one, because there are too many large ones already.
    pub(crate) fn is_small(&self) -> bool {
        self.0.len() < READ_BUFFER_BYTES
    }

    #[cold]
    fn make(begun: usize) -> Vec<u8> {
        let large = LARGE_BUFFERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |there_are| {
            (there_are < MAX_LARGE_BUFFERS).then_some(there_are + 1)
        });
        if large.is_ok() {
            return vec![0; READ_BUFFER_BYTES];
        }
        let small = begun + SMALL_BUFFER_BYTES;
        SMALL_BYTES.fetch_add(small, Ordering::Relaxed);
        vec![0; small]
    }
}

impl std::ops::Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.len() < READ_BUFFER_BYTES {
            SMALL_BYTES.fetch_sub(buffer.len(), Ordering::Relaxed);
            return;
        }
        let kept = with_spare(|spare| spare.read.put(buffer, spare.most(MAX_SPARE_BUFFERS)));
        if !kept.unwrap_or(false) {
            LARGE_BUFFERS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Pieces of bytes on their way out, side by side, in a buffer from the thread if it has one to spare; dropped, it
/// serves the next. One word while empty.
#[derive(Default)]
pub(crate) struct SendBuffer(Option<Box<Pieces>>);

#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    /// How long each is. None is empty.
    lens: Vec<u32>,
}

impl SendBuffer {
    /// Appends what `write` appends as one piece; nothing if it fails, and no piece if that is empty.
    #[inline]
    pub(crate) fn append<T, E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>) -> Result<T, E> {
        let pieces = self.0.get_or_insert_with(Pieces::take);
        let before = pieces.bytes.len();
        let written = write(&mut pieces.bytes);
        if written.is_err() {
            pieces.bytes.truncate(before);
            return written;
        }
        let len = pieces.bytes.len().saturating_sub(before);
        if len > 0 {
            // So long a piece is not appended here: it gets a buffer of its own.
            pieces.lens.push(u32::try_from(len).unwrap_or(u32::MAX));
        }
        written
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| pieces.lens.len())
    }

    /// The length of a piece; 0 if there is none of this number.
    pub(crate) fn piece_len(&self, number: usize) -> usize {
        let len = self.0.as_ref().and_then(|pieces| pieces.lens.get(number));
        len.map_or(0, |len| *len as usize)
    }

    /// Puts the piece before this one, which begins `at`, in its place: it moves up to the end of this one.
    pub(crate) fn overwrite_piece(&mut self, number: usize, at: usize) {
        let (before, this) = (self.piece_len(number - 1), self.piece_len(number));
        if let Some(pieces) = &mut self.0 {
            pieces.bytes.copy_within(at..at + before, at + this);
            pieces.lens[number] = pieces.lens[number - 1];
        }
    }
}

impl std::ops::Deref for SendBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |pieces| &pieces.bytes)
    }
}

impl Drop for SendBuffer {
    fn drop(&mut self) {
        let Some(mut pieces) = self.0.take() else { return };
        let bytes = pieces.bytes.capacity() + size_of::<u32>() * pieces.lens.capacity();
        if bytes > MAX_SPARE_SEND_BYTES {
            return;
        }
        pieces.bytes.clear();
        pieces.lens.clear();
        let _ = with_spare(|spare| match bytes <= SMALL_SEND_BYTES {
            true => spare.small.put(pieces, spare.most(MAX_SMALL_SEND_BUFFERS)),
            false => spare.send.put(pieces, spare.most(MAX_SPARE_SEND_BUFFERS)),
        });
    }
}

impl Pieces {
    fn take() -> Box<Self> {
        with_spare(|spare| spare.send.take().or_else(|| spare.small.take())).flatten().unwrap_or_default()
    }
}

/// Size of a read buffer: one system call empties a socket's default receive buffer.
pub(crate) const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Spare read buffers a worker keeps; a handler that yields holds one more for as long as it waits.
const MAX_SPARE_BUFFERS: usize = 4;

/// Read buffers of full size in the process, 64 MiB together: of thousands of handlers that wait, few hold one.
const MAX_LARGE_BUFFERS: usize = 256;
static LARGE_BUFFERS: AtomicUsize = AtomicUsize::new(0);

/// Room in the others.
const SMALL_BUFFER_BYTES: usize = 16 * 1024;
static SMALL_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the read buffers beyond [`MAX_LARGE_BUFFERS`], which handlers hold that wait.
pub(crate) fn small_read_buffer_bytes() -> usize {
    SMALL_BYTES.load(Ordering::Relaxed)
}

/// How often workers were asked to free what they have not needed.
static ROUND: AtomicU32 = AtomicU32::new(0);

/// Spare buffers for frames a worker keeps, and how large each may be: 8 MiB together at most.
const MAX_SPARE_SEND_BUFFERS: usize = 64;
const MAX_SPARE_SEND_BYTES: usize = 128 * 1024;

/// How many small ones, and what is small: 4 MiB together at most.
const MAX_SMALL_SEND_BUFFERS: usize = 2048;
const SMALL_SEND_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_taken_is_unused() {
        let mut stack = Stack::new();
        (0..5).for_each(|n| assert!(stack.put(n, 5)));
        assert!(!stack.put(5, 5));
        assert_eq!(stack.take_unused(), [0; 0], "it has only just been looked");
        let two = [stack.take(), stack.take()];
        two.into_iter().flatten().for_each(|n| assert!(stack.put(n, 5)));
        assert_eq!(stack.take_unused(), [0, 1, 2]);
        assert_eq!(stack.take_unused(), [4, 3]);
        assert_eq!((stack.take_unused(), stack.take()), (Vec::new(), None));
    }
}
