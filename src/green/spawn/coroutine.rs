//! A coroutine without its result type: its name, whether and how it has ended, and how to end it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{Name, Record};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::Waiter;
use crate::green::runtime::{fair, worker};

/// The calling coroutine; `None` on a plain thread.
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
        self.record.id()
    }

    /// What it does, in words: that it runs, or what it waits for.
    pub fn activity(&self) -> &'static str {
        self.record.activity().get().as_str()
    }

    /// For how long it has been doing that; 0 unless waits are timed.
    #[cfg(feature = "admin")]
    pub(crate) fn doing_for(&self) -> Duration {
        self.record.activity().lasts()
    }

    /// What its wait is for, as the layer that waits counts it; 0 for nothing more than the wait itself says.
    #[cfg(feature = "admin")]
    pub(crate) fn purpose(&self) -> u64 {
        self.record.purpose()
    }

    /// Whether it has ended.
    pub fn ready(&self) -> bool {
        self.exit().is_some()
    }

    /// How it has ended; `None` while it has not.
    pub fn exit(&self) -> Option<Exit> {
        self.record.exit()
    }

    /// Waits until it has ended. Any number of coroutines and threads may wait, any number of times. In a destructor that
    /// runs while its coroutine unwinds it returns at once, and so do [`kill`](Self::kill) and all that join.
    pub fn join(&self) {
        self.wait(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` if it still runs.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Some(timeout))
    }

    /// Ends it, and waits until it has ended.
    ///
    /// One that has not begun never runs. One that has begun ends at its next wait, on whatever primitive or socket of
    /// this module, or where it is waiting now: that wait unwinds, destructors run, and those that join it get
    /// [`Failed::Killed`](crate::green::Failed::Killed). What it was given before, an item or a lock, it keeps until then,
    /// and nothing meant for another is lost with it. Code that catches the unwinding meets it again at its next wait.
    /// Code that never waits is not ended: see [`kill_timeout`](Self::kill_timeout).
    ///
    /// Twice is the same as once; after the end it does nothing. A coroutine that kills itself unwinds here. Those of a
    /// server and its connections are not killed, and not waited for: stop them, or close them.
    #[doc(alias = "cancel_wait")]
    pub fn kill(&self) {
        if self.ask_to_end() {
            self.join();
        }
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` if it still runs; it is killed all the same.
    /// [`Duration::ZERO`] only asks.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        let may_end = self.ask_to_end();
        if timeout.is_zero() || !may_end { self.ready() } else { self.join_timeout(timeout) }
    }

    /// As [`kill`](Self::kill), and says why: see [`kill_reason`](Self::kill_reason). The result is
    /// [`Failed::Killed`](super::failed::Failed::Killed) all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::{self, Event};
    ///
    /// let waits = green::spawn(|| Event::new().wait());
    /// waits.kill_with("took too long");
    /// assert_eq!(waits.coroutine().kill_reason().as_deref(), Some("took too long"));
    /// ```
    pub fn kill_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.record.note_reason(reason.into());
        self.kill();
    }

    /// As [`kill_with`](Self::kill_with), waiting at most for `timeout`: see [`kill_timeout`](Self::kill_timeout).
    pub fn kill_with_timeout(&self, reason: impl Into<Cow<'static, str>>, timeout: Duration) -> bool {
        self.record.note_reason(reason.into());
        self.kill_timeout(timeout)
    }

    pub(super) fn hold(&self, what: impl Send + 'static) {
        self.record.hold(what);
    }

    /// Why it was killed, if that was said, for the coroutine's own destructors and for others. The first reason stays. One
    /// that came after the end is not kept.
    pub fn kill_reason(&self) -> Option<Cow<'static, str>> {
        self.record.reason()
    }

    /// A number that no other coroutine has while this one is known, as small as possible: for tables and logs. Used again
    /// later, unlike [`id`](Self::id).
    pub fn minimal_ident(&self) -> u64 {
        self.record.minimal_ident()
    }

    /// Calls `call` once, when it has ended: the coroutine does it itself, after its result is there. If it has ended
    /// already, the caller does it at once. A panic of `call` is logged.
    #[doc(alias = "rawlink")]
    pub fn on_exit(&self, call: impl FnOnce(Exit) + Send + 'static) {
        self.record.on_exit(Box::new(call));
    }

    /// Cuts short what it runs, if that [may be](crate::green::cuttable).
    pub(super) fn cut(&self) {
        self.record.interrupts().cut();
    }

    /// The number in its name, if that is `what` and a number.
    pub(crate) fn number_of(&self, what: &str) -> Option<u64> {
        match self.record.short_name() {
            Name::Numbered(of, number) if **of == what => Some(*number),
            _ => None,
        }
    }

    /// What it waits for; `None` of those that belong to the runtime itself.
    pub(in crate::green) fn awaits(&self) -> Option<Awaits> {
        (!self.record.is_of_the_runtime()).then(|| self.record.activity().get())
    }

    /// `false` of those whose owner ends them: see [`kill`](Self::kill).
    pub(in crate::green) fn may_be_killed(&self) -> bool {
        self.record.may_be_killed()
    }

    /// `false` if it is not killed.
    pub(super) fn ask_to_end(&self) -> bool {
        let may_end = self.record.may_be_killed();
        if may_end {
            self.record.interrupts().kill();
        }
        may_end
    }

    /// Enlists a waiter for the end. `false` if it has ended already.
    pub(in crate::green) fn enlist(&self, waiter: &Arc<Waiter>) -> bool {
        self.record.enlist(waiter)
    }

    pub(in crate::green) fn forget(&self, waiter: &Arc<Waiter>) {
        self.record.forget(waiter);
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
