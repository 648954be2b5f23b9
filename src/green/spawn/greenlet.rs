//! Spawning coroutines and waiting for them.

use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::coroutine::{Coroutine, Exit, Kind, Name, Record};
use super::failed::Failed;
use super::interrupt::is_unwinding;
use crate::green::net::socket::Socket;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::lean_stack::LeanStack;
use crate::green::runtime::start::{Begun, Where, start};
use crate::green::runtime::{settings, worker};
use crate::log_line::{Throttle, throttled};

/// Spawns a coroutine (a green thread): sequential code that runs concurrently with its spawner.
///
/// It runs on one worker for all its life, so `body` may keep across its waits what is not `Send`: an `Rc`, a copy out of a
/// thread-local. Those spawned are spread evenly over the workers, wherever they are spawned from.
///
/// # Contract
///
/// 1. `body` stays within its stack (64 KiB in release, 256 KiB in debug, `StackBytes` to change it): no deep recursion, no
///    large arrays on the stack. An overflow hits a guard page and ends the process with exit code 1, after a line on
///    stderr that names the coroutine.
/// 2. It should not block its thread (`std::thread::sleep`, a long computation): whatever else runs on that worker waits
///    as long, and no other worker takes it over.
/// 3. It waits with what this module has, not by calling `may` itself, which may go on on another thread.
///
/// # Panics
///
/// Where [`Builder::spawn`] would return an error: the machine has no room for another stack.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let answer = green::spawn(|| 6 * 7);
/// assert_eq!(answer.get().unwrap(), 42);
/// ```
pub fn spawn<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(body).unwrap_or_else(|error| panic!("cannot spawn a coroutine: {error}"))
}

/// As [`spawn`], begun after `delay`. Its stack is taken now; killed meanwhile, `body` never runs.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green;
///
/// let later = green::spawn_later(Duration::from_millis(5), || "now");
/// assert_eq!(later.get().unwrap(), "now");
/// ```
pub fn spawn_later<F, T>(delay: Duration, body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn(move || {
        crate::green::sleep(delay);
        body()
    })
}

/// Runs `body` as a coroutine and waits for it: the way from `main` into the green world.
///
/// A panic of `body` goes on in the caller. In a destructor that runs while its coroutine unwinds, `body` runs right
/// there, and nothing waits in it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green;
///
/// green::run(|| green::sleep(Duration::from_millis(1)));
/// ```
pub fn run<F, T>(body: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if is_unwinding() {
        return body();
    }
    match spawn(body).get() {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_payload()),
    }
}

/// Settings of a coroutine to be spawned.
#[derive(Debug, Default)]
pub struct Builder {
    name: Name,
    stack_bytes: Option<usize>,
    place: Where,
    lean: bool,
    kind: Kind,
}

impl Builder {
    /// A coroutine with the runtime's stack size and no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the coroutine, for the log and for [`Coroutine::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Name::Text(name.into());
        self
    }

    /// Names the coroutine "`what` `number`", in no memory of its own.
    #[must_use]
    pub(crate) fn numbered(mut self, what: &'static &'static str, number: u64) -> Self {
        self.name = Name::Numbered(what, number);
        self
    }

    /// Gives it a stack of its own size, in bytes. Default: the runtime's, whose stacks are pooled.
    #[must_use]
    pub const fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Makes an idle stack cost one page less, at the price of a system call when it starts and a page fault when it
    /// ends: for coroutines that live long and mostly wait.
    #[must_use]
    pub(crate) const fn lean(mut self) -> Self {
        self.lean = true;
        self
    }

    /// Keeps it from being killed: its owner ends it by closing what it waits on, and cleans up after it.
    #[must_use]
    pub(crate) const fn shielded(mut self) -> Self {
        self.kind = Kind::Shielded;
        self
    }

    /// Spawns it on the worker where the socket is waited for already, unless that is held.
    #[must_use]
    pub(crate) fn near(mut self, socket: &Socket) -> Self {
        self.place = socket.home().map_or(Where::Anywhere, Where::Near);
        self
    }

    /// Spawns it on a given worker, unless that is held.
    #[must_use]
    pub(crate) const fn on(mut self, home: usize) -> Self {
        self.place = Where::Near(home);
        self
    }

    /// Spawns it on the worker of the caller, if that is a green thread: for two that take turns.
    #[must_use]
    pub(super) fn here(mut self) -> Self {
        self.place = worker::home_index().map_or(Where::Anywhere, Where::At);
        self
    }

    /// The poller of a worker.
    pub(in crate::green) const fn poller(home: usize) -> Self {
        let name = Name::Text(Cow::Borrowed("poller"));
        Self { name, stack_bytes: None, place: Where::At(home), lean: false, kind: Kind::Poller }
    }

    /// Spawns the coroutine. See [`spawn`] for the contract.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] where as many coroutines are alive as the machine has room for
    /// ([`max_coroutines`](crate::green::max_coroutines)), with what to set, or where it has no memory for the stack.
    pub fn spawn<F, T>(self, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let record = self.record();
        self.spawn_as(record, body)
    }

    /// As [`spawn`](Self::spawn), with a record that others know already.
    pub(super) fn spawn_as<F, T>(self, record: Arc<Record>, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        settings::ensure_started().map_err(io::Error::other)?;
        let result = Arc::new(Mutex::new(None));
        let (theirs, coroutine) = (Arc::clone(&result), Coroutine::new(Arc::clone(&record)));
        self.launch(record, body, move |outcome| *lock(&theirs) = Some(outcome))?;
        Ok(Greenlet { coroutine, result })
    }

    /// Spawns a coroutine whose end its owner learns in another way. A panic is logged.
    pub(crate) fn detach(self, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let record = self.record();
        self.detach_as(record, body)
    }

    /// As [`detach`](Self::detach), with a record that others know already.
    pub(super) fn detach_as(
        self,
        record: Arc<Record>,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let theirs = Arc::clone(&record);
        self.launch(record, body, move |outcome| {
            if let Err(Failed::Panicked(panicked)) = outcome {
                static LOG: Throttle = Throttle::new();
                throttled!(error, LOG, "coroutine {:?} panicked: {panicked}", theirs.name());
            }
        })
    }

    /// What is to be known of the coroutine, before it is there.
    pub(super) fn record(&self) -> Arc<Record> {
        Record::new(self.name.clone(), self.kind)
    }

    fn launch<F, T>(
        self,
        record: Arc<Record>,
        body: F,
        keep: impl FnOnce(Result<T, Failed>) + Send + 'static,
    ) -> io::Result<()>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        record.make_known();
        let stack_bytes = self.stack_bytes.unwrap_or_else(settings::default_stack_bytes);
        let lean = self.lean && self.stack_bytes.is_none();
        let body = move |begun: Begun| {
            let _lean = if lean { LeanStack::enter() } else { None };
            record.note_stack(stack_bytes);
            record.settle(begun.home);
            record.begin();
            drop(begun.arrival);
            let outcome = run_body(&record, body);
            let exit = exit_of(&outcome);
            record.keep(|| keep(outcome));
            record.finish(exit);
            drop(worker::leave(Awaits::Never));
        };
        start(self.place, self.stack_bytes, body)
    }
}

/// Runs a coroutine's body, unless it was killed before it began.
fn run_body<T>(record: &Record, body: impl FnOnce() -> T) -> Result<T, Failed> {
    let killed = record.interrupts().is_killed();
    let outcome = catch_unwind(AssertUnwindSafe(move || if killed { None } else { Some(body()) }));
    outcome.map_err(Failed::from_payload)?.ok_or(Failed::Killed)
}

const fn exit_of<T>(outcome: &Result<T, Failed>) -> Exit {
    match outcome {
        Ok(_) => Exit::Returned,
        Err(Failed::Panicked(_)) => Exit::Panicked,
        Err(Failed::Killed) => Exit::Killed,
    }
}

/// A handle to a coroutine, to wait for its end and take its result. Dropped, it lets the coroutine go on.
#[derive(Debug)]
pub struct Greenlet<T> {
    coroutine: Coroutine,
    result: Arc<Mutex<Option<Result<T, Failed>>>>,
}

impl<T> Greenlet<T> {
    /// The coroutine without its result: its name and number, how it ended, calls on its end.
    pub const fn coroutine(&self) -> &Coroutine {
        &self.coroutine
    }

    /// Its name, as given to [`Builder::name`]; empty by default.
    pub fn name(&self) -> Cow<'_, str> {
        self.coroutine.name()
    }

    /// Waits until the coroutine has ended. Any number of coroutines and threads may wait, any number of times.
    pub fn join(&self) {
        self.coroutine.join();
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` where the coroutine still runs.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.coroutine.join_timeout(timeout)
    }

    /// Whether the coroutine has ended.
    pub fn ready(&self) -> bool {
        self.coroutine.ready()
    }

    /// Whether the coroutine has ended by returning, neither by a panic nor killed.
    pub fn successful(&self) -> bool {
        self.coroutine.exit() == Some(Exit::Returned)
    }

    /// Ends the coroutine and waits until it has ended: see [`Coroutine::kill`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::green::{self, Failed};
    ///
    /// let sleeper = green::spawn(|| green::sleep(Duration::from_secs(3600)));
    /// sleeper.kill();
    /// assert!(matches!(sleeper.get(), Err(Failed::Killed)));
    /// ```
    pub fn kill(&self) {
        self.coroutine.kill();
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` where it still runs; it is killed all the same.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        self.coroutine.kill_timeout(timeout)
    }

    /// Has `call` called, once, when the coroutine has ended: see [`Coroutine::on_exit`].
    pub fn on_exit(&self, call: impl FnOnce(Exit) + Send + 'static) {
        self.coroutine.on_exit(call);
    }

    /// Waits for the end and takes the result.
    ///
    /// # Errors
    ///
    /// [`Failed`], with the payload where the coroutine panicked. Also where the coroutine has not ended and a destructor
    /// asks while its own coroutine unwinds: nothing waits then.
    pub fn get(self) -> Result<T, Failed> {
        self.join();
        self.try_get().unwrap_or_else(|_| Err(Failed::from_payload(Box::new(NOT_JOINED))))
    }

    /// As [`get`](Self::get), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// The handle itself, where the coroutine still runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::green::{self, Event};
    ///
    /// let waits = green::spawn(|| Event::new().wait());
    /// let waits = waits.get_timeout(Duration::from_millis(1)).unwrap_err();
    /// waits.kill();
    /// assert!(waits.try_get().unwrap().is_err());
    /// ```
    pub fn get_timeout(self, timeout: Duration) -> Result<Result<T, Failed>, Self> {
        if self.join_timeout(timeout) { Ok(self.take()) } else { Err(self) }
    }

    /// Takes the result where the coroutine has ended, without waiting.
    ///
    /// # Errors
    ///
    /// The handle itself, where the coroutine still runs.
    pub fn try_get(self) -> Result<Result<T, Failed>, Self> {
        if self.ready() { Ok(self.take()) } else { Err(self) }
    }

    fn take(self) -> Result<T, Failed> {
        let result = lock(&self.result).take();
        result.expect("an ended coroutine leaves a result, and only the last use of its one handle takes it")
    }
}

/// What a destructor gets that cannot wait for the result.
const NOT_JOINED: &str = "not waited for: the caller is unwinding";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
