//! Signals that ask the program to end.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Queue;

/// Catches SIGINT and SIGTERM from now on: each arrives in the queue as its number, instead of ending the process.
///
/// Dropping the handle gives the signals back to the system's default only where nobody else in the process listens;
/// the queue is closed.
///
/// # Errors
///
/// Those of the system.
pub fn on_terminate() -> io::Result<Terminate> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    let queue = Arc::new(Queue::bounded(16));
    let theirs = Arc::clone(&queue);
    std::thread::Builder::new().name("zinx-signals".to_string()).spawn(move || {
        for signal in signals.forever() {
            // A full queue holds sixteen signals nobody has looked at: one more says nothing new.
            let _ = theirs.try_put(signal);
        }
    })?;
    Ok(Terminate { queue, handle })
}

/// The signals caught since [`on_terminate`].
#[derive(Debug)]
pub struct Terminate {
    queue: Arc<Queue<i32>>,
    handle: signal_hook::iterator::Handle,
}

impl Terminate {
    /// The queue they arrive in.
    pub fn queue(&self) -> Arc<Queue<i32>> {
        Arc::clone(&self.queue)
    }
}

impl Drop for Terminate {
    fn drop(&mut self) {
        self.handle.close();
        self.queue.close();
    }
}
