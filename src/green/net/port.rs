//! A port that is opened and closed again, and the thread that accepts on it.

use std::io;
use std::sync::Arc;

use super::streams::Streams;
use crate::green::{Backoff, Event, Thread};
use crate::log_line::{Throttle, throttled};

/// A port or a path, open or not.
pub(in crate::green) struct Port<S: Streams> {
    address: S::Address,
    /// Bound and not yet used, or used by `accepting`.
    listener: Option<Arc<S::Listener>>,
    accepting: Option<Accepting>,
    /// The acceptor before, which may still end.
    earlier: Option<Thread>,
}

/// The acceptor and how to end it. It is a thread, so that clients are accepted whatever handlers do.
struct Accepting {
    thread: Thread,
    stop: Arc<Stop>,
}

#[derive(Default)]
struct Stop {
    asked: Event,
    backoff: Backoff,
}

impl<S: Streams> Port<S> {
    /// That of a listener, on which nobody accepts yet.
    pub(in crate::green) fn new(listener: S::Listener, address: S::Address) -> Self {
        Self { address, listener: Some(Arc::new(listener)), accepting: None, earlier: None }
    }

    pub(super) const fn is_accepting(&self) -> bool {
        self.accepting.is_some()
    }

    /// The listener, while the port is open.
    pub(super) fn listener(&self) -> Option<&S::Listener> {
        self.listener.as_deref()
    }

    /// The acceptor that was there before the port was closed. Until it has ended, an abstract name is not free.
    pub(super) fn earlier(&self) -> Option<Thread> {
        self.earlier.clone()
    }

    /// Accepts from now on, on a thread of this name; bound again if it was closed. `false`, and nothing is done, if it accepts
    /// already. Before each accept, `next` is asked, which may wait for the event that is set when the port is closed; `None` from
    /// it ends the thread. What it returned goes to `enter`, with the peer.
    pub(in crate::green) fn open<T>(
        &mut self,
        name: &'static str,
        backlog: u32,
        next: impl FnMut(&Event) -> Option<T> + Send + 'static,
        enter: impl FnMut(T, &Event, S, S::Address) + Send + 'static,
    ) -> io::Result<bool> {
        if self.accepting.is_some() {
            return Ok(false);
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => Arc::new(S::listen(&self.address, backlog)?),
        };
        self.listener = Some(Arc::clone(&listener));
        let stop = Arc::new(Stop::default());
        let (theirs, address) = (Arc::clone(&stop), self.address.clone());
        let accept = move || theirs.accept_all::<S, _>(&listener, &address, next, enter);
        let thread = Thread::start(name, accept)?;
        self.accepting = Some(Accepting { thread, stop });
        Ok(true)
    }

    /// What is open of it, to be [closed](Closing::close) once no lock is held.
    pub(in crate::green) fn take(&mut self) -> Closing<S> {
        let accepting = self.accepting.take();
        if let Some(accepting) = &accepting {
            self.earlier = Some(accepting.thread.clone());
        }
        Closing { listener: self.listener.take(), accepting }
    }
}

/// A port that is about to close.
pub(in crate::green) struct Closing<S: Streams> {
    listener: Option<Arc<S::Listener>>,
    accepting: Option<Accepting>,
}

impl<S: Streams> Closing<S> {
    /// Refuses clients from now on, and ends the acceptor; returns it. Never waits.
    pub(in crate::green) fn close(self) -> Option<Thread> {
        // First, so that the acceptor knows why its accept ends.
        if let Some(accepting) = &self.accepting {
            accepting.stop.asked.set();
            accepting.stop.backoff.end_pause();
        }
        if let Some(listener) = self.listener {
            S::close(&listener);
        }
        self.accepting.map(|accepting| accepting.thread)
    }
}

impl Stop {
    fn accept_all<S: Streams, T>(
        &self,
        listener: &S::Listener,
        address: &S::Address,
        mut next: impl FnMut(&Event) -> Option<T>,
        mut enter: impl FnMut(T, &Event, S, S::Address),
    ) {
        let mut failures = 0;
        while let Some(ready) = next(&self.asked) {
            match S::accept(listener) {
                Ok((stream, peer)) => {
                    failures = 0;
                    enter(ready, &self.asked, stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.asked.is_set() => return,
                Err(error) => {
                    failures += 1;
                    static LOG: Throttle = Throttle::new();
                    throttled!(warn, LOG, "accept on {address:?}: {error}");
                    self.backoff.pause(failures);
                }
            }
        }
    }
}
