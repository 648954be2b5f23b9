//! Signals that ask the program to end, and those that would end it without being asked.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, MutexGuard};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use crate::green::Queue;
use crate::lock::Lock;

/// Catches SIGTERM, SIGINT and SIGQUIT from now on: each arrives in the queue as its number, instead of ending the
/// process. Several may catch them; each gets all.
///
/// SIGHUP, SIGUSR1 and SIGUSR2 would end the process by default, at once and whatever is on its way. Meanwhile they are
/// noted in the log, and nothing else happens, except that a server reads its configuration again at SIGHUP. If the program
/// itself has set a handler for any of the six, that runs as well.
///
/// When the last handle is dropped, all six do again what they did before: end the process, or nothing if they were
/// ignored or have a handler of the program's own. A handler set through `signal-hook` counts only if it was set before
/// the first call of this function.
///
/// # Errors
///
/// Those of the system. Nothing is caught then.
#[doc(alias = "signal")]
pub fn on_terminate() -> io::Result<Terminate> {
    begin(false)
}

/// As [`on_terminate`], and SIGHUP arrives in the queue too.
///
/// # Errors
///
/// Those of the system. Nothing is caught then.
pub(crate) fn on_terminate_or_hangup() -> io::Result<Terminate> {
    begin(true)
}

fn begin(hears_hangup: bool) -> io::Result<Terminate> {
    let queue = Arc::new(Queue::bounded(16));
    let terminate = Terminate { queue: Arc::clone(&queue) };
    let begun = lock().begin(Hearer { queue, hears_hangup });
    begun.map(|()| terminate)
}

/// The signals caught since [`on_terminate`].
#[derive(Debug)]
pub struct Terminate {
    queue: Arc<Queue<i32>>,
}

impl Terminate {
    /// The queue they arrive in. It closes with the handle.
    pub fn queue(&self) -> Arc<Queue<i32>> {
        Arc::clone(&self.queue)
    }
}

impl Drop for Terminate {
    fn drop(&mut self) {
        let mut catching = lock();
        catching.hearers.retain(|hearer| !Arc::ptr_eq(&hearer.queue, &self.queue));
        NOBODY.store(catching.hearers.is_empty(), Ordering::Release);
        drop(catching);
        self.queue.close();
    }
}

/// Which queues get signals, and what the signals did before.
#[derive(Default)]
struct Catching {
    hearers: Vec<Hearer>,
    /// Signals with the system's default action before the first was caught; `None` before that.
    by_default: Option<Vec<i32>>,
    /// Whether those do so again if they are not caught.
    falls_back: bool,
    /// Whether the thread runs that waits for them. It does for good.
    waits: bool,
}

#[derive(Clone)]
struct Hearer {
    queue: Arc<Queue<i32>>,
    hears_hangup: bool,
}

impl Catching {
    /// Puts signals into one more queue from now on. Until then, they do what they did before.
    fn begin(&mut self, hearer: Hearer) -> io::Result<()> {
        let signals = if self.waits { None } else { Some(self.set_handlers()?) };
        self.hearers.push(hearer);
        NOBODY.store(false, Ordering::Release);
        if let Some(signals) = signals {
            std::thread::Builder::new().name("zinx-signals".to_string()).spawn(|| wait_for(signals))?;
            self.waits = true;
        }
        Ok(())
    }

    fn set_handlers(&mut self) -> io::Result<Signals> {
        let by_default = self.by_default.get_or_insert_with(signals_by_default);
        if !self.falls_back {
            // Before the queues: a handler that has reached them is done, also if no queue is left a moment later.
            for &signal in by_default.iter() {
                register_conditional_default(signal, Arc::clone(&NOBODY))?;
            }
            self.falls_back = true;
        }
        Signals::new(ENDS.iter().chain(&IGNORED))
    }
}

fn wait_for(mut signals: Signals) {
    for signal in signals.forever() {
        let catching = lock();
        let (mut hearers, by_default) = (catching.hearers.clone(), catching.by_default.clone());
        drop(catching);
        if hearers.is_empty() {
            // It came while it was caught, and is not caught any more.
            if by_default.is_some_and(|by_default| by_default.contains(&signal)) {
                let _ = emulate_default_handler(signal);
            }
            continue;
        }
        if IGNORED.contains(&signal) {
            hearers.retain(|hearer| signal == SIGHUP && hearer.hears_hangup);
            if hearers.is_empty() {
                log::info!("{} is ignored", signal_name(signal).unwrap_or("a signal"));
            }
        }
        // A full queue holds sixteen signals that have not been looked at: one more says nothing new.
        for hearer in hearers {
            let _ = hearer.queue.try_put(signal);
        }
    }
}

/// Those of our signals that are neither ignored nor have a handler.
fn signals_by_default() -> Vec<i32> {
    ENDS.into_iter().chain(IGNORED).filter(|signal| is_by_default(*signal)).collect()
}

/// Whether a signal is neither ignored nor has a handler.
pub(super) fn is_by_default(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    };
    let others: u64 = mask("SigIgn:") | mask("SigCgt:");
    others.checked_shr(signal.wrapping_sub(1).cast_unsigned()).unwrap_or(1) & 1 == 0
}

fn lock() -> MutexGuard<'static, Catching> {
    static CATCHING: LazyLock<Lock<Catching>> = LazyLock::new(Lock::default);
    CATCHING.lock()
}

/// Set while signals are not caught. Read by the signal handler. Written under the lock.
static NOBODY: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// Asks for the configuration to be read again.
pub(crate) const HANGUP: i32 = SIGHUP;

/// Those that ask for the end.
const ENDS: [i32; 3] = [SIGTERM, SIGINT, SIGQUIT];

/// Those that would end the process by default.
const IGNORED: [i32; 3] = [SIGHUP, SIGUSR1, SIGUSR2];
