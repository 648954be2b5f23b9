//! A crew: threads for work that blocks. They start with the work, up to a bound, and end when there has been none for a
//! while.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use super::overflow::WatchedThread;
use crate::green::spawn::contain::contain;
use crate::green::sync::queue::Queue;
use crate::lock::Lock;

pub(in crate::green) type Job = Box<dyn FnOnce() + Send>;

pub(in crate::green) struct Crew {
    /// Of its threads.
    name: &'static str,
    /// Threads at work, at most; those that have stepped aside do not count.
    maxsize: usize,
    jobs: Queue<Job>,
    /// Never locked across a wait.
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
    /// It is in the middle of its work, and waits for something of `green`.
    Wait,
}

impl Crew {
    /// A crew without threads, which takes its jobs from this queue.
    pub(in crate::green) fn new(name: &'static str, maxsize: usize, jobs: Queue<Job>) -> Arc<Self> {
        Arc::new(Self { name, maxsize, jobs, threads: Lock::default() })
    }

    pub(in crate::green) const fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// How many threads there are.
    pub(in crate::green) fn size(&self) -> usize {
        self.threads.lock().len()
    }

    /// Whether one of its threads calls.
    pub(in crate::green) fn has_caller(&self) -> bool {
        if may::coroutine::is_coroutine() {
            return false;
        }
        let me = std::thread::current().id();
        self.threads.lock().iter().any(|member| member.thread == me)
    }

    /// Gets a job done, waiting for room in the queue. `false` if there is no thread to do it, nor room for one: then
    /// [`call_for_help`](Self::call_for_help) tries again.
    pub(in crate::green) fn submit(self: &Arc<Self>, job: Job) -> bool {
        // Closed only when this can no longer be called.
        let _ = self.jobs.put(job);
        self.call_for_help()
    }

    /// Starts a thread if there are more jobs than threads to take them, and fewer at work than may be. `false` if there
    /// is none at all to do a job: the system has no room for a thread now.
    pub(in crate::green) fn call_for_help(self: &Arc<Self>) -> bool {
        let mut threads = self.threads.lock();
        let (idle, present) = (count(&threads, Does::Idle), present(&threads));
        if self.jobs.len() <= idle || present >= self.maxsize {
            return true;
        }
        let theirs = Arc::clone(self);
        let started = std::thread::Builder::new().name(self.name.to_string()).spawn(move || {
            let _watched = WatchedThread::enter();
            theirs.work();
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

    /// Lets a thread wait in the middle of its work. If it is one of this crew, another takes its place meanwhile.
    pub(in crate::green) fn step_aside<R>(self: &Arc<Self>, wait: impl FnOnce() -> R) -> R {
        let steps = self.change(Does::Work, Does::Wait);
        if steps {
            self.call_for_help();
        }
        let result = wait();
        if steps {
            self.change(Does::Wait, Does::Work);
        }
        result
    }

    /// Its threads end once no job is left. No more may be submitted.
    pub(in crate::green) fn close(&self) {
        self.jobs.close();
    }

    fn work(self: &Arc<Self>) {
        loop {
            let job = self.jobs.get_timeout(IDLE).ok();
            let ends = job.is_none();
            if let Some(job) = job {
                self.change(Does::Idle, Does::Work);
                // A job that came meanwhile may have counted on this thread.
                self.call_for_help();
                if let Err(words) = contain(job) {
                    log::error!("a result that is no longer waited for panicked in its drop: {words}");
                }
                self.change(Does::Work, Does::Idle);
            }
            if self.leave(ends) {
                return;
            }
        }
    }

    /// Ends the thread that calls if it is not needed: it had no job for long or will have none, or those for which it was
    /// started have come back.
    fn leave(&self, ends: bool) -> bool {
        let mut threads = self.threads.lock();
        let leaves = present(&threads) > self.maxsize || (ends && self.jobs.is_empty());
        if leaves {
            let me = std::thread::current().id();
            threads.retain(|member| member.thread != me);
        }
        leaves
    }

    /// Notes what the caller does from now on, if it is a thread of the crew that did `from`.
    fn change(&self, from: Does, to: Does) -> bool {
        let me = std::thread::current().id();
        let mut threads = self.threads.lock();
        let mine = threads.iter_mut().find(|member| member.thread == me && member.does == from);
        mine.map(|member| member.does = to).is_some()
    }
}

fn count(threads: &[Member], does: Does) -> usize {
    threads.iter().filter(|member| member.does == does).count()
}

/// Threads that work, or could.
fn present(threads: &[Member]) -> usize {
    threads.len() - count(threads, Does::Wait)
}

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);
