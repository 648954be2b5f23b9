//! What the crate keeps about a coroutine while it lives: where it runs, what it waits for, how it has ended.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use super::coroutine::Exit;
use super::dump;
use super::failed::Panicked;
use super::interrupt::Interrupts;
use super::local::Locals;
use crate::green::runtime::awaits::{Activity, Awaits};
use crate::green::runtime::park::{WaitList, Waiter, Who};
use crate::green::runtime::stack_note::Stack;
use crate::green::runtime::{fair, home, worker};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// What is known of a coroutine, or of a thread that has asked for it. It is with the thread while its coroutine runs
/// there and with the wait while it waits, so that reaching it costs neither a lock nor a map.
pub(in crate::green) struct Record {
    id: u64,
    kind: Kind,
    name: Name,
    activity: Activity,
    /// What its wait is for, as a layer above counts it: see [`with_purpose`](super::purpose::with_purpose).
    purpose: AtomicU64,
    /// The state of its own wait: see [`Sleeper`](crate::green::runtime::park::Sleeper).
    wait: AtomicU8,
    /// It waits for `unpark`. Written on its home alone, except for one that hops home.
    parked: AtomicBool,
    /// The worker it runs on.
    home: AtomicU32,
    /// Its coroutine in `may`; for a ride, the one that carries it when it waits.
    handle: Lock<Option<may::coroutine::Coroutine>>,
    interrupts: Interrupts,
    end: Lock<End>,
    /// Its place among those known to [`dump`](crate::green::dump()).
    place: AtomicU32,
    /// Its stack, as it has noted when it began.
    stack_pages: AtomicU32,
    stack_highest: AtomicUsize,
}

/// What a coroutine is called. A numbered name is put together when it is asked for.
#[derive(Clone, Debug)]
pub(in crate::green) enum Name {
    Text(Cow<'static, str>),
    /// A pointer to the text: with a `&str`, which is a word longer, the enum would take 32 bytes instead of the 24
    /// of its `Cow`.
    Numbered(&'static &'static str, u64),
}

impl Default for Name {
    fn default() -> Self {
        Self::Text(Cow::Borrowed(""))
    }
}

/// What the record belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Coroutine,
    /// A coroutine that is not killed: its owner closes what it waits on.
    Shielded,
    /// Shielded too, and without a stack of its own.
    Carried,
    /// Shielded too, and on its worker before that knows its number.
    Poller,
    /// Shielded too: it lends its stack to others.
    Carrier,
    Thread,
}

struct End {
    exit: Option<Exit>,
    /// The first that waits for it: nearly always the only one.
    first: Option<Arc<Waiter>>,
    extras: Option<Box<Extras>>,
}

/// What only few coroutines need.
#[derive(Default)]
struct Extras {
    /// Those who wait too.
    waiting: WaitList,
    calls: Vec<Box<dyn FnOnce(Exit) + Send>>,
    locals: Locals,
    reason: Option<Cow<'static, str>>,
    /// Dropped in the moment in which its end becomes known.
    held: Vec<Box<dyn Send>>,
}

impl Record {
    pub(super) fn new(name: Name, kind: Kind) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            kind,
            name,
            activity: Activity::new(),
            purpose: AtomicU64::new(0),
            wait: AtomicU8::new(0),
            parked: AtomicBool::new(false),
            home: AtomicU32::new(0),
            handle: Lock::default(),
            interrupts: Interrupts::new(),
            end: Lock::new(End { exit: None, first: None, extras: None }),
            place: AtomicU32::new(NOWHERE),
            stack_pages: AtomicU32::new(0),
            stack_highest: AtomicUsize::new(0),
        })
    }

    /// The record of the caller. A plain thread gets one with the first call.
    pub(super) fn of_caller() -> Arc<Self> {
        worker::current().unwrap_or_else(|| {
            let record = Self::new(Name::default(), Kind::Thread);
            record.begin();
            record
        })
    }

    /// Its coroutine calls this before it begins, with the size of its stack.
    pub(super) fn note_stack(&self, bytes: usize) {
        let stack = Stack::of_caller(bytes);
        self.stack_pages.store(stack.pages, Ordering::Relaxed);
        self.stack_highest.store(stack.highest, Ordering::Relaxed);
    }

    /// Its coroutine or thread calls this first of all.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.is_coroutine() {
            *self.handle() = Some(may::coroutine::current());
            if self.kind != Kind::Poller {
                home::come_home(self);
            }
            self.interrupts.begin(Who::Green(Arc::clone(self)));
        } else {
            self.interrupts.begin(Who::calls());
        }
        worker::resume(Some(Arc::clone(self)));
    }

    /// Makes one that has no stack of its own interruptible. To be called once, before it first runs.
    pub(in crate::green) fn make_interruptible(self: &Arc<Self>) {
        self.interrupts.begin(Who::Green(Arc::clone(self)));
    }

    /// It continues on the stack of `carrier`, which calls.
    pub(in crate::green) fn board(&self, carrier: &Self, home: usize) {
        self.stack_pages.store(carrier.stack_pages.load(Ordering::Relaxed), Ordering::Relaxed);
        self.stack_highest.store(carrier.stack_highest.load(Ordering::Relaxed), Ordering::Relaxed);
        self.settle(home);
    }

    pub(in crate::green) fn is_carried(&self) -> bool {
        self.kind == Kind::Carried
    }

    fn handle(&self) -> MutexGuard<'_, Option<may::coroutine::Coroutine>> {
        self.handle.lock()
    }

    /// Stores its result with `keep`. A result that is no longer waited for is dropped at once.
    pub(in crate::green) fn keep(&self, keep: impl FnOnce()) {
        self.interrupts.end();
        self.log_panic("its result, dropped,", keep);
    }

    /// Waits for [`unpark`](Self::unpark). Only its own coroutine calls it.
    pub(in crate::green) fn park(self: &Arc<Self>) {
        self.park_for(|| {});
        home::come_home(self);
    }

    /// As [`park`](Self::park), wherever that ends; does `call` when it can be unparked.
    pub(in crate::green) fn park_for(&self, call: impl FnOnce()) {
        if self.is_carried() {
            *self.handle() = Some(may::coroutine::current());
        }
        self.parked.store(true, Ordering::Relaxed);
        call();
        while self.parked.load(Ordering::Relaxed) {
            may::coroutine::park();
        }
    }

    /// Resumes it, if it is parked. Called on its home only.
    pub(in crate::green) fn unpark(&self) {
        if self.parked.load(Ordering::Relaxed) {
            self.parked.store(false, Ordering::Relaxed);
            worker::count_woken();
            if let Some(handle) = &*self.handle() {
                handle.unpark();
            }
        }
    }

    pub(in crate::green) fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed) as usize
    }

    /// Sets where it will run. Called before it is spawned.
    pub(super) fn settle(&self, home: usize) {
        self.home.store(home as u32, Ordering::Relaxed);
    }

    pub(in crate::green) const fn wait_state(&self) -> &AtomicU8 {
        &self.wait
    }

    /// Its coroutine calls this once, when its result is there. In one moment its end becomes known and `held` is dropped, with
    /// all that it [holds](Self::hold): whoever sees the one sees the other.
    pub(in crate::green) fn finish<H>(&self, exit: Exit, held: H) {
        self.interrupts.end();
        self.log_panic("a coroutine-local value", || drop(self.take_locals()));
        // What the body has put off is done before anybody learns of its end.
        fair::before_yield();
        let calls = {
            let mut end = self.lock();
            end.exit = Some(exit);
            // Before anybody is woken.
            drop((held, end.extras.as_mut().map(|extras| std::mem::take(&mut extras.held))));
            if let Some(first) = end.first.take() {
                first.wake();
            }
            end.extras.as_mut().map(|extras| {
                extras.waiting.wake_all();
                std::mem::take(&mut extras.calls)
            })
        };
        for call in calls.into_iter().flatten() {
            self.log_panic("a call on exit", || call(exit));
        }
        fair::before_yield();
        self.activity.set(Awaits::Never);
    }

    /// Drops something of ours, with a lock held, in the moment in which its end becomes known; at once if it has ended already.
    pub(super) fn hold(&self, what: impl Send + 'static) {
        let mut end = self.lock();
        if end.exit.is_none() {
            end.extras.get_or_insert_default().held.push(Box::new(what));
        } else {
            drop(end);
            drop(what);
        }
    }

    /// Keeps why it is killed, if it has not ended and there is no reason yet.
    pub(super) fn note_reason(&self, reason: Cow<'static, str>) {
        let mut end = self.lock();
        if end.exit.is_none() && self.kind == Kind::Coroutine {
            end.extras.get_or_insert_default().reason.get_or_insert(reason);
        }
    }

    pub(super) fn reason(&self) -> Option<Cow<'static, str>> {
        self.lock().extras.as_ref().and_then(|extras| extras.reason.clone())
    }

    pub(super) fn minimal_ident(&self) -> u64 {
        dump::number_of(self.id, self.place.load(Ordering::Relaxed))
    }

    fn log_panic(&self, of: &str, call: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
            static LOG: Throttle = Throttle::new();
            let panicked = Panicked::new(payload);
            throttled!(error, LOG, "coroutine {:?}: {of} panicked: {panicked}", self.name());
        }
    }

    fn take_locals(&self) -> Option<Locals> {
        self.lock().extras.as_mut().map(|extras| std::mem::take(&mut extras.locals))
    }

    /// Runs `use_` on its values, with a lock held: nothing of a user's may be run or dropped in there.
    pub(super) fn with_locals<R>(&self, use_: impl FnOnce(&mut Locals) -> R) -> R {
        use_(&mut self.lock().extras.get_or_insert_default().locals)
    }

    pub(in crate::green) const fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    pub(in crate::green) const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns what it was before.
    pub(super) fn set_purpose(&self, purpose: u64) -> u64 {
        self.purpose.swap(purpose, Ordering::Relaxed)
    }

    #[cfg(feature = "admin")]
    pub(super) fn purpose(&self) -> u64 {
        self.purpose.load(Ordering::Relaxed)
    }

    pub(in crate::green) fn stack(&self) -> Stack {
        Stack {
            pages: self.stack_pages.load(Ordering::Relaxed),
            highest: self.stack_highest.load(Ordering::Relaxed),
        }
    }

    pub(in crate::green) const fn short_name(&self) -> &Name {
        &self.name
    }

    pub(in crate::green) fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Name::Text(text) => Cow::Borrowed(text),
            Name::Numbered(what, number) => Cow::Owned(format!("{what} {number}")),
        }
    }

    /// Makes it known to [`dump`](crate::green::dump()), until it is dropped.
    pub(super) fn make_known(self: &Arc<Self>) {
        self.place.store(dump::add(self), Ordering::Relaxed);
    }

    pub(in crate::green) const fn id(&self) -> u64 {
        self.id
    }

    /// How it has ended; `None` while it has not.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    /// Calls `call` when it has ended; at once if it has ended already.
    pub(super) fn on_exit(&self, call: Box<dyn FnOnce(Exit) + Send>) {
        let mut end = self.lock();
        match end.exit {
            None => end.extras.get_or_insert_default().calls.push(call),
            Some(exit) => {
                drop(end);
                self.log_panic("a call on exit", || call(exit));
            }
        }
    }

    /// Enlists a waiter for the end. `false` if it has ended already.
    pub(super) fn enlist(&self, waiter: &Arc<Waiter>) -> bool {
        let mut end = self.lock();
        if end.exit.is_none() {
            let waiter = Arc::clone(waiter);
            match &mut end.first {
                first @ None => *first = Some(waiter),
                Some(_) => end.extras.get_or_insert_default().waiting.enlist_also(waiter),
            }
        }
        end.exit.is_none()
    }

    pub(super) fn forget(&self, waiter: &Arc<Waiter>) {
        let mut end = self.lock();
        if end.first.take_if(|first| Arc::ptr_eq(first, waiter)).is_none()
            && let Some(extras) = &mut end.extras
        {
            extras.waiting.forget(waiter);
        }
    }

    pub(super) fn may_be_killed(&self) -> bool {
        self.kind == Kind::Coroutine
    }

    /// Whether it belongs to the runtime itself, not to the program.
    pub(super) fn is_of_the_runtime(&self) -> bool {
        matches!(self.kind, Kind::Poller | Kind::Carrier)
    }

    pub(in crate::green) fn is_coroutine(&self) -> bool {
        self.kind != Kind::Thread
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let place = *self.place.get_mut();
        if place != NOWHERE {
            dump::remove(self.id, place);
        }
    }
}

const NOWHERE: u32 = u32::MAX;
