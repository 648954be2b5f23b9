//! What a connection has to do beside reading: requests that its worker handles, and what others queue to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::request::Request;
use super::workers::Worker;
use crate::error::{Error, Result};
use crate::green::{Event, PutError, Queue, Until, cuttable, drop_contained};
use crate::ziface::{CloseReason, IRequest};
use crate::znet::conn::connection::Connection;

/// Who handles the requests of a connection: a worker of the pool; `None`: its reader, each as it is read, and what
/// others queue between two passes.
pub(crate) struct Tasks(Option<Box<Seat>>);

/// A connection's place with its worker.
pub(crate) struct Seat {
    worker: Arc<Worker>,
    /// Requests queued or being handled; [`CLOSED`] is added once no more are taken.
    pending: AtomicUsize,
    /// Set once closed and nothing is pending.
    finished: Event,
    /// Whether the worker goes on without this connection for now.
    aside: Aside,
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

    /// The worker; `None` where the reader handles requests itself.
    pub(crate) fn worker(&self) -> Option<&Arc<Worker>> {
        self.0.as_ref().map(|seat| &seat.worker)
    }

    /// What the worker leaves aside; `None` where there is no worker.
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
    fn submit(&self, request: Request, timeout: Option<Duration>) -> Result<(), PutError<Request>> {
        if self.pending.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 {
            self.leave();
            return Err(PutError::Closed(request));
        }
        let begun = Instant::now();
        // What the one queues that is put aside itself comes behind all that waits.
        if !self.aside.is_current() && !self.aside.wait_back(timeout) {
            self.leave();
            return Err(PutError::Full(request));
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        self.worker.put(request, left).inspect_err(|_| self.leave())
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
    /// Has the worker handle what was read. While its queue is full, or the connection put aside, nothing more is read, unless someone waits for an
    /// answer: it may be behind this, and the worker may be the one who waits. So answers are looked for from time to time,
    /// as long as there is room to keep what else is found.
    pub(crate) fn queue_read(&self, mut request: Request) {
        let Tasks(Some(seat)) = self.tasks() else { return };
        let mut pause = FIRST_PAUSE;
        let bytes = request.get_data().len();
        // No more is read meanwhile.
        while !self.hold_task(bytes) {
            if self.is_aborted() {
                return;
            }
            self.wait_a_moment();
        }
        loop {
            match seat.submit(request, Some(pause)) {
                Ok(()) => return,
                // The worker ends before its connections only where a stop is forced.
                Err(PutError::Closed(_)) => {
                    self.let_task_go(bytes);
                    return self.abort_because(CloseReason::ServerStopped);
                }
                Err(PutError::Full(full)) => request = full,
            }
            pause = if self.reads_past() { FIRST_PAUSE } else { LONGEST_PAUSE.min(pause * 2) };
        }
    }

    /// Reads on for a moment where someone waits for an answer. `false` where there is no use in it.
    fn reads_past(&self) -> bool {
        let is_open = || self.on_demand().is_some_and(|on_demand| on_demand.calls.is_open());
        let config = self.core().config();
        let max = (config.max_kept_messages, config.max_kept_bytes);
        if !is_open() || !self.ahead().with(|input| input.has_room(max)) {
            return false;
        }
        let read = self.read_until("an answer", Until::after(FIRST_PAUSE), &|| !is_open());
        matches!(read, Ok(()) | Err(Error::TimedOut { .. }))
    }

    /// Queues a request from elsewhere. While the queue is full, waits for `QueueWaitMs`, or not at all where that
    /// would be waiting for the caller itself.
    pub(crate) fn queue_task(&self, request: Request) -> Result<()> {
        let own = || self.own_queue(self.core().config().max_worker_task_len);
        let timeout = if self.is_current() { Some(Duration::ZERO) } else { self.core().bounds().wait };
        let (full, bytes) = (self.core().config().max_worker_task_len, request.get_data().len());
        if !self.hold_task(bytes) {
            return Err(Error::TaskQueueFull { len: full });
        }
        let queued = match (self.tasks(), timeout) {
            (Tasks(Some(seat)), timeout) => seat.submit(request, timeout),
            (Tasks(None), Some(timeout)) => own().put_timeout(request, timeout),
            (Tasks(None), None) => own().put(request),
        };
        queued.map_err(|refused| {
            self.let_task_go(bytes);
            match refused {
                PutError::Full(_) => Error::TaskQueueFull { len: full },
                PutError::Closed(_) => Error::ConnectionClosed,
            }
        })?;
        if self.tasks().0.is_none() {
            self.ask_tasks();
        }
        Ok(())
    }

    /// Whether the caller runs on the coroutine that handles this connection's requests, or reads them.
    pub(crate) fn is_current(&self) -> bool {
        let by_worker = |Seat { worker, aside, .. }: &Seat| worker.is_current() || aside.is_current();
        self.reader_mark().is_current() || self.tasks().0.as_deref().is_some_and(by_worker)
    }

    /// Handles a request on the worker.
    pub(crate) fn run_task(&self, request: &Request) {
        let _pending = Pending { conn: self, bytes: request.get_data().len() };
        if !self.is_aborted() {
            self.dispatch(request);
        }
    }

    /// Handles, in the reader, what others have queued.
    pub(crate) fn run_queued(&self) {
        if !self.take_tasks() {
            return;
        }
        if let Some(queue) = self.on_demand().and_then(|on_demand| on_demand.queue.get()) {
            // No more than there are: one may queue the next, and the stream has its turn.
            for _ in 0..queue.len() {
                if let Ok(request) = queue.try_get() {
                    self.run_task(&request);
                    drop_contained(request);
                }
            }
        }
    }

    /// Takes no more, and waits until what was taken has been handled.
    pub(crate) fn finish_tasks(&self) {
        match self.tasks() {
            Tasks(Some(seat)) => seat.finish(),
            Tasks(None) => {
                let queue = self.own_queue(1);
                queue.close();
                // Cut short, the connection is aborted: the rest would not be handled either.
                cuttable(|| {
                    for request in queue.iter() {
                        self.run_task(&request);
                        drop_contained(request);
                    }
                });
            }
        }
    }

    /// What others have queued to the reader, made by the first of it with room for so many.
    fn own_queue(&self, room: usize) -> &Queue<Request> {
        self.make_on_demand().queue.get_or_init(|| Queue::bounded(room).into())
    }
}

/// A request that is being handled; dropped when it has been, be it that the handler was cut short.
struct Pending<'a> {
    conn: &'a Connection,
    bytes: usize,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Self { conn, bytes } = *self;
        conn.let_task_go(bytes);
        if let Tasks(Some(seat)) = conn.tasks() {
            // The peer has waited for this: its idle time begins now.
            conn.times().active.store(conn.core().clock().now(), Ordering::Relaxed);
            seat.leave();
        }
    }
}

/// How long a full queue is waited for, and the socket, in turn, while an answer is looked for.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How long at most, before it is looked again whether someone waits for one.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// More than can ever be pending.
const CLOSED: usize = 1 << (usize::BITS - 1);
