//! Work that blocks its thread, off the workers: a bounded pool of threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::awaits::Awaits;
use super::crew::Crew;
use super::overflow;
use super::park::Waiter;
use super::worker;
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
#[doc(alias(
    "FileObject",
    "FileObjectPosix",
    "FileObjectThread",
    "get_original",
    "getfqdn",
    "gethostbyaddr",
    "getnameinfo",
    "is_module_patched",
    "is_object_patched",
    "patch_all",
    "patch_item",
    "patch_module"
))]
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
    let job = Box::new(move || {
        let outcome = overflow::working_for(caller.as_deref(), || catch_unwind(AssertUnwindSafe(work)));
        *theirs.lock() = Some(outcome);
        wake.wake();
    });
    // A full queue has had the caller wait for its turn.
    let mut has_thread = POOL.submit(job);
    while !has_thread {
        crate::green::sleep(RETRY);
        has_thread = POOL.call_for_help();
    }
    waiter.wait(Awaits::Thread, None, |_| {});
    let outcome = answer.lock().take();
    outcome
        .expect("the waiter is woken after the answer is there")
        .unwrap_or_else(|payload| resume_unwind(payload))
}

/// Lets a plain thread wait. One of the pool that is at work lets another take its place meanwhile.
pub(in crate::green) fn step_aside<R>(wait: impl FnOnce() -> R) -> R {
    POOL.step_aside(wait)
}

static POOL: LazyLock<Arc<Crew>> =
    LazyLock::new(|| Crew::new("zinx-blocking", MAX_THREADS, Queue::bounded(MAX_QUEUED)));

const MAX_THREADS: usize = 16;
const MAX_QUEUED: usize = 1024;

/// Between two attempts to start the first thread.
const RETRY: Duration = Duration::from_millis(50);
