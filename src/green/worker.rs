//! What belongs to the thread a coroutine runs on: calls put off until it next yields, its pace, read buffers.
//!
//! This file holds the crate's only thread-local. A coroutine may resume on another thread, so no reference into it
//! outlives one of the accessors below, and none of them yields.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::awaits::Awaits;
use super::coroutine::Record;
use super::fair::Pace;
use super::park::Waiter;
use super::watchdog::Beat;

/// Something to do when the running coroutine next yields, whatever it yields on, or when it ends.
pub(crate) trait Deferred: Send + Sync {
    /// Does it. Must neither block nor yield.
    fn run(self: Arc<Self>);
}

/// Puts `call` off until the running coroutine yields or ends. On a plain thread, which never yields, runs it at once.
pub(crate) fn defer(call: Arc<dyn Deferred>) {
    if may::coroutine::is_coroutine() {
        with(|local| local.deferred.borrow_mut().push(call));
    } else {
        call.run();
    }
}

/// How many calls are put off on this thread.
pub(crate) fn deferred_calls() -> usize {
    with(|local| local.deferred.borrow().len())
}

/// Takes the calls put off on this thread, for `super::fair::run_deferred`.
pub(super) fn take_deferred() -> Vec<Arc<dyn Deferred>> {
    with(|local| local.deferred.take())
}

/// Gives the emptied list back, so that its memory serves again.
pub(super) fn give_deferred_list(mut list: Vec<Arc<dyn Deferred>>) {
    list.clear();
    with(|local| {
        let mut current = local.deferred.borrow_mut();
        if current.is_empty() && current.capacity() < list.capacity() && list.capacity() <= MAX_KEPT_CALLS {
            *current = list;
        }
    });
}

/// Drops a waiter when the running coroutine next yields. The last handle of a coroutine that has ended may wait for
/// `may` to be done with it, and that wait yields: it must not happen under the lock of a wait list.
pub(super) fn drop_later(waiter: Arc<Waiter>) {
    if may::coroutine::is_coroutine() {
        with(|local| local.spent.borrow_mut().push(waiter));
    }
}

/// Takes the waiters to be dropped.
pub(super) fn take_spent() -> Vec<Arc<Waiter>> {
    with(|local| local.spent.take())
}

/// Takes the record of the coroutine that runs here, which is about to wait for `what`. Whatever yields, yields
/// between this and [`resume`]: the record is with the thread only while its coroutine runs there.
pub(super) fn leave(what: Awaits) -> Option<Arc<Record>> {
    let me = with(|local| {
        if let Some(beat) = local.beat.get() {
            beat.end_turn();
        }
        local.running.take()
    });
    if let Some(me) = &me {
        me.activity().set(what);
        me.stack().reserve_way_back();
    }
    me
}

/// Gives the record of the coroutine that runs here from now on.
pub(super) fn resume(me: Option<Arc<Record>>) {
    if let Some(me) = &me {
        me.activity().set(Awaits::Nothing);
    }
    let stale = with(|local| {
        if let Some(me) = me.as_ref().filter(|me| me.is_coroutine()) {
            let beat = local.beat.get().unwrap_or_else(|| {
                let beat = Beat::of_new_worker();
                local.beat.set(Some(beat));
                beat
            });
            beat.begin_turn(me);
        }
        local.running.replace(me)
    });
    drop(stale);
}

/// The record of the coroutine that runs here, or of the thread where it has one.
pub(super) fn current() -> Option<Arc<Record>> {
    with(|local| local.running.borrow().clone())
}

/// Counts fairness points passed on this thread.
pub(super) fn pace<R>(update: impl FnOnce(&mut Pace) -> R) -> R {
    with(|local| {
        let mut pace = local.pace.get();
        let result = update(&mut pace);
        local.pace.set(pace);
        result
    })
}

/// The worker the caller runs on, from 0; 0 also on a thread that is none. Also the number of its turnstile.
pub(crate) fn worker_index() -> usize {
    with(|local| local.index.get())
}

/// Says which worker this thread is.
pub(super) fn set_worker_index(index: usize) {
    with(|local| local.index.set(index));
}

/// A read buffer of the thread that took it. Belongs to one read pass; dropped, it serves the next.
pub(crate) struct ReadBuffer(Vec<u8>);

impl ReadBuffer {
    /// Takes a buffer with room behind `begun` bytes, of which there are 64 KiB at most, from the thread where it has one
    /// to spare. It is of [`READ_BUFFER_BYTES`], or small where very many wait with theirs.
    pub(crate) fn take(begun: usize) -> Self {
        Self(with(|local| local.buffers.borrow_mut().pop()).unwrap_or_else(|| Self::make(begun)))
    }

    #[cold]
    fn make(begun: usize) -> Vec<u8> {
        let large = LARGE_BUFFERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |there_are| {
            (there_are < MAX_LARGE_BUFFERS).then_some(there_are + 1)
        });
        vec![0; if large.is_ok() { READ_BUFFER_BYTES } else { begun + SMALL_BUFFER_BYTES }]
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
            return;
        }
        // The thread may be past its thread-locals when a static drops the last buffer: then it is freed.
        let kept = try_with(|local| {
            let mut buffers = local.buffers.borrow_mut();
            let room = buffers.len() < MAX_SPARE_BUFFERS;
            if room {
                buffers.push(buffer);
            }
            room
        });
        if !kept.unwrap_or(false) {
            LARGE_BUFFERS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Pieces of bytes on their way out, side by side, in a buffer from the thread where it has one to spare; dropped, it
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
    /// Appends what `write` appends as one piece; nothing where it fails, and no piece where that is empty.
    #[inline]
    pub(crate) fn append<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let pieces = self.0.get_or_insert_with(Pieces::take);
        let before = pieces.bytes.len();
        if let Err(error) = write(&mut pieces.bytes) {
            pieces.bytes.truncate(before);
            return Err(error);
        }
        let len = pieces.bytes.len().saturating_sub(before);
        if len > 0 {
            // So long a piece is not appended here: it gets a buffer of its own.
            pieces.lens.push(u32::try_from(len).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| pieces.lens.len())
    }

    /// The length of a piece; 0 where there is none of this number.
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
        if pieces.bytes.capacity() + size_of::<u32>() * pieces.lens.capacity() > MAX_SPARE_SEND_BYTES {
            return;
        }
        pieces.bytes.clear();
        pieces.lens.clear();
        let _ = try_with(|local| {
            let mut buffers = local.send_buffers.borrow_mut();
            if buffers.len() < MAX_SPARE_SEND_BUFFERS {
                buffers.push(pieces);
            }
        });
    }
}

impl Pieces {
    fn take() -> Box<Self> {
        with(|local| local.send_buffers.borrow_mut().pop()).unwrap_or_default()
    }
}

/// Size of a read buffer: one system call empties a socket's default receive buffer.
pub(crate) const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Spare read buffers a thread keeps; a handler that yields holds one more for as long as it waits.
const MAX_SPARE_BUFFERS: usize = 4;

/// Read buffers of full size in the process, 64 MiB together: of thousands of handlers that wait, few hold one.
const MAX_LARGE_BUFFERS: usize = 256;
static LARGE_BUFFERS: AtomicUsize = AtomicUsize::new(0);

/// Room in the others.
const SMALL_BUFFER_BYTES: usize = 16 * 1024;

/// Spare buffers for frames a thread keeps, and how large each may be: 8 MiB together at most.
const MAX_SPARE_SEND_BUFFERS: usize = 64;
const MAX_SPARE_SEND_BYTES: usize = 128 * 1024;

/// Longest list of deferred calls that is kept for its memory.
const MAX_KEPT_CALLS: usize = 4096;

struct Local {
    running: RefCell<Option<Arc<Record>>>,
    beat: Cell<Option<&'static Beat>>,
    deferred: RefCell<Vec<Arc<dyn Deferred>>>,
    spent: RefCell<Vec<Arc<Waiter>>>,
    pace: Cell<Pace>,
    index: Cell<usize>,
    buffers: RefCell<Vec<Vec<u8>>>,
    #[expect(clippy::vec_box, reason = "handed on as it is, in one word")]
    send_buffers: RefCell<Vec<Box<Pieces>>>,
}

mod local {
    use super::{Cell, Local, Pace, RefCell};

    thread_local! {
        pub(super) static LOCAL: Local = const {
            Local {
                running: RefCell::new(None),
                beat: Cell::new(None),
                deferred: RefCell::new(Vec::new()),
                spent: RefCell::new(Vec::new()),
                pace: Cell::new(Pace::new()),
                index: Cell::new(0),
                buffers: RefCell::new(Vec::new()),
                send_buffers: RefCell::new(Vec::new()),
            }
        };
    }
}

/// Runs `f` on the thread's own state. Never inlined: inlined twice into one coroutine, the thread's address could be
/// kept across a yield between the two.
#[inline(never)]
fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    local::LOCAL.with(f)
}

/// As [`with`], for a thread that may be ending.
#[inline(never)]
fn try_with<R>(f: impl FnOnce(&Local) -> R) -> Result<R, std::thread::AccessError> {
    local::LOCAL.try_with(f)
}
