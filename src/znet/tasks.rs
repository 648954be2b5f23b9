//! What a connection has to do beside reading: requests that its worker handles, and what others queue to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::connection::Connection;
use super::request::Request;
use super::worker_pool::Worker;
use crate::error::{Error, Result};
use crate::green::{Event, PutError, Queue};
use crate::ziface::CloseReason;

/// Who handles the requests of a connection.
pub(crate) enum Tasks {
    /// Its reader, each as it is read. What others queue waits here, and is handled between two passes; the queue is
    /// made by the first of it.
    Own(OnceLock<Box<Queue<Request>>>),
    /// A worker of the pool.
    Worker(Seat),
}

/// A connection's place with its worker.
pub(crate) struct Seat {
    worker: Arc<Worker>,
    /// Requests queued or being handled; [`CLOSED`] is added once no more are taken.
    pending: AtomicUsize,
    /// Set once closed and nothing is pending.
    finished: Event,
}

impl Tasks {
    pub(crate) fn new(worker: Option<Arc<Worker>>) -> Self {
        match worker {
            None => Self::Own(OnceLock::new()),
            Some(worker) => {
                Self::Worker(Seat { worker, pending: AtomicUsize::new(0), finished: Event::new() })
            }
        }
    }

    /// The worker; `None` where the reader handles requests itself.
    pub(crate) const fn worker(&self) -> Option<&Arc<Worker>> {
        match self {
            Self::Own(_) => None,
            Self::Worker(seat) => Some(&seat.worker),
        }
    }

    /// Whether a worker has requests to handle.
    pub(crate) fn are_pending(&self) -> bool {
        matches!(self, Self::Worker(seat) if seat.pending.load(Ordering::Acquire) & !CLOSED > 0)
    }
}

impl Seat {
    /// Queues a request to the worker, in order behind all before it.
    fn submit(&self, request: Request, timeout: Option<Duration>) -> Result<(), PutError<Request>> {
        if self.pending.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 {
            self.leave();
            return Err(PutError::Closed(request));
        }
        self.worker.put(request, timeout).inspect_err(|_| self.leave())
    }

    fn leave(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            self.finished.set();
        }
    }

    fn finish(&self) {
        if self.pending.fetch_or(CLOSED, Ordering::AcqRel) != 0 {
            self.finished.wait();
        }
    }
}

impl Connection {
    /// Has the worker handle what was read. While its queue is full, nothing more is read.
    pub(crate) fn queue_read(&self, request: Request) {
        if let Tasks::Worker(seat) = self.tasks()
            && seat.submit(request, None).is_err()
        {
            // The worker ends before its connections only where a stop is forced.
            self.abort_because(CloseReason::ServerStopped);
        }
    }

    /// Queues a request from elsewhere. While the queue is full, waits for `QueueWaitMs`, or not at all where that
    /// would be waiting for the caller itself.
    pub(crate) fn queue_task(&self, request: Request) -> Result<()> {
        let bounded = || Queue::bounded(self.core().config().max_worker_task_len).into();
        let timeout = if self.is_current() { Some(Duration::ZERO) } else { self.core().bounds().wait };
        let queued = match self.tasks() {
            Tasks::Worker(seat) => seat.submit(request, timeout),
            Tasks::Own(queue) => match (queue.get_or_init(bounded), timeout) {
                (queue, Some(timeout)) => queue.put_timeout(request, timeout),
                (queue, None) => queue.put(request),
            },
        };
        queued.map_err(|refused| match refused {
            PutError::Full(_) => Error::TaskQueueFull { len: self.core().config().max_worker_task_len },
            PutError::Closed(_) => Error::ConnectionClosed,
        })?;
        if matches!(self.tasks(), Tasks::Own(_)) {
            self.ask_tasks();
        }
        Ok(())
    }

    /// Whether the caller runs on the coroutine that handles this connection's requests, or reads them.
    pub(crate) fn is_current(&self) -> bool {
        self.reader_mark().is_current() || self.tasks().worker().is_some_and(|worker| worker.is_current())
    }

    /// Handles a request on the worker.
    pub(crate) fn run_task(&self, request: &Request) {
        if !self.is_aborted() {
            self.dispatch(request);
        }
        if let Tasks::Worker(seat) = self.tasks() {
            // The peer has waited for this: its idle time begins now.
            self.times().active.store(self.core().clock().now(), Ordering::Relaxed);
            seat.leave();
        }
    }

    /// Handles, in the reader, what others have queued.
    pub(crate) fn run_queued(&self) {
        if !self.take_tasks() {
            return;
        }
        self.enter_user_code(self.outbox().lock());
        if let Tasks::Own(queue) = self.tasks()
            && let Some(queue) = queue.get()
        {
            // No more than there are: one may queue the next, and the stream has its turn.
            for _ in 0..queue.len() {
                if let Ok(request) = queue.try_get() {
                    self.run_task(&request);
                }
            }
        }
    }

    /// Takes no more, and waits until what was taken has been handled.
    pub(crate) fn finish_tasks(&self) {
        match self.tasks() {
            Tasks::Own(queue) => {
                let queue = queue.get_or_init(|| Queue::bounded(1).into());
                queue.close();
                queue.iter().for_each(|request| self.run_task(&request));
            }
            Tasks::Worker(seat) => seat.finish(),
        }
    }
}

/// More than can ever be pending.
const CLOSED: usize = 1 << (usize::BITS - 1);
