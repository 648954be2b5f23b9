//! Threads of our own, for what must go on while coroutines hold the workers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::green::Event;

/// A thread that runs no coroutine. Dropped, it goes on. Clones are the same thread.
#[derive(Clone)]
pub(crate) struct Thread {
    ended: Arc<Event>,
}

impl Thread {
    /// Starts it. The system keeps 15 bytes of its name.
    pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let ended = Arc::new(Event::new());
        let ending = Ending(Arc::clone(&ended));
        let run = move || {
            let _ending = ending;
            body();
        };
        std::thread::Builder::new().name(name.to_string()).spawn(run)?;
        Ok(Self { ended })
    }

    /// Waits until it has ended.
    pub(crate) fn join(&self) {
        self.ended.wait();
    }

    /// Waits until it has ended, at most for `timeout`. `false` if it still runs: code of the program may hold it.
    pub(crate) fn join_timeout(&self, timeout: Duration) -> bool {
        self.ended.wait_timeout(timeout)
    }
}

/// Tells that a thread has ended, also by a panic.
struct Ending(Arc<Event>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set();
    }
}
