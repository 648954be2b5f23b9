//! What the service manager is told, if it wants to know: systemd's `sd_notify`, a datagram of a few words.
//!
//! That the server serves, that it reads its configuration again, that it stops, and now and then that its workers work.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::core::Core;
use crate::green::{Pulse, Thread};

/// The service manager; nothing is sent if there is none.
struct Manager {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Manager {
    /// The one that has started this process.
    fn of_process() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        Self::at(&name).inspect_err(|error| log::warn!("NOTIFY_SOCKET {}: {error}", name.display())).ok()
    }

    fn at(name: &OsString) -> io::Result<Self> {
        let to = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // What it does not take at once is left out: no server waits for its manager.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to })
    }

    fn tell(&self, words: &str) {
        if let Err(error) = self.socket.send_to_addr(words.as_bytes(), &self.to) {
            log::debug!("the service manager was not told {words:?}: {error}");
        }
    }
}

/// The server serves. From now on, the watchdog of the service manager is told as long as the workers work.
///
/// # Errors
///
/// If there is no room for the thread that tells it.
pub(super) fn ready(core: &Arc<Core>) -> io::Result<()> {
    let Some(manager) = Manager::of_process() else { return Ok(()) };
    let addresses: Vec<_> = core.life().locals.iter().map(|(_, address)| address.to_string()).collect();
    manager.tell(&format!("READY=1\nSTATUS=listening on {}", addresses.join(", ")));
    let Some(limit) = watchdog() else { return Ok(()) };
    let core = Arc::clone(core);
    let keep = move || {
        let mut pulse = Pulse::default();
        loop {
            // It has run out if no worker has got anywhere for half of the time: the other half is for what holds us up.
            if pulse.stuck() < limit / 2 {
                manager.tell("WATCHDOG=1");
            }
            if core.stopped.wait_timeout(limit / 4) {
                return;
            }
        }
    };
    Thread::start("zinx-notify", keep).map(drop)
}

/// The configuration is being read again.
pub(super) fn reloading() {
    if let Some(manager) = Manager::of_process() {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        manager.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }
}

/// It has been read, or cannot be.
pub(super) fn reloaded() {
    if let Some(manager) = Manager::of_process() {
        manager.tell("READY=1");
    }
}

/// The server begins to stop.
pub(super) fn stopping() {
    if let Some(manager) = Manager::of_process() {
        manager.tell("STOPPING=1");
    }
}

/// How often the watchdog of the service manager wants to hear of this process, if it has one.
fn watchdog() -> Option<Duration> {
    let of_process = env::var("WATCHDOG_PID").is_ok_and(|process| process != std::process::id().to_string());
    let micros = env::var("WATCHDOG_USEC").ok().filter(|_| !of_process)?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|limit| *limit >= SHORTEST)
}

/// A watchdog that barks earlier is a slip of the pen.
const SHORTEST: Duration = Duration::from_millis(10);
