//! A coroutine as everybody sees it, whatever it returns: its name, its end, and how to end it.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::dump;
use super::interrupt::Interrupts;
use super::local::Locals;
use crate::green::Panicked;
use crate::green::runtime::awaits::{Activity, Awaits};
use crate::green::runtime::park::{WaitList, Waiter, Who};
use crate::green::runtime::stack_note::Stack;
use crate::green::runtime::{fair, home, worker};
use crate::log_line::{Throttle, throttled};

/// The coroutine that calls; `None` on a plain thread.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Builder};
///
/// let named = Builder::new().name("ping").spawn(|| green::current().unwrap().name().to_string()).unwrap();
/// assert_eq!(named.get().unwrap(), "ping");
/// assert!(green::current().is_none());
/// ```
#[doc(alias = "getcurrent")]
pub fn current() -> Option<Coroutine> {
    let record = worker::current().filter(|record| record.is_coroutine())?;
    Some(Coroutine { record })
}

/// A coroutine, whatever it returns. Clones mean the same one; dropped, they let it go on.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Event, Exit};
///
/// let waits_for_ever = green::spawn(|| Event::new().wait());
/// let coroutine = waits_for_ever.coroutine().clone();
/// coroutine.on_exit(|exit| assert_eq!(exit, Exit::Killed));
/// coroutine.kill();
/// assert_eq!(coroutine.exit(), Some(Exit::Killed));
/// ```
#[derive(Clone)]
pub struct Coroutine {
    record: Arc<Record>,
}

/// How a coroutine has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its body has returned.
    Returned,
    /// Its body has panicked.
    Panicked,
    /// It was killed.
    Killed,
}

impl Coroutine {
    pub(super) const fn new(record: Arc<Record>) -> Self {
        Self { record }
    }

    /// Its name, as given to [`Builder::name`](crate::green::Builder::name); empty by default.
    pub fn name(&self) -> Cow<'_, str> {
        self.record.name()
    }

    /// Its number, never used twice in a process.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// What it does, in words: that it runs, or what it waits for.
    pub fn activity(&self) -> &'static str {
        self.record.activity.get().as_str()
    }

    /// Whether it has ended.
    pub fn ready(&self) -> bool {
        self.exit().is_some()
    }

    /// How it has ended; `None` while it has not.
    pub fn exit(&self) -> Option<Exit> {
        self.record.lock().exit
    }

    /// Waits until it has ended. Any number of coroutines and threads may wait, any number of times. In a destructor that
    /// runs while its coroutine unwinds it returns at once, and so do [`kill`](Self::kill) and all that join.
    pub fn join(&self) {
        self.wait(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` where it still runs.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Some(timeout))
    }

    /// Ends it, and waits until it has ended.
    ///
    /// One that has not begun never runs. One that has begun ends at its next wait, on whatever primitive or socket of
    /// this module, or where it is waiting now: that wait unwinds, destructors run, and whoever joins it gets
    /// [`Failed::Killed`](crate::green::Failed::Killed). What it was given before, an item or a lock, it keeps until then,
    /// and nothing meant for another is lost with it. Code that catches the unwinding meets it again at its next wait.
    /// Code that never waits is not ended: see [`kill_timeout`](Self::kill_timeout).
    ///
    /// Twice is the same as once; after the end it does nothing. A coroutine that kills itself unwinds here. Those of a
    /// server and its connections are not killed, and not waited for: stop them, or close them.
    pub fn kill(&self) {
        if self.ask_to_end() {
            self.join();
        }
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` where it still runs; it is killed all the same.
    /// [`Duration::ZERO`] only asks.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        let may_end = self.ask_to_end();
        if timeout.is_zero() || !may_end { self.ready() } else { self.join_timeout(timeout) }
    }

    /// Has `call` called, once, when it has ended: by the coroutine itself, after its result is there; at once, by the
    /// caller, where it has ended already. A panic of `call` is logged.
    #[doc(alias = "link")]
    pub fn on_exit(&self, call: impl FnOnce(Exit) + Send + 'static) {
        let mut end = self.record.lock();
        match end.exit {
            None => end.extras.get_or_insert_default().calls.push(Box::new(call)),
            Some(exit) => {
                drop(end);
                self.record.log_panic("a call on exit", || call(exit));
            }
        }
    }

    /// Cuts short what it runs, if that [may be](crate::green::cuttable).
    pub(super) fn cut(&self) {
        self.record.interrupts.cut();
    }

    /// The number in its name, where that is `what` and a number.
    pub(crate) fn number_of(&self, what: &str) -> Option<u64> {
        match self.record.name {
            Name::Numbered(of, number) if *of == what => Some(number),
            _ => None,
        }
    }

    /// `false` where it is not killed.
    pub(super) fn ask_to_end(&self) -> bool {
        let may_end = self.record.kind == Kind::Coroutine;
        if may_end {
            self.record.interrupts.kill();
        }
        may_end
    }

    /// Enlists a waiter for the end. `false` where it has ended already.
    pub(in crate::green) fn enlist(&self, waiter: &Arc<Waiter>) -> bool {
        let mut end = self.record.lock();
        if end.exit.is_none() {
            end.extras.get_or_insert_default().waiting.enlist_also(Arc::clone(waiter));
        }
        end.exit.is_none()
    }

    pub(in crate::green) fn forget(&self, waiter: &Arc<Waiter>) {
        if let Some(extras) = &mut self.record.lock().extras {
            extras.waiting.forget(waiter);
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        fair::fairness_point();
        let waiter = Waiter::new();
        !self.enlist(&waiter) || waiter.wait(Awaits::Coroutine, timeout, |gone| self.forget(gone))
    }
}

impl fmt::Debug for Coroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coroutine({} {:?})", self.id(), self.name())
    }
}

impl PartialEq for Coroutine {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.record, &other.record)
    }
}

impl Eq for Coroutine {}

/// What is known of a coroutine, or of a thread that has asked for it. It is with the thread while its coroutine runs
/// there and with the wait while it waits, so that reaching it costs neither a lock nor a map.
pub(in crate::green) struct Record {
    id: u64,
    kind: Kind,
    name: Name,
    activity: Activity,
    /// The state of its own wait: see [`Sleeper`](crate::green::runtime::park::Sleeper).
    wait: AtomicU8,
    /// It waits for `unpark`. Written on its home alone, but for one that hops home.
    parked: AtomicBool,
    /// The worker it runs on.
    home: AtomicU32,
    handle: OnceLock<may::coroutine::Coroutine>,
    interrupts: Interrupts,
    end: Mutex<End>,
    /// Its place among those known to [`dump`](crate::green::dump()).
    place: AtomicU32,
    /// Its stack, as it has noted when it began.
    stack_pages: AtomicU32,
    stack_highest: AtomicUsize,
}

/// What a coroutine is called. A numbered name is put together when somebody asks.
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

/// Whose record it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Coroutine,
    /// A coroutine that is not killed: its owner closes what it waits on.
    Shielded,
    /// Shielded too, and on its worker before that knows its number.
    Poller,
    Thread,
}

struct End {
    exit: Option<Exit>,
    extras: Option<Box<Extras>>,
}

/// What few coroutines have.
#[derive(Default)]
struct Extras {
    waiting: WaitList,
    calls: Vec<Box<dyn FnOnce(Exit) + Send>>,
    locals: Locals,
}

impl Record {
    pub(super) fn new(name: Name, kind: Kind) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            kind,
            name,
            activity: Activity::new(),
            wait: AtomicU8::new(0),
            parked: AtomicBool::new(false),
            home: AtomicU32::new(0),
            handle: OnceLock::new(),
            interrupts: Interrupts::new(),
            end: Mutex::new(End { exit: None, extras: None }),
            place: AtomicU32::new(NOWHERE),
            stack_pages: AtomicU32::new(0),
            stack_highest: AtomicUsize::new(0),
        })
    }

    /// The record of who calls. A plain thread gets one with the first call.
    pub(super) fn of_caller() -> Arc<Self> {
        worker::current().unwrap_or_else(|| {
            let record = Self::new(Name::default(), Kind::Thread);
            record.begin();
            record
        })
    }

    /// To be called by its coroutine before it begins, with the size of its stack.
    pub(super) fn note_stack(&self, bytes: usize) {
        let stack = Stack::of_caller(bytes);
        self.stack_pages.store(stack.pages, Ordering::Relaxed);
        self.stack_highest.store(stack.highest, Ordering::Relaxed);
    }

    /// To be called by its coroutine or thread, first of all.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.is_coroutine() {
            // It begins once.
            let _ = self.handle.set(may::coroutine::current());
            if self.kind != Kind::Poller {
                home::come_home(self);
            }
            self.interrupts.begin(Who::Green(Arc::clone(self)));
        } else {
            self.interrupts.begin(Who::calls());
        }
        worker::resume(Some(Arc::clone(self)));
    }

    /// Has its result put where it is looked for. A result that nobody waits for any more is dropped there and then.
    pub(super) fn keep(&self, keep: impl FnOnce()) {
        self.interrupts.end();
        self.log_panic("its result, dropped,", keep);
    }

    /// Waits for [`unpark`](Self::unpark). To be called by its own coroutine.
    pub(in crate::green) fn park(self: &Arc<Self>) {
        self.park_for(|| {});
        home::come_home(self);
    }

    /// As [`park`](Self::park), wherever that ends; does `call` when it can be unparked.
    pub(in crate::green) fn park_for(&self, call: impl FnOnce()) {
        self.parked.store(true, Ordering::Relaxed);
        call();
        while self.parked.load(Ordering::Relaxed) {
            may::coroutine::park();
        }
    }

    /// Has it go on, if it is parked. To be called on its home alone.
    pub(in crate::green) fn unpark(&self) {
        if self.parked.load(Ordering::Relaxed) {
            self.parked.store(false, Ordering::Relaxed);
            worker::count_woken();
            if let Some(handle) = self.handle.get() {
                handle.unpark();
            }
        }
    }

    pub(in crate::green) fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed) as usize
    }

    /// Says where it will run. To be called before it is spawned.
    pub(super) fn settle(&self, home: usize) {
        self.home.store(home as u32, Ordering::Relaxed);
    }

    pub(in crate::green) const fn wait_state(&self) -> &AtomicU8 {
        &self.wait
    }

    /// To be called by its coroutine, once, when its result is there.
    pub(super) fn finish(&self, exit: Exit) {
        self.interrupts.end();
        self.log_panic("a coroutine-local value", || drop(self.take_locals()));
        // What the body has put off is done before anybody learns of its end.
        fair::before_yield();
        let calls = {
            let mut end = self.lock();
            end.exit = Some(exit);
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

    pub(in crate::green) fn stack(&self) -> Stack {
        Stack {
            pages: self.stack_pages.load(Ordering::Relaxed),
            highest: self.stack_highest.load(Ordering::Relaxed),
        }
    }

    pub(in crate::green) const fn short_name(&self) -> &Name {
        &self.name
    }

    pub(super) fn name(&self) -> Cow<'_, str> {
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

    pub(in crate::green) fn is_coroutine(&self) -> bool {
        self.kind != Kind::Thread
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
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
