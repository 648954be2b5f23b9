//! A scope that joins: what is spawned in it has ended when it returns.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, MutexGuard};

use super::builder::Builder;
use super::failed::Panicked;
use super::greenlet::Greenlet;
use super::group::Group;
use super::interrupt::{Interrupt, Scope as Limit, is_unwinding};
use super::record::Record;
use crate::green::runtime::timer::Timed;
use crate::lock::Lock;

/// Runs `body`, in which coroutines are spawned through the [`Scope`] it is given, and waits until all of them have ended.
///
/// No child outlives the call, however it ends. The first error cancels the rest: if a child or the body returns an error or
/// panics, all other children are [killed](crate::green::Coroutine::kill), and the body too ends at its next wait. If the
/// caller is killed, or a time limit around it is over, so are the children. Those that end last are waited for: one that
/// never waits holds the call up.
///
/// gevent has nothing like it; it is trio's nursery and Go's errgroup.
///
/// # Errors
///
/// The first [`ScopeError`]. In a destructor that runs while its coroutine unwinds, [`ScopeError::Cancelled`] at once: nothing
/// can be waited for there, and `body` does not run.
///
/// # Panics
///
/// If `body` panics, with what it panicked with, once the children have ended.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Event, ScopeError};
///
/// let sum = green::scope::<_, String>(|scope| {
///     let parts = [1, 2, 3].map(|n| scope.spawn(move || Ok(n * n)));
///     Ok(parts.into_iter().map(|part| part.get().unwrap()).sum::<i32>())
/// });
/// assert_eq!(sum.unwrap(), 14);
///
/// let failed = green::scope(|scope| {
///     scope.spawn(|| Ok(Event::new().wait())); // killed
///     scope.spawn(|| Err::<(), _>("no such file"));
///     Ok(())
/// });
/// assert!(matches!(failed, Err(ScopeError::Error("no such file"))));
/// ```
pub fn scope<T, E>(body: impl FnOnce(&Scope<E>) -> Result<T, E>) -> Result<T, ScopeError<E>>
where
    E: Send + 'static,
{
    if is_unwinding() {
        return Err(ScopeError::Cancelled);
    }
    let entered = Entered::new();
    let scope = entered.scope.clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let value = body(&scope)?;
        scope.shared.children.join();
        Ok(value)
    }));
    let was_ended = |payload: &Box<dyn Any + Send>| entered.is_ended_by(payload);
    let ended = outcome.as_ref().err().is_some_and(was_ended);
    // From here on, nothing interrupts the wait for the children.
    drop(entered);
    match outcome {
        Ok(Ok(value)) => scope.end(None).map_or(Ok(value), Err),
        Ok(Err(error)) => Err(scope.end(Some(ScopeError::Error(error))).unwrap_or(ScopeError::Cancelled)),
        Err(_) if ended => Err(scope.end(None).unwrap_or(ScopeError::Cancelled)),
        Err(payload) => {
            scope.cancel();
            drop(scope.end(None));
            resume_unwind(payload)
        }
    }
}

/// Where the children of a [`scope`] are spawned. Clones are the same scope, for children that spawn more.
pub struct Scope<E> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    children: Group,
    state: Lock<State<E>>,
}

struct State<E> {
    /// The first; taken when the scope ends.
    error: Option<ScopeError<E>>,
    /// Those spawned from now on never run.
    is_over: bool,
    /// The body, to end it.
    owner: Option<Arc<Limit>>,
}

impl<E: Send + 'static> Scope<E> {
    /// Spawns a child. The handle returns its value, and may be dropped. An error or a panic of it is the scope's: the
    /// handle returns [`Failed::Killed`](crate::green::Failed::Killed).
    ///
    /// If the scope is cancelled or over, the child never runs.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::green::spawn()).
    pub fn spawn<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let spawned = self.spawn_with(Builder::new(), body);
        spawned.unwrap_or_else(|error| panic!("cannot spawn a coroutine: {error}"))
    }

    /// As [`spawn`](Self::spawn), with settings: a name, a size of the stack.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`]. The scope goes on.
    pub fn spawn_with<F, T>(&self, builder: Builder, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let record = builder.record();
        let membership = self.shared.children.enter(&record);
        // After it has entered, so that a cancel in between finds it there.
        if self.lock().is_over {
            record.interrupts().kill();
        }
        let scope = self.clone();
        builder.spawn_as(record, membership, move || scope.run_child(body))
    }

    /// Ends all children and the body, as an error does. [`scope`] returns [`ScopeError::Cancelled`], unless there was an error
    /// before. Twice is the same as once.
    pub fn cancel(&self) {
        self.fail(ScopeError::Cancelled);
    }

    /// Whether it was cancelled, by an error or by [`cancel`](Self::cancel), or is over.
    pub fn is_cancelled(&self) -> bool {
        self.lock().is_over
    }

    /// How many children have not ended.
    pub fn len(&self) -> usize {
        self.shared.children.len()
    }

    /// Whether all children have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn run_child<T>(&self, body: impl FnOnce() -> Result<T, E>) -> T {
        let error = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => ScopeError::Error(error),
            // A child that was killed has not failed.
            Err(payload) if payload.is::<Interrupt>() => resume_unwind(payload),
            Err(payload) => ScopeError::Panicked(Panicked::new(payload)),
        };
        self.fail(error);
        Interrupt::Kill.raise()
    }

    /// Keeps the first error, and ends all.
    fn fail(&self, error: ScopeError<E>) {
        let mut state = self.lock();
        let later = if state.error.is_some() { Some(error) } else { state.error.replace(error) };
        state.is_over = true;
        if let Some(owner) = &state.owner {
            owner.time_is_up();
        }
        drop(state);
        drop(later);
        self.shared.children.ask_to_end();
    }

    /// Waits for all children, and returns the first error.
    fn end(&self, error: Option<ScopeError<E>>) -> Option<ScopeError<E>> {
        if let Some(error) = error {
            self.fail(error);
        }
        // One that another spawns from now on never runs.
        self.lock().is_over = true;
        self.shared.children.join_out();
        self.lock().error.take()
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.shared.state.lock()
    }
}

/// A body that runs in its scope, and may be ended by it.
struct Entered<E: Send + 'static> {
    scope: Scope<E>,
    limit: Arc<Limit>,
}

impl<E: Send + 'static> Entered<E> {
    fn new() -> Self {
        let limit = Limit::new(Record::of_caller());
        limit.interrupts().enter(&limit);
        let state = State { error: None, is_over: false, owner: Some(Arc::clone(&limit)) };
        let shared = Shared { children: Group::new(), state: Lock::new(state) };
        Self { scope: Scope { shared: Arc::new(shared) }, limit }
    }

    fn is_ended_by(&self, payload: &Box<dyn Any + Send>) -> bool {
        payload.downcast_ref().is_some_and(|interrupt| self.limit.is_target(*interrupt))
    }
}

impl<E: Send + 'static> Drop for Entered<E> {
    fn drop(&mut self) {
        let owner = self.scope.lock().owner.take();
        drop(owner);
        self.limit.interrupts().leave(&self.limit);
    }
}

/// Why a [`scope`] has no value.
#[derive(Debug)]
pub enum ScopeError<E> {
    /// A child, or the body, returned this error.
    Error(E),
    /// A child panicked.
    Panicked(Panicked),
    /// [`Scope::cancel`] was called.
    Cancelled,
}

impl<E: fmt::Display> fmt::Display for ScopeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panicked(panicked) => write!(f, "a child panicked: {panicked}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ScopeError<E> {}

impl<E> Clone for Scope<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<E> fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("children", &self.shared.children.len()).finish_non_exhaustive()
    }
}
