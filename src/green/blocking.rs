//! Work that blocks its thread, off the workers: a bounded pool of threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::awaits::Awaits;
use super::interrupt::is_unwinding;
use super::overflow::{self, WatchedThread};
use super::park::Waiter;
use super::queue::Queue;
use super::worker;

/// Runs `work` on a pool of at most 16 threads; the coroutine that calls waits, its worker does not.
///
/// For file access, name resolution, a database driver that blocks, a computation that takes long. A panic of `work`
/// goes on in the caller. Where all threads are busy it waits for its turn. A caller killed
/// meanwhile leaves the work to end on its own. In a destructor that runs while its coroutine unwinds, `work` runs right
/// there, since nothing waits.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let hosts = green::run(|| green::blocking(|| std::fs::read_to_string("/etc/hosts")));
/// # drop(hosts);
/// ```
pub fn blocking<F, T>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if is_unwinding() {
        return work();
    }
    let answer = Arc::new(Mutex::new(None));
    let waiter = Waiter::new();
    let (theirs, wake, caller) = (Arc::clone(&answer), Arc::clone(&waiter), worker::current());
    pool().submit(Box::new(move || {
        let outcome = overflow::working_for(caller.as_deref(), || catch_unwind(AssertUnwindSafe(work)));
        *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        wake.wake();
    }));
    waiter.wait(Awaits::Thread, None, |_| {});
    let outcome = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome
        .expect("the waiter is woken after the answer is there")
        .unwrap_or_else(|payload| resume_unwind(payload))
}

/// Threads of the pool at most; they start with the work and end after [`IDLE`] without.
pub(crate) const MAX_THREADS: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: Queue<Job>,
    threads: AtomicUsize,
    idle: AtomicUsize,
}

impl Pool {
    fn submit(&'static self, job: Job) {
        if self.idle.load(Ordering::Acquire) <= self.jobs.len() {
            self.start_thread();
        }
        // The queue is never closed: a full one makes the caller wait for its turn.
        let _ = self.jobs.put(job);
    }

    fn start_thread(&'static self) {
        let threads = self
            .threads
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_THREADS).then_some(n + 1));
        if threads.is_err() {
            return;
        }
        let started = std::thread::Builder::new().name("zinx-blocking".to_string()).spawn(|| {
            let _watched = WatchedThread::enter();
            self.work();
        });
        if let Err(error) = started {
            self.threads.fetch_sub(1, Ordering::AcqRel);
            log::error!("cannot start a thread for blocking work: {error}");
        }
    }

    fn work(&self) {
        loop {
            self.idle.fetch_add(1, Ordering::AcqRel);
            let job = self.jobs.get_timeout(IDLE);
            self.idle.fetch_sub(1, Ordering::AcqRel);
            if let Ok(job) = job {
                job();
            } else if self.leave() {
                return;
            }
        }
    }

    /// Ends this thread, unless it is the last: a job queued at this moment must find one.
    fn leave(&self) -> bool {
        let left =
            self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n > 1).then_some(n - 1));
        left.is_ok()
    }
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        jobs: Queue::bounded(MAX_QUEUED),
        threads: AtomicUsize::new(0),
        idle: AtomicUsize::new(0),
    })
}

const IDLE: Duration = Duration::from_secs(10);
const MAX_QUEUED: usize = 1024;
