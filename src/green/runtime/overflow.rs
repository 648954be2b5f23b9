//! A stack overflow ends the process, with one line on stderr that names the coroutine and with exit code 1.
//!
//! Below each stack lies a guard page, and the kernel sends SIGSEGV to a thread that touches it. `generator` handles that
//! signal, but not the same way in each release: 0.8.11 allocates, and so may wait for a lock that the interrupted
//! code holds; 0.8.12 suspends the coroutine, so that its client waits for nothing. So this file puts a handler of its own
//! in place of theirs. It relies on notes of this crate only ([`StackNote`]), and works with any release.
//!
//! The interrupted code may hold any lock, the allocator's included. So the handler takes no lock and allocates nothing:
//! it reads atomics and its arguments, and calls `gettid`, `poll`, `write` and `_exit`. It runs on an alternate stack, because
//! the one that has overflowed has no room left. Any other fault goes to the handler that was there before `generator`'s.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, transmute};
use std::ops::Range;
use std::ptr::{self, null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use generator::Gn;
use libc::{SIG_DFL, SIG_IGN, SIGBUS, SIGSEGV, sigaction, siginfo_t, stack_t};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::stack_note::{PAGE_BYTES, StackNote};
use crate::green::spawn::record::Record;

/// Installs the handler. Call it once, before the first coroutine.
pub(super) fn install() -> io::Result<()> {
    let before = [exchange_action(SIGSEGV, None)?, exchange_action(SIGBUS, None)?];
    // `generator` installs its handler once, when the first generator runs: now, so that it never replaces ours.
    Gn::<()>::new_scoped(|_| ()).next();
    for (signal, mut action) in [SIGSEGV, SIGBUS].into_iter().zip(*BEFORE.get_or_init(|| before)) {
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        exchange_action(signal, Some(action))?;
    }
    Ok(())
}

/// The calling thread's part: a note for the handler to find, and an alternate stack for it to run on. For a thread that
/// runs coroutines, which never ends.
pub(super) fn watch_worker() -> &'static StackNote {
    // Without memory for it, the alternate stack that the standard library has set up serves.
    std::mem::forget(AlternateStack::enter());
    StackNote::of_this_thread()
}

/// Keeps watch over the calling thread's own stack until this is dropped. For a thread of the pool.
pub(in crate::green) struct WatchedThread {
    note: &'static StackNote,
    _alternate: Option<AlternateStack>,
}

impl WatchedThread {
    pub(in crate::green) fn enter() -> Self {
        let alternate = AlternateStack::enter();
        let note = StackNote::of_this_thread();
        if let Some((guard, stack_bytes)) = stack_of_this_thread() {
            note.set_thread(guard, stack_bytes);
        }
        Self { note, _alternate: alternate }
    }
}

impl Drop for WatchedThread {
    fn drop(&mut self) {
        self.note.give_back();
    }
}

/// While `work` runs on a thread of the pool, the line names the coroutine that asked for it.
pub(in crate::green) fn working_for<R>(coroutine: Option<&Record>, work: impl FnOnce() -> R) -> R {
    let note = coroutine.filter(|coroutine| coroutine.is_coroutine()).and_then(|coroutine| {
        let note = StackNote::find()?;
        note.set_working_for(coroutine);
        Some(note)
    });
    let result = work();
    if let Some(note) = note {
        note.set_idle();
    }
    result
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: the kernel passes a valid `siginfo_t`. Its address field is there for a fault (a positive code), and is
    // some other number of the same size otherwise, which is not used.
    let (address, is_fault) = unsafe { ((*info).si_addr().addr(), (*info).si_code > 0) };
    if let Some(note) = StackNote::find().filter(|note| is_fault && note.has_overflowed(address)) {
        end_process(note);
    }
    call_handler_before(signal, info, context);
}

/// Says what has happened, and ends the process.
fn end_process(note: &StackNote) -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    while ENDING.swap(true, Ordering::Relaxed) {
        // Two overflows at once: the other thread is about to end the process.
        rustix::thread::sched_yield();
    }
    let (line, stderr) = (note.report(), rustix::stdio::stderr());
    // If stderr is a full pipe, the line is lost: waiting for room might hang.
    let mut stderr_has_room = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut stderr_has_room, Some(&LONGEST_WAIT_FOR_ROOM)) != Ok(0) {
        while rustix::io::write(stderr, line.as_bytes()) == Err(Errno::INTR) {}
    }
    signal_hook::low_level::exit(1)
}

/// Hands on a fault that is no overflow of ours.
fn call_handler_before(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let [segv, bus] = BEFORE.get().expect("set before the handler is installed");
    let before = if signal == SIGSEGV { segv } else { bus };
    if [SIG_DFL, SIG_IGN].contains(&before.sa_sigaction) {
        // The instruction faults again, and the process ends as it would without a handler.
        let _ = exchange_action(signal, Some(sigaction { sa_sigaction: SIG_DFL, ..*before }));
        return;
    }
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: other code has installed this function for this signal, its type is the one that goes with the flags, and it
    // gets what the kernel has passed to us.
    unsafe {
        if before.sa_flags & libc::SA_SIGINFO == 0 {
            transmute::<usize, extern "C" fn(c_int)>(before.sa_sigaction)(signal);
        } else {
            type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            transmute::<usize, Handler>(before.sa_sigaction)(signal, info, context);
        }
    }
}

/// Returns what is done when this signal arrives; from now on it is `new`, if there is one.
fn exchange_action(signal: c_int, new: Option<sigaction>) -> io::Result<sigaction> {
    let mut old = MaybeUninit::zeroed();
    let new = new.as_ref().map_or(null(), ptr::from_ref);
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `new` is null or valid, and `old` has room for an action, of which zeroes are a valid value too. The two
    // new actions in this file are the default one, and `on_fault` with the flag for a function of its type; it calls
    // nothing that is not safe in a signal handler.
    unsafe {
        match sigaction(signal, new, old.as_mut_ptr()) {
            0 => Ok(old.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The stack on which signal handlers of the calling thread run, until this is dropped; then the one before serves again.
struct AlternateStack {
    memory: *mut c_void,
    before: stack_t,
}

impl AlternateStack {
    /// `None` if there is no memory for it.
    ///
    /// The standard library gives each thread one too, but as small as the processor's registers allow.
    fn enter() -> Option<Self> {
        let (mut before, len) = (MaybeUninit::zeroed(), alternate_stack_bytes());
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: the mapping is new, so nothing else knows its memory, and stays until `drop`, which restores the stack
        // before. Its lowest page is made a guard page: a handler that needs more than there is ends the process.
        // `sigaltstack` reads a valid `stack_t` and writes one.
        unsafe {
            let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
            let memory = mmap_anonymous(null_mut(), PAGE_BYTES + len, access, kind).ok()?;
            let stack = stack_t { ss_sp: memory.byte_add(PAGE_BYTES), ss_flags: 0, ss_size: len };
            if mprotect(memory, PAGE_BYTES, MprotectFlags::empty()).is_err()
                || libc::sigaltstack(&raw const stack, before.as_mut_ptr()) != 0
            {
                let _ = munmap(memory, PAGE_BYTES + len);
                return None;
            }
            Some(Self { memory, before: before.assume_init() })
        }
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `before` is what `sigaltstack` has returned to this thread, and the code that installed it keeps it until the
        // thread ends. Nothing runs on our own stack, since no handler does, and after that nothing refers to it.
        unsafe {
            libc::sigaltstack(&raw const self.before, null_mut());
            let _ = munmap(self.memory, PAGE_BYTES + alternate_stack_bytes());
        }
    }
}

fn alternate_stack_bytes() -> usize {
    (rustix::param::linux_minsigstksz() + HANDLER_BYTES).next_multiple_of(PAGE_BYTES)
}

/// Where the guard pages of the calling thread's own stack are, and its size. `None` if the system does not say.
fn stack_of_this_thread() -> Option<(Range<usize>, usize)> {
    let (mut attributes, mut lowest) = (MaybeUninit::zeroed(), null_mut());
    let (mut bytes, mut guard) = (0, 0);
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: `attributes` is set up by the first call and used only if that succeeds. The others write one value each,
    // to variables of the type that they ask for, and the last one frees what the first has taken.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut bytes);
        libc::pthread_attr_getguardsize(attributes.as_ptr(), &raw mut guard);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    // The guard pages lie below the stack, or with some C libraries at its lower end.
    Some((lowest.addr().checked_sub(guard)?..lowest.addr() + guard, bytes))
}

/// What was done on SIGSEGV and on SIGBUS before.
static BEFORE: OnceLock<[sigaction; 2]> = OnceLock::new();

/// What a handler may take of the alternate stack, besides the registers that the kernel puts there.
const HANDLER_BYTES: usize = 32 * 1024;

/// How long the process waits for stderr to take the line.
const LONGEST_WAIT_FOR_ROOM: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
