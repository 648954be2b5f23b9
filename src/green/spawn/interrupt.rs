//! What ends a wait early: a kill, the time limit of a scope around it, or a stop that is forced.
//!
//! All are one mechanism. An interrupt writes down its reason, raises the alert and wakes the coroutine; the wait that
//! finds the alert ends itself and unwinds, with a payload that says how far. A wait that has ended already
//! keeps what it was given: the next one unwinds. A reason holds until its scope is left, a kill forever, so code
//! that catches the unwinding gains nothing but its clean-up.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::record::Record;
use crate::green::runtime::park::Who;
use crate::green::runtime::timer::Timed;
use crate::green::runtime::worker;
use crate::lock::Lock;

/// How far the unwinding goes. The payload of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::green) enum Interrupt {
    /// To the end of the coroutine.
    Kill,
    /// To the end of the code that may be [cut short](super::cut).
    Cut,
    /// To the scope of this number.
    Elapsed(u64),
}

impl Interrupt {
    /// Unwinds. No panic: no hook runs and nothing is printed.
    pub(in crate::green) fn raise(self) -> ! {
        resume_unwind(Box::new(self))
    }
}

/// Whether the coroutine that calls is unwinding: a destructor runs because of a panic, a kill or a time limit.
///
/// `std` counts panics per thread. The count is right per coroutine because of one rule: *nothing yields while its
/// coroutine unwinds*. So whatever would wait asks this first, and gives up at once instead. A plain thread may wait.
pub(crate) fn is_unwinding() -> bool {
    std::thread::panicking() && may::coroutine::is_coroutine()
}

/// Unwinds if the coroutine that calls has been interrupted. For places that wait without a `Waiter`.
pub(in crate::green) fn check() {
    let interrupt = worker::current().and_then(|me| me.interrupts().pending());
    if let Some(interrupt) = interrupt {
        interrupt.raise();
    }
}

/// What may interrupt one coroutine or thread, and how to reach it where it waits.
pub(in crate::green) struct Interrupts {
    /// Whether there may be a reason to look for. Raised after the reason is written down, before anybody is woken: a
    /// wait looks at this alone.
    alert: AtomicBool,
    killed: AtomicBool,
    /// [`WHOLE`], [`CUTTABLE`] or [`CUT`].
    cut: AtomicU8,
    /// The body has returned: nothing interrupts what is still to be done.
    over: AtomicBool,
    reach: Lock<Reach>,
}

#[derive(Default)]
struct Reach {
    who: Option<Who>,
    /// Entered and not left, the outermost first.
    #[expect(clippy::box_collection, reason = "one word while empty")]
    scopes: Option<Box<Vec<Arc<Scope>>>>,
}

impl Reach {
    fn scopes(&self) -> &[Arc<Scope>] {
        self.scopes.as_ref().map_or(&[], |scopes| scopes)
    }
}

impl Interrupts {
    pub(super) const fn new() -> Self {
        Self {
            alert: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            cut: AtomicU8::new(WHOLE),
            over: AtomicBool::new(false),
            reach: Lock::new(Reach { who: None, scopes: None }),
        }
    }

    /// Says which coroutine is interrupted, when it begins. The first wait finds what came before.
    pub(super) fn begin(&self, who: Who) {
        self.reach.lock().who = Some(who);
    }

    /// Nothing interrupts from here on.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        let reach = std::mem::take(&mut *self.reach.lock());
        drop(reach);
    }

    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.alarm();
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Cuts short what the owner runs, if that may be cut short.
    pub(super) fn cut(&self) {
        if self.change_cut(CUTTABLE, CUT) {
            self.alarm();
        }
    }

    /// What the owner, which calls, runs from now on may be cut short. `false` if that is so already.
    pub(super) fn begin_cuttable(&self) -> bool {
        self.change_cut(WHOLE, CUTTABLE)
    }

    /// Ends what `begin_cuttable` began.
    pub(super) fn end_cuttable(&self) {
        self.cut.store(WHOLE, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) == CUT
    }

    fn change_cut(&self, from: u8, to: u8) -> bool {
        self.cut.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Why the owner, which calls, should unwind. Nothing while it unwinds already: a second time would abort.
    pub(in crate::green) fn pending(&self) -> Option<Interrupt> {
        if self.alert.load(Ordering::Acquire) { self.look() } else { None }
    }

    pub(super) fn enter(&self, scope: &Arc<Scope>) {
        self.reach.lock().scopes.get_or_insert_default().push(Arc::clone(scope));
    }

    pub(super) fn leave(&self, scope: &Arc<Scope>) {
        let mut reach = self.reach.lock();
        let at = reach.scopes().iter().position(|other| Arc::ptr_eq(scope, other));
        let left = at.and_then(|at| Some(reach.scopes.as_mut()?.remove(at)));
        drop(reach);
        // Dropped after the lock.
        drop(left);
    }

    #[cold]
    fn look(&self) -> Option<Interrupt> {
        if self.over.load(Ordering::Relaxed) || std::thread::panicking() {
            return None;
        }
        // Lowered before the look: what comes after it raises the alert again.
        self.alert.swap(false, Ordering::AcqRel);
        let elapsed =
            || self.reach.lock().scopes().iter().find(|scope| scope.is_over()).map(|scope| scope.number);
        let found = if self.is_killed() {
            Some(Interrupt::Kill)
        } else if self.is_cut() {
            Some(Interrupt::Cut)
        } else {
            elapsed().map(Interrupt::Elapsed)
        };
        if found.is_some() {
            self.alert.store(true, Ordering::Release);
        }
        found
    }

    fn alarm(&self) {
        self.alert.store(true, Ordering::Release);
        let reach = self.reach.lock();
        if let Some(who) = &reach.who {
            who.unpark();
        }
    }
}

/// A piece of code with a time limit.
pub(super) struct Scope {
    number: u64,
    over: AtomicBool,
    of: Arc<Record>,
}

impl Scope {
    pub(super) fn new(of: Arc<Record>) -> Arc<Self> {
        let number = NEXT_SCOPE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, over: AtomicBool::new(false), of })
    }

    pub(super) fn interrupts(&self) -> &Interrupts {
        self.of.interrupts()
    }

    /// Whether this is what an unwinding goes to.
    pub(super) fn is_target(&self, interrupt: Interrupt) -> bool {
        interrupt == Interrupt::Elapsed(self.number)
    }

    /// It is not over any more.
    pub(super) fn take_back(&self) {
        self.over.store(false, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Timed for Scope {
    fn time_is_up(&self) {
        self.over.store(true, Ordering::Release);
        self.interrupts().alarm();
    }
}

/// The green thread that calls, for those that would ask for it again and again.
pub(crate) struct Me(Arc<Record>);

impl Me {
    pub(in crate::green) const fn new(record: Arc<Record>) -> Self {
        Self(record)
    }

    /// A plain thread is one too.
    pub(crate) fn caller() -> Self {
        Self(Record::of_caller())
    }

    pub(in crate::green) const fn record(&self) -> &Arc<Record> {
        &self.0
    }

    /// As [`cuttable`](super::cut::cuttable).
    pub(crate) fn cuttable<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        let interrupts = self.0.interrupts();
        if !interrupts.begin_cuttable() {
            return Some(body());
        }
        let outcome = catch_unwind(AssertUnwindSafe(body));
        interrupts.end_cuttable();
        match outcome {
            Ok(value) => Some(value),
            Err(payload) if payload.downcast_ref() == Some(&Interrupt::Cut) => None,
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// What the owner runs is not cut short, but ends by itself.
const WHOLE: u8 = 0;
/// It may be.
const CUTTABLE: u8 = 1;
/// It is, until it has unwound.
const CUT: u8 = 2;

static NEXT_SCOPE: AtomicU64 = AtomicU64::new(0);
