//! Spawning coroutines and waiting for them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::coroutine::{Coroutine, Exit};
use super::failed::Failed;
use super::interrupt::is_unwinding;
use super::links::{Link, Outcome};

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
/// If [`Builder::spawn`] would return an error: the machine has no room for another stack.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let answer = green::spawn(|| 6 * 7);
/// assert_eq!(answer.get().unwrap(), 42);
/// ```
#[doc(alias = "spawn_raw")]
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

/// A handle to a coroutine, to wait for its end and take its result. Dropped, it lets the coroutine go on.
#[derive(Debug)]
#[doc(alias = "ThreadResult")]
pub struct Greenlet<T> {
    coroutine: Coroutine,
    result: Arc<Outcome<T>>,
}

impl<T> Greenlet<T> {
    pub(super) const fn new(coroutine: Coroutine, result: Arc<Outcome<T>>) -> Self {
        Self { coroutine, result }
    }

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

    /// As [`join`](Self::join), at most for `timeout`. `false` if the coroutine still runs.
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
    #[doc(alias = "GreenletExit")]
    pub fn kill(&self) {
        self.coroutine.kill();
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` if it still runs; it is killed all the same.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        self.coroutine.kill_timeout(timeout)
    }

    /// As [`kill`](Self::kill), and says why: see [`Coroutine::kill_with`].
    #[doc(alias("exc_info", "throw"))]
    pub fn kill_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.coroutine.kill_with(reason);
    }

    /// As [`kill_with`](Self::kill_with), waiting at most for `timeout`: see [`kill_timeout`](Self::kill_timeout).
    pub fn kill_with_timeout(&self, reason: impl Into<Cow<'static, str>>, timeout: Duration) -> bool {
        self.coroutine.kill_with_timeout(reason, timeout)
    }

    /// Calls `call`, once, with the result: by the coroutine itself when it has it, before those who join it go on;
    /// at once, by the caller, if it has ended already. A call that waits holds the joins up. A panic of it is logged.
    ///
    /// What this returns takes the call back: [`unlink`](Self::unlink). A call that needs no result is one for
    /// [`on_exit`](Self::on_exit).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use zinx::green::{self, Queue};
    ///
    /// let done = Arc::new(Queue::unbounded());
    /// let tell = Arc::clone(&done);
    /// let work = green::spawn(|| 42);
    /// work.link(move |result| tell.try_put(*result.unwrap()).unwrap());
    /// assert_eq!((done.get(), work.get().unwrap()), (Some(42), 42));
    /// ```
    pub fn link(&self, call: impl FnOnce(Result<&T, &Failed>) + Send + 'static) -> Link {
        self.result.link(Box::new(call))
    }

    /// As [`link`](Self::link), called only if the coroutine returns.
    pub fn link_value(&self, call: impl FnOnce(&T) + Send + 'static) -> Link {
        self.link(|result| result.map(call).unwrap_or_default())
    }

    /// As [`link`](Self::link), called only if the coroutine panics or is killed.
    pub fn link_exception(&self, call: impl FnOnce(&Failed) + Send + 'static) -> Link {
        self.link(|result| result.err().map(call).unwrap_or_default())
    }

    /// Takes a call back. `false` if it has been made, has begun, or is another greenlet's.
    pub fn unlink(&self, link: &Link) -> bool {
        self.result.unlink(link)
    }

    /// Takes back all calls that have not begun: those of [`link`](Self::link), [`link_value`](Self::link_value) and
    /// [`link_exception`](Self::link_exception), not those of [`on_exit`](Self::on_exit).
    pub fn unlink_all(&self) {
        self.result.unlink_all();
    }

    /// Whether there are calls that [`unlink_all`](Self::unlink_all) would take back.
    pub fn has_links(&self) -> bool {
        self.result.has_links()
    }

    /// Calls `call` once, when the coroutine has ended: see [`Coroutine::on_exit`].
    #[doc(alias = "rawlink")]
    pub fn on_exit(&self, call: impl FnOnce(Exit) + Send + 'static) {
        self.coroutine.on_exit(call);
    }

    /// Waits for the end and takes the result.
    ///
    /// # Errors
    ///
    /// [`Failed`], with the payload if the coroutine panicked. Also if the coroutine has not ended and a destructor
    /// asks while its own coroutine unwinds: nothing waits then.
    pub fn get(self) -> Result<T, Failed> {
        self.join();
        self.try_get().unwrap_or_else(|_| Err(Failed::from_payload(Box::new(NOT_JOINED))))
    }

    /// As [`get`](Self::get), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// The handle itself, if the coroutine still runs.
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

    /// Takes the result if the coroutine has ended, without waiting.
    ///
    /// # Errors
    ///
    /// The handle itself, if the coroutine still runs.
    #[doc(alias = "exception")]
    pub fn try_get(self) -> Result<Result<T, Failed>, Self> {
        if self.ready() { Ok(self.take()) } else { Err(self) }
    }

    fn take(self) -> Result<T, Failed> {
        self.result
            .take()
            .expect("an ended coroutine leaves a result, and only the last use of its one handle takes it")
    }
}

/// What a destructor gets that cannot wait for the result.
const NOT_JOINED: &str = "not waited for: the caller is unwinding";
