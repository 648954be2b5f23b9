//! A port that is opened and closed again, and the thread that accepts on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::green::{Backoff, Event, TcpListener, TcpStream, Thread};
use crate::log_line::{Throttle, throttled};

/// A port, open or not.
pub(in crate::green) struct Port {
    address: SocketAddr,
    /// Bound and not yet used, or used by `accepting`.
    listener: Option<Arc<TcpListener>>,
    accepting: Option<Accepting>,
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

impl Port {
    /// That of a listener, on which nobody accepts yet.
    pub(in crate::green) fn new(listener: TcpListener) -> Self {
        Self { address: listener.local_addr(), listener: Some(Arc::new(listener)), accepting: None }
    }

    /// The listener, while the port is open.
    pub(super) fn listener(&self) -> Option<&TcpListener> {
        self.listener.as_deref()
    }

    /// Accepts from now on, on a thread of this name; bound again if it was closed. `false`, and nothing is done, if it accepts
    /// already. Before each accept, `next` is asked, which may wait for the event that is set when the port is closed; `None` from
    /// it ends the thread. What it returned goes to `enter`, with the peer.
    pub(in crate::green) fn open<T>(
        &mut self,
        name: &'static str,
        backlog: u32,
        next: impl FnMut(&Event) -> Option<T> + Send + 'static,
        enter: impl FnMut(T, &Event, TcpStream, SocketAddr) + Send + 'static,
    ) -> io::Result<bool> {
        if self.accepting.is_some() {
            return Ok(false);
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => Arc::new(TcpListener::bind_to(self.address, backlog)?),
        };
        self.listener = Some(Arc::clone(&listener));
        let stop = Arc::new(Stop::default());
        let theirs = Arc::clone(&stop);
        let thread = Thread::start(name, move || theirs.accept_all(&listener, next, enter))?;
        self.accepting = Some(Accepting { thread, stop });
        Ok(true)
    }

    /// What is open of it, to be [closed](Closing::close) once no lock is held.
    pub(in crate::green) fn take(&mut self) -> Closing {
        Closing { listener: self.listener.take(), accepting: self.accepting.take() }
    }
}

/// A port that is about to close.
pub(in crate::green) struct Closing {
    listener: Option<Arc<TcpListener>>,
    accepting: Option<Accepting>,
}

impl Closing {
    /// Refuses clients from now on, and ends the acceptor; returns it. Never waits.
    pub(in crate::green) fn close(self) -> Option<Thread> {
        // First, so that the acceptor knows why its accept ends.
        if let Some(accepting) = &self.accepting {
            accepting.stop.asked.set();
            accepting.stop.backoff.end_pause();
        }
        if let Some(listener) = self.listener {
            listener.close();
        }
        self.accepting.map(|accepting| accepting.thread)
    }
}

impl Stop {
    fn accept_all<T>(
        &self,
        listener: &TcpListener,
        mut next: impl FnMut(&Event) -> Option<T>,
        mut enter: impl FnMut(T, &Event, TcpStream, SocketAddr),
    ) {
        let mut failures = 0;
        while let Some(ready) = next(&self.asked) {
            match listener.accept() {
                Ok((stream, peer)) => {
                    failures = 0;
                    enter(ready, &self.asked, stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.asked.is_set() => return,
                Err(error) => {
                    failures += 1;
                    static LOG: Throttle = Throttle::new();
                    throttled!(warn, LOG, "accept on {}: {error}", listener.local_addr());
                    self.backoff.pause(failures);
                }
            }
        }
    }
}
