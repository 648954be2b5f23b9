//! The coroutine runtime: set up once a process, before its first coroutine.

use std::io;

use super::{home, limits, memory, overflow, poller, watchdog};
use crate::error::{Error, Result};
use crate::lock::Lock;

/// How the coroutine runtime of the process is set up. The first start of it decides for all.
///
/// # Examples
///
/// ```
/// # fn main() -> zinx::Result<()> {
/// zinx::green::Runtime { workers: 2, ..Default::default() }.start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Threads that run coroutines. Default 0: one per core, or what runs already.
    pub workers: usize,
    /// Stack of a coroutine, in bytes, rounded up to pages. Default 0: 64 KiB in a release build, 256 KiB in a debug
    /// build, or what runs already.
    pub stack_bytes: usize,
    /// Most stacks at a time: coroutines, and handlers that wait; a connection at rest has none. At least four for each of
    /// the workers. Default 0: as many as `vm.max_map_count` allows, or what runs already.
    pub max_stacks: usize,
}

impl Runtime {
    /// Starts the runtime; if it runs already, checks that it is the one asked for.
    ///
    /// [`spawn`](crate::green::spawn()) calls it with the defaults, so only a program that wants others needs to, and first.
    ///
    /// # Errors
    ///
    /// [`Error::RuntimeMismatch`] if it runs with other settings, [`Error::Io`] if the system refuses eventfds, epoll
    /// instances or signal handlers.
    pub fn start(self) -> Result<()> {
        let mut running = RUNNING.lock();
        if let Some(have) = *running {
            return self.check_against(have);
        }
        let chosen = self.with_defaults();
        memory::keep_thresholds();
        limits::measure_maps();
        limits::set_max_stacks(chosen.max_stacks, chosen.workers);
        may::config()
            .set_workers(chosen.workers)
            .set_stack_size(chosen.stack_bytes / size_of::<usize>())
            .set_pool_capacity(POOLED_STACKS)
            .set_worker_pin(false);
        *running = Some(chosen);
        watchdog::start();
        overflow::install()
            .and_then(|()| start_workers(chosen.workers))
            .map_err(|source| Error::io("start the coroutine runtime", source))
    }

    /// What runs, or nothing before the first start.
    pub fn current() -> Option<Self> {
        *RUNNING.lock()
    }

    fn with_defaults(self) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let stack_bytes = if self.stack_bytes == 0 { DEFAULT_STACK_BYTES } else { self.stack_bytes };
        Self {
            workers: if self.workers == 0 { cores } else { self.workers },
            stack_bytes: stack_bytes.max(MIN_STACK_BYTES).next_multiple_of(PAGE_BYTES),
            max_stacks: self.max_stacks,
        }
    }

    fn check_against(self, have: Self) -> Result<()> {
        let asked = self.with_defaults();
        if self.workers != 0 && asked.workers != have.workers {
            return Err(Error::RuntimeMismatch { what: "Workers", have: have.workers, asked: asked.workers });
        }
        if self.max_stacks != 0 && asked.max_stacks != have.max_stacks {
            let (have, asked) = (have.max_stacks, asked.max_stacks);
            return Err(Error::RuntimeMismatch { what: "MaxStacks", have, asked });
        }
        if self.stack_bytes != 0 && asked.stack_bytes != have.stack_bytes {
            let (have, asked) = (have.stack_bytes, asked.stack_bytes);
            return Err(Error::RuntimeMismatch { what: "StackBytes", have, asked });
        }
        Ok(())
    }
}

/// One after the other: each finds out undisturbed which thread its worker is.
fn start_workers(workers: usize) -> io::Result<()> {
    home::open(workers)?.iter().try_for_each(poller::start)
}

/// Starts the runtime with the defaults, unless it has been started.
pub(in crate::green) fn ensure_started() -> Result<()> {
    if STARTED.load(std::sync::atomic::Ordering::Acquire) {
        return Ok(());
    }
    Runtime::default().start()?;
    STARTED.store(true, std::sync::atomic::Ordering::Release);
    Ok(())
}

/// The size of a stack that a coroutine gets by default, without the lock that [`Runtime::current`] takes.
pub(in crate::green) fn default_stack_bytes() -> usize {
    may::config().get_stack_size() * size_of::<usize>()
}

static RUNNING: Lock<Option<Runtime>> = Lock::new(None);
static STARTED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// A panic with its backtrace takes 26 KB of stack in a debug build and the deepest library seen 129 KB; a release
/// build needs a quarter.
const DEFAULT_STACK_BYTES: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 64 * 1024 };
const MIN_STACK_BYTES: usize = 16 * 1024;
const PAGE_BYTES: usize = 4096;

/// Stacks kept for reuse. `may` allocates them all with its first coroutine.
const POOLED_STACKS: usize = 16;
