//! What a connection has to do beside reading: requests that its worker handles, and what others queue to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::request::Request;
use super::workers::Worker;
use crate::error::Result;
use crate::green::{Event, PutError};

/// What handles the requests of a connection: a worker of the pool; `None`: its reader, each as it is read, and what
/// others queue between two passes.
pub(crate) struct Tasks(pub(super) Option<Box<Seat>>);

/// A connection's place with its worker.
pub(crate) struct Seat {
    pub(super) worker: Arc<Worker>,
    /// Requests queued or being handled; [`CLOSED`] is added once no more are taken.
    pending: AtomicUsize,
    /// Set once closed and nothing is pending.
    finished: Event,
    /// Whether the worker goes on without this connection for now.
    pub(super) aside: Aside,
}

impl Tasks {
    pub(crate) fn new(worker: Option<Arc<Worker>>) -> Self {
        let seat = |worker| Seat {
            worker,
            pending: AtomicUsize::new(0),
            finished: Event::new(),
            aside: Aside::default(),
        };
        Self(worker.map(|worker| seat(worker).into()))
    }

    /// The worker; `None` if the reader handles requests itself.
    pub(crate) fn worker(&self) -> Option<&Arc<Worker>> {
        self.0.as_ref().map(|seat| &seat.worker)
    }

    /// What the worker leaves aside; `None` if there is no worker.
    pub(crate) fn aside(&self) -> Option<&Aside> {
        self.0.as_ref().map(|seat| &seat.aside)
    }

    /// Whether a worker has requests to handle.
    pub(crate) fn are_pending(&self) -> bool {
        self.0.as_ref().is_some_and(|seat| seat.pending.load(Ordering::Acquire) & !CLOSED > 0)
    }
}

impl Seat {
    /// Queues a request to the worker, in order behind all before it.
    #[expect(clippy::result_large_err, reason = "it is the request, handed back as it is")]
    pub(super) fn submit(
        &self,
        request: Request,
        timeout: Option<Duration>,
    ) -> Result<(), PutError<Request>> {
        let Some(entry) = self.enter() else { return Err(PutError::Closed(request)) };
        let begun = Instant::now();
        // What the one queues that is put aside itself comes behind all that waits.
        if !self.aside.is_current() && !self.aside.wait_back(timeout) {
            return Err(PutError::Full(request));
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        self.worker.put(request, left)?;
        // Whoever handles it leaves.
        std::mem::forget(entry);
        Ok(())
    }

    /// Counts a request that is about to be queued. `None` if no more are taken.
    fn enter(&self) -> Option<Entry<'_>> {
        let before = self.pending.fetch_add(1, Ordering::AcqRel);
        let entry = Entry(self);
        (before & CLOSED == 0).then_some(entry)
    }

    pub(super) fn leave(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            self.finished.set();
        }
    }

    pub(super) fn finish(&self) {
        if self.pending.fetch_or(CLOSED, Ordering::AcqRel) != 0 {
            self.finished.wait();
        }
    }
}

/// A request that is counted but not queued yet. Dropped, it is not counted any more: a caller that waits for room may be killed, or run
/// out of time.
struct Entry<'a>(&'a Seat);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// More than can ever be pending.
const CLOSED: usize = 1 << (usize::BITS - 1);
