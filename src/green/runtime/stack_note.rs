//! What a thread notes of the stack it runs on, for the signal handler in `overflow.rs`.
//!
//! A signal handler can take no lock, and must not touch a thread-local that may have to be set up first. So each thread
//! that runs coroutines, and each thread of the pool, has a note in a list that only grows, and the handler finds it by
//! the number of its thread. A note holds copies, because the coroutine may be gone when the note is read.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use crate::green::spawn::record::{Name, Record};

/// One thread's note. Only that thread writes it, and only that thread reads it, in its signal handler.
pub(super) struct StackNote {
    /// The kernel's number of the thread; 0 while the note is free for another thread.
    thread: AtomicI32,
    /// Whether this is the thread's own stack, not a coroutine's.
    of_thread: AtomicBool,
    /// Where a fault means that the stack has overflowed.
    guarded_from: AtomicUsize,
    guarded_to: AtomicUsize,
    stack_bytes: AtomicUsize,
    /// The coroutine that runs here or has this thread work for it; 0 for none.
    coroutine: AtomicU64,
    name: NotedName,
    next: OnceLock<&'static Self>,
}

impl StackNote {
    /// A note for the calling thread, which must have none.
    pub(super) fn of_this_thread() -> &'static Self {
        let me = this_thread();
        let taken =
            |note: &&Self| note.thread.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        notes().find(taken).unwrap_or_else(|| Self::append(me))
    }

    fn append(thread: i32) -> &'static Self {
        let note: &'static Self = Box::leak(Box::new(Self {
            thread: AtomicI32::new(thread),
            of_thread: AtomicBool::new(false),
            guarded_from: AtomicUsize::new(0),
            guarded_to: AtomicUsize::new(0),
            stack_bytes: AtomicUsize::new(0),
            coroutine: AtomicU64::new(0),
            name: NotedName::new(),
            next: OnceLock::new(),
        }));
        let mut place = &FIRST;
        while place.set(note).is_err() {
            place = &place.get().expect("it could not be set, so it is set").next;
        }
        note
    }

    /// The note of the calling thread, if it has one. Safe in a signal handler.
    pub(super) fn find() -> Option<&'static Self> {
        let me = this_thread();
        notes().find(|note| note.thread.load(Ordering::Relaxed) == me)
    }

    /// Notes the coroutine that runs on this thread. The note stays while the coroutine yields, because the way into a
    /// yield uses its stack too.
    pub(super) fn set_running(&self, coroutine: &Record) {
        let stack = coroutine.stack();
        let is_noted = self.guarded_to.load(Ordering::Relaxed) == stack.highest;
        if is_noted && self.coroutine.load(Ordering::Relaxed) == coroutine.id() {
            return;
        }
        self.set_stack(stack.guarded(), stack.bytes());
        self.set_working_for(coroutine);
    }

    /// Notes that the stack is the thread's own, and where its guard pages are.
    pub(super) fn set_thread(&self, guard: Range<usize>, stack_bytes: usize) {
        self.of_thread.store(true, Ordering::Relaxed);
        self.set_stack(guard, stack_bytes);
    }

    /// Notes the coroutine that this thread works for.
    pub(super) fn set_working_for(&self, coroutine: &Record) {
        self.coroutine.store(coroutine.id(), Ordering::Relaxed);
        self.name.set(coroutine.short_name());
    }

    fn set_stack(&self, guarded: Range<usize>, bytes: usize) {
        self.guarded_from.store(guarded.start, Ordering::Relaxed);
        self.guarded_to.store(guarded.end, Ordering::Relaxed);
        self.stack_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Forgets the coroutine that this thread has worked for.
    pub(super) fn set_idle(&self) {
        self.coroutine.store(0, Ordering::Relaxed);
    }

    /// Frees the note for another thread.
    pub(super) fn give_back(&self) {
        self.set_idle();
        self.set_stack(0..0, 0);
        self.of_thread.store(false, Ordering::Relaxed);
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Whether a fault at this address means that the stack has overflowed.
    pub(super) fn has_overflowed(&self, fault: usize) -> bool {
        (self.guarded_from.load(Ordering::Relaxed)..self.guarded_to.load(Ordering::Relaxed)).contains(&fault)
    }

    /// Says that the stack has overflowed, in one line. Safe in a signal handler.
    pub(super) fn report(&self) -> Line {
        let mut line = Line::new();
        let coroutine = self.coroutine.load(Ordering::Relaxed);
        let of_thread = self.of_thread.load(Ordering::Relaxed);
        line.push("zinx: ");
        if of_thread {
            line.push("a thread of green::blocking");
        }
        if coroutine != 0 {
            line.push(if of_thread { ", at work for " } else { "" });
            line.push("coroutine ");
            line.push_number(coroutine);
            self.name.push_to(&mut line);
            line.push(if of_thread { "," } else { "" });
        }
        line.push(" has overflowed its stack of ");
        line.push_number(self.stack_bytes.load(Ordering::Relaxed) as u64);
        line.push(" bytes; the process ends with exit code 1");
        line.end()
    }
}

/// Where a coroutine's stack lies.
#[derive(Clone, Copy, Debug)]
pub(in crate::green) struct Stack {
    pub(in crate::green) pages: u32,
    /// The frame of the coroutine's outermost function. How far below the top it is depends on what the body owns.
    pub(in crate::green) highest: usize,
}

impl Stack {
    /// The stack of the calling coroutine, of this size. Call it from its outermost function.
    #[inline(never)]
    pub(in crate::green) fn of_caller(bytes: usize) -> Self {
        let mark = 0_u8;
        let highest = std::ptr::from_ref(std::hint::black_box(&mark)).addr();
        Self { pages: u32::try_from(bytes.div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX), highest }
    }

    /// Makes sure that the calling coroutine can come back from a wait: that the code between its wake-up and the next
    /// [`StackNote::set_running`] has room. An overflow in there would find the note of another coroutine, so it has to
    /// happen here. Touches nothing of a stack that has more than half of its room left.
    pub(super) fn reserve_way_back(self) {
        let mark = 0_u8;
        let here = std::ptr::from_ref(std::hint::black_box(&mark)).addr();
        if self.highest.saturating_sub(here) > self.bytes() / 2 {
            touch_way_back();
        }
    }

    const fn bytes(self) -> usize {
        self.pages as usize * PAGE_BYTES
    }

    /// Where a fault means that the stack has overflowed. The guard page is in there, and the rest is the stack, which
    /// never faults.
    const fn guarded(self) -> Range<usize> {
        self.highest.saturating_sub(self.bytes() + PAGE_BYTES)..self.highest
    }
}

/// Touches the memory that [`WAY_BACK_BYTES`] take on the stack.
#[cold]
#[inline(never)]
fn touch_way_back() {
    let mut room = [const { MaybeUninit::<u8>::uninit() }; WAY_BACK_BYTES];
    room[0].write(0);
    std::hint::black_box(&mut room);
}

/// A coroutine's name, as far as there is room for it.
struct NotedName {
    /// In words, because a word is copied as fast as a byte.
    text: [AtomicU64; NAME_BYTES / 8],
    len: AtomicUsize,
    /// Where the text was copied from if that lives as long as the process; else 0.
    copied_from: AtomicUsize,
    /// What stands behind the text; [`NO_NUMBER`] for nothing.
    number: AtomicU64,
}

impl NotedName {
    const fn new() -> Self {
        Self {
            text: [const { AtomicU64::new(0) }; NAME_BYTES / 8],
            len: AtomicUsize::new(0),
            copied_from: AtomicUsize::new(0),
            number: AtomicU64::new(NO_NUMBER),
        }
    }

    #[inline]
    fn set(&self, name: &Name) {
        let (text, number, from) = match name {
            Name::Text(text) => (text.as_bytes(), NO_NUMBER, 0),
            Name::Numbered(what, number) => (what.as_bytes(), *number, std::ptr::from_ref(*what).addr()),
        };
        self.number.store(number, Ordering::Relaxed);
        // Nearly always one connection follows another, and only the number differs.
        if from == 0 || from != self.copied_from.load(Ordering::Relaxed) {
            self.set_text(text, from);
        }
    }

    #[inline(never)]
    fn set_text(&self, text: &[u8], from: usize) {
        let text = &text[..text.len().min(NAME_BYTES)];
        for (to, from) in self.text.iter().zip(text.chunks(8)) {
            let mut word = [0; 8];
            word[..from.len()].copy_from_slice(from);
            to.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        self.len.store(text.len(), Ordering::Relaxed);
        self.copied_from.store(from, Ordering::Relaxed);
    }

    /// Appends the name in quotation marks; nothing if there is none.
    fn push_to(&self, line: &mut Line) {
        let mut text = [0; NAME_BYTES];
        for (to, from) in text.chunks_mut(8).zip(&self.text) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
        }
        let text = text.get(..self.len.load(Ordering::Relaxed)).unwrap_or_default();
        // The name may have been cut within a character.
        let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if text.is_empty() {
            return;
        }
        line.push(" \"");
        line.push(text);
        let number = self.number.load(Ordering::Relaxed);
        if number != NO_NUMBER {
            line.push(" ");
            line.push_number(number);
        }
        line.push("\"");
    }
}

/// A line of text that needs no memory of the allocator.
pub(super) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; LINE_BYTES], len: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends text. What would break the line becomes a question mark, and what there is no room for is left out.
    fn push(&mut self, text: &str) {
        let room = LINE_BYTES - 1 - self.len;
        for (to, from) in self.bytes[self.len..].iter_mut().zip(text.bytes().take(room)) {
            *to = if from.is_ascii_control() { b'?' } else { from };
        }
        self.len += text.len().min(room);
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(std::str::from_utf8(&digits[first..]).unwrap_or_default());
    }

    /// Ends the line; there is always room for that.
    fn end(mut self) -> Self {
        self.bytes[self.len] = b'\n';
        self.len += 1;
        self
    }
}

fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// The notes of all threads.
fn notes() -> impl Iterator<Item = &'static StackNote> {
    std::iter::successors(FIRST.get().copied(), |note| note.next.get().copied())
}

static FIRST: OnceLock<&'static StackNote> = OnceLock::new();

/// Longer names are cut.
const NAME_BYTES: usize = 64;
/// More than the longest line takes.
const LINE_BYTES: usize = 384;
const NO_NUMBER: u64 = u64::MAX;

/// More than waking up takes, also on a thread that has to set up its note first.
const WAY_BACK_BYTES: usize = if cfg!(debug_assertions) { 8 * 1024 } else { 2 * 1024 };

pub(super) const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_there_is_room_for_and_stays_one_line() {
        let mut line = Line::new();
        line.push("a\tb\n");
        line.push_number(0);
        line.push_number(u64::MAX);
        line.push(&"x".repeat(2 * LINE_BYTES));
        line.push("y");
        let line = line.end();
        let text = std::str::from_utf8(line.as_bytes()).unwrap();
        assert_eq!(text.len(), LINE_BYTES);
        assert!(text.starts_with("a?b?018446744073709551615xx") && text.ends_with("xx\n"), "{text}");
    }

    #[test]
    fn a_name_is_cut_between_two_characters() {
        let name = NotedName::new();
        let said = |name: &NotedName| {
            let mut line = Line::new();
            name.push_to(&mut line);
            String::from_utf8(line.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(said(&name), "");
        name.set(&Name::Text(format!("x{}", "协".repeat(40)).into()));
        assert_eq!(said(&name), format!(" \"x{}\"", "协".repeat(21)));
        name.set(&Name::Numbered(&"connection", 7));
        assert_eq!(said(&name), " \"connection 7\"");
        name.set(&Name::Numbered(&"writer", 7));
        assert_eq!(said(&name), " \"writer 7\"");
        name.set(&Name::Text("connection".into()));
        name.set(&Name::Numbered(&"writer", 8));
        assert_eq!(said(&name), " \"writer 8\"");
        name.set(&Name::Text("".into()));
        assert_eq!(said(&name), "");
    }
}
