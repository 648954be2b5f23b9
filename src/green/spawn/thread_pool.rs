//! Pools of threads of a program's own, beside the one of [`blocking`](crate::green::blocking).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::builder::exit_of;
use super::coroutine::Coroutine;
use super::failed::Failed;
use super::greenlet::Greenlet;
use super::group::Group;
use super::interrupt::is_unwinding;
use super::links::Outcome;
use super::pool::map_each;
use super::record::{Kind, Name, Record};
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::crew::Crew;
use crate::green::runtime::overflow;
use crate::green::runtime::worker;
use crate::green::{Queue, Semaphore};
use crate::lock::Lock;

/// A pool of at most so many threads, for work that blocks: [`blocking`](crate::green::blocking) is the default one, this is
/// for work that must not take its threads, or needs a bound of its own. Clones are the same pool.
///
/// A task is a [`Greenlet`] without a coroutine: it can be joined, linked and waited for among others. Killed before it
/// began, it never runs; one that runs is not stopped, and a kill waits for its end. While it runs it is a plain thread,
/// and what it waits for holds that thread.
///
/// Threads are started when they are needed, and end after ten seconds without work, or when the last handle of the pool is
/// dropped and what was spawned is done.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, ThreadPool};
///
/// let pool = ThreadPool::new(2);
/// let hosts = pool.spawn(|| std::fs::read_to_string("/etc/hosts"));
/// let sum = green::run({
///     let pool = pool.clone();
///     move || pool.apply(|| (1..=10).sum::<u32>())
/// });
/// assert_eq!(sum.unwrap(), 55);
/// # drop(hosts);
/// pool.join();
/// ```
#[derive(Clone)]
#[doc(alias = "ThreadPoolExecutor")]
pub struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    /// A task has one from its spawn to its end.
    places: Semaphore,
    tasks: Group,
    /// Its threads, which hold no handle of the pool.
    crew: Arc<Crew>,
}

impl ThreadPool {
    /// A pool of at most `maxsize` threads; 0 is taken as 1. None is started yet.
    pub fn new(maxsize: usize) -> Self {
        let maxsize = maxsize.max(1);
        // As many jobs at most as there are places.
        let crew = Crew::new("zinx-pool", maxsize, Queue::unbounded());
        let (places, tasks) = (Semaphore::new(maxsize), Group::new());
        Self { shared: Arc::new(Shared { places, tasks, crew }) }
    }

    /// Runs `work` on a thread of the pool, waiting while all of them are at work. A panic is an error of the handle.
    ///
    /// Called by work on the same pool, it runs `work` at once, right there: what waited for its own thread would wait
    /// forever. So it does in a destructor that runs while its coroutine unwinds.
    ///
    /// # Panics
    ///
    /// If the system has no room for a thread and the pool has none. `work` is dropped then, and the pool can be used on.
    #[doc(alias = "apply_async")]
    pub fn spawn<F, T>(&self, work: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let shared = &self.shared;
        let inline = is_unwinding() || shared.crew.has_caller();
        let place = if inline { None } else { Some(shared.places.acquire()) };
        let record = Record::new(Name::Text("thread pool".into()), Kind::Coroutine);
        let (result, task) = (Arc::new(Outcome::new()), Coroutine::new(Arc::clone(&record)));
        let greenlet = Greenlet::new(task.clone(), Arc::clone(&result));
        let membership = place.map(|place| shared.tasks.enter_with(task, place));
        record.make_known();
        let caller = worker::current();
        let job = move || {
            let outcome = run(&record, caller.as_deref(), work);
            let exit = exit_of(&outcome);
            record.keep(|| result.keep(outcome));
            record.finish(exit, membership);
        };
        if inline {
            job();
            return greenlet;
        }
        let job = Arc::new(Lock::new(Some(job)));
        let theirs = Arc::clone(&job);
        let has_thread = shared.crew.submit(Box::new(move || {
            let job = theirs.lock().take();
            if let Some(job) = job {
                job();
            }
        }));
        if !has_thread {
            // Taken back: left there, it would keep its place until another task gets a thread, which waits for a place.
            let refused = job.lock().take();
            assert!(refused.is_none(), "cannot start a thread");
        }
        greenlet
    }

    /// Runs `work` on a thread of the pool and waits for its result. A caller that is killed meanwhile leaves the work to
    /// end on its own.
    ///
    /// # Errors
    ///
    /// [`Failed`], if `work` panicked, or was killed before it began.
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    pub fn apply<F, T>(&self, work: F) -> Result<T, Failed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(work).get()
    }

    /// Does `work` for each item, on as many threads as there are; results in the order of the items.
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    pub fn map<I, F, T>(&self, items: I, work: F) -> Vec<Result<T, Failed>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        map_each(items, work, |one| self.spawn(move || one.run()))
    }

    /// How many threads it may have.
    pub fn maxsize(&self) -> usize {
        self.shared.crew.maxsize()
    }

    /// How many threads it has now.
    pub fn size(&self) -> usize {
        self.shared.crew.size()
    }

    /// How many tasks have not ended.
    pub fn len(&self) -> usize {
        self.shared.tasks.len()
    }

    /// Whether no task is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all threads it may have are at work.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.shared.places.is_locked()
    }

    /// Waits until no task is left.
    pub fn join(&self) {
        self.shared.tasks.join();
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` if tasks are left.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.shared.tasks.join_timeout(timeout)
    }

    /// Ends the tasks that have not begun, and waits for those that run. The pool can be used on.
    pub fn kill(&self) {
        self.shared.tasks.kill();
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` if a task still runs.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        self.shared.tasks.kill_timeout(timeout)
    }
}

/// Runs a task's work on the thread that calls.
fn run<T>(record: &Record, caller: Option<&Record>, work: impl FnOnce() -> T) -> Result<T, Failed> {
    if record.interrupts().is_killed() {
        return Err(Failed::Killed);
    }
    record.activity().set(Awaits::Nothing);
    overflow::working_for(caller, || catch_unwind(AssertUnwindSafe(work))).map_err(Failed::from_payload)
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.crew.close();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("maxsize", &self.maxsize())
            .field("size", &self.size())
            .field("len", &self.len())
            .finish()
    }
}
