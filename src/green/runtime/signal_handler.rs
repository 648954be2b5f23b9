//! A call for each signal of a kind.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, MutexGuard};
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::{pipe, unregister};

use super::signal::is_by_default;
use crate::green::{Builder, Coroutine, wait_read};
use crate::lock::Lock;

/// Calls `callback` whenever signal `number` arrives, from now on until the handle is dropped: each time on a coroutine of its
/// own, where it may wait. Signals that come faster than they are served may be served as one. Several handlers of one signal
/// are all called.
///
/// When the last handle of a signal is dropped, it does again what it did by default. To end a server, and for SIGTERM,
/// SIGINT, SIGQUIT, SIGHUP, SIGUSR1 and SIGUSR2 in a program that has called it, there is
/// [`on_terminate`](crate::green::on_terminate): use one of the two for a signal.
///
/// # Errors
///
/// `InvalidInput` if the signal cannot be handled (SIGKILL, SIGSTOP, SIGSEGV, SIGILL, SIGFPE), and those of the system.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::green::{self, Event};
///
/// let seen = Arc::new(Event::new());
/// let set = Arc::clone(&seen);
/// let handler = green::signal(signal_hook::consts::SIGWINCH, move || set.set())?;
/// signal_hook::low_level::raise(signal_hook::consts::SIGWINCH)?;
/// seen.wait();
/// drop(handler);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "signal_handler")]
#[doc(alias = "getsignal")]
pub fn signal(number: i32, callback: impl Fn() + Send + Sync + 'static) -> io::Result<SignalHandler> {
    if FORBIDDEN.contains(&number) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut reader, writer) = UnixStream::pair()?;
    let user = User::begin(number)?;
    let callback = Arc::new(callback);
    let serve = move || {
        while wait_read(&reader).is_ok() {
            // All that have come until now are one.
            match reader.read(&mut [0; 64]) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let callback = Arc::clone(&callback);
            if let Err(error) = Builder::new().name("signal handler").detach(move || callback()) {
                log::error!("no coroutine for signal {number}: {error}");
            }
        }
    };
    let server = Builder::new().name("signals").spawn(serve)?.coroutine().clone();
    match pipe::register(number, writer) {
        Ok(id) => Ok(SignalHandler { id, server, user }),
        Err(error) => {
            server.kill_timeout(Duration::ZERO);
            Err(error)
        }
    }
}

/// A call for each signal of a kind: see [`signal`]. Dropped, it is called no more.
pub struct SignalHandler {
    id: SigId,
    server: Coroutine,
    user: User,
}

impl Drop for SignalHandler {
    fn drop(&mut self) {
        unregister(self.id);
        self.server.kill_timeout(Duration::ZERO);
    }
}

/// One handler of a signal. While there is any, the signal does not do what it did by default.
struct User {
    number: i32,
}

struct Users {
    count: usize,
    /// Read by the signal handler.
    is_default: Arc<AtomicBool>,
}

impl User {
    fn begin(number: i32) -> io::Result<Self> {
        let mut all = all();
        if let Some(users) = all.get_mut(&number) {
            users.count += 1;
            users.is_default.store(false, Ordering::Release);
            return Ok(Self { number });
        }
        let is_default = Arc::new(AtomicBool::new(false));
        if is_by_default(number) {
            register_conditional_default(number, Arc::clone(&is_default))?;
        }
        all.insert(number, Users { count: 1, is_default });
        Ok(Self { number })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(users) = all().get_mut(&self.number) {
            users.count -= 1;
            users.is_default.store(users.count == 0, Ordering::Release);
        }
    }
}

fn all() -> MutexGuard<'static, HashMap<i32, Users>> {
    static ALL: LazyLock<Lock<HashMap<i32, Users>>> = LazyLock::new(Lock::default);
    ALL.lock()
}

impl fmt::Debug for SignalHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalHandler").field("number", &self.user.number).finish_non_exhaustive()
    }
}
