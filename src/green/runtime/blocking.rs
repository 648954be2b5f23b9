//! Work that blocks its thread, off the workers: a bounded pool of threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, MutexGuard};
use std::thread::ThreadId;
use std::time::Duration;

use super::awaits::Awaits;
use super::overflow::{self, WatchedThread};
use super::park::Waiter;
use super::worker;
use crate::green::spawn::contain::contain;
use crate::green::spawn::interrupt::is_unwinding;
use crate::green::sync::queue::Queue;
use crate::lock::Lock;

/// Runs `work` on a pool of at most 16 threads; the coroutine that calls waits, its worker does not.
///
/// For file access, name resolution, a database driver that blocks, a computation that takes long. A panic of `work`
/// goes on in the caller. While all threads are busy it waits for its turn. A caller killed meanwhile leaves the work to
/// end on its own. In a destructor that runs while its coroutine unwinds, `work` runs right there, since nothing waits.
///
/// Called by work on the pool, it runs `work` at once, on the same thread. So do [`resolve`](crate::green::resolve),
/// `bind` and `connect` there, which ask for names. Work that waits for a coroutine, a queue or another thing of this
/// module gives its place to another thread meanwhile: what it waits for may need the pool itself.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let hosts = green::run(|| green::blocking(|| std::fs::read_to_string("/etc/hosts")));
/// # drop(hosts);
/// ```
#[doc(alias = "threadpool")]
pub fn blocking<F, T>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if is_unwinding() || POOL.has_caller() {
        return work();
    }
    let answer = Arc::new(Lock::new(None));
    let waiter = Waiter::new();
    let (theirs, wake, caller) = (Arc::clone(&answer), Arc::clone(&waiter), worker::current());
    POOL.submit(Box::new(move || {
        let outcome = overflow::working_for(caller.as_deref(), || catch_unwind(AssertUnwindSafe(work)));
        *theirs.lock() = Some(outcome);
        wake.wake();
    }));
    waiter.wait(Awaits::Thread, None, |_| {});
    let outcome = answer.lock().take();
    outcome
        .expect("the waiter is woken after the answer is there")
        .unwrap_or_else(|payload| resume_unwind(payload))
}

/// Has a plain thread wait. One of the pool that is at work lets another take its place meanwhile.
pub(in crate::green) fn step_aside<R>(wait: impl FnOnce() -> R) -> R {
    let steps = POOL.change(Does::Work, Does::Wait);
    if steps {
        POOL.call_for_help();
    }
    let result = wait();
    if steps {
        POOL.change(Does::Wait, Does::Work);
    }
    result
}

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: Queue<Job>,
    /// Its threads; they start with the work and end after [`IDLE`] without. Never locked across a wait.
    threads: Lock<Vec<Member>>,
}

struct Member {
    thread: ThreadId,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Nothing: it takes the next job.
    Idle,
    Work,
    /// It is in the middle of its work, and waits for something of this module.
    Wait,
}

impl Pool {
    /// Whether a thread of the pool calls.
    fn has_caller(&self) -> bool {
        if may::coroutine::is_coroutine() {
            return false;
        }
        let me = std::thread::current().id();
        self.lock().iter().any(|member| member.thread == me)
    }

    fn submit(&'static self, job: Job) {
        // The queue is never closed: a full one makes the caller wait for its turn.
        let _ = self.jobs.put(job);
        while !self.call_for_help() {
            crate::green::sleep(RETRY);
        }
    }

    /// Starts a thread if there are more jobs than threads to take them, and fewer at work than may be. `false` if there
    /// is none at all to do a job: the system has no room for a thread now.
    fn call_for_help(&'static self) -> bool {
        let mut threads = self.lock();
        let (idle, present) = (count(&threads, Does::Idle), present(&threads));
        if self.jobs.len() <= idle || present >= MAX_THREADS {
            return true;
        }
        let started = std::thread::Builder::new().name("zinx-blocking".to_string()).spawn(|| {
            let _watched = WatchedThread::enter();
            self.work();
        });
        match started {
            Ok(started) => threads.push(Member { thread: started.thread().id(), does: Does::Idle }),
            Err(error) => {
                drop(threads);
                log::error!("cannot start a thread for blocking work: {error}");
                return present > 0;
            }
        }
        true
    }

    fn work(&'static self) {
        loop {
            let job = self.jobs.get_timeout(IDLE).ok();
            let idle = job.is_none();
            if let Some(job) = job {
                self.change(Does::Idle, Does::Work);
                // A job that came meanwhile may have counted on this thread.
                self.call_for_help();
                if let Err(words) = contain(job) {
                    log::error!("a result that nobody waits for panicked in its drop: {words}");
                }
                self.change(Does::Work, Does::Idle);
            }
            if self.leave(idle) {
                return;
            }
        }
    }

    /// Ends the thread that calls if it is not needed: it was idle for long and there is no job, or those for which it
    /// was started have come back.
    fn leave(&self, idle: bool) -> bool {
        let mut threads = self.lock();
        let leaves = present(&threads) > MAX_THREADS || (idle && self.jobs.is_empty());
        if leaves {
            let me = std::thread::current().id();
            threads.retain(|member| member.thread != me);
        }
        leaves
    }

    /// Notes what the caller does from now on, if it is a thread of the pool that did `from`.
    fn change(&self, from: Does, to: Does) -> bool {
        let me = std::thread::current().id();
        let mut threads = self.lock();
        let mine = threads.iter_mut().find(|member| member.thread == me && member.does == from);
        mine.map(|member| member.does = to).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Member>> {
        self.threads.lock()
    }
}

fn count(threads: &[Member], does: Does) -> usize {
    threads.iter().filter(|member| member.does == does).count()
}

/// Threads that work, or could.
fn present(threads: &[Member]) -> usize {
    threads.len() - count(threads, Does::Wait)
}

static POOL: LazyLock<Pool> =
    LazyLock::new(|| Pool { jobs: Queue::bounded(MAX_QUEUED), threads: Lock::default() });

/// Threads at work, at most; those that have stepped aside do not count.
const MAX_THREADS: usize = 16;

const IDLE: Duration = Duration::from_secs(10);
const MAX_QUEUED: usize = 1024;

/// Between two attempts to start the first thread.
const RETRY: Duration = Duration::from_millis(50);
