//! Handling what waits for a connection: on its worker, or between two reads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::aside::Aside;
use super::request::Request;
use super::tasks::{Seat, Tasks};
use crate::error::{Error, Result};
use crate::green::{Contained, PutError, Queue, Until, cuttable, drop_contained};
use crate::ziface::{CloseReason, IRequest};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::route::dispatch::dispatch;

/// Handles, in the reader, what others have queued.
pub(crate) fn run_queued(conn: &Connection) {
    if !conn.asked().take(Asked::TASKS) {
        return;
    }
    if let Some(queue) = conn.on_demand().and_then(|on_demand| on_demand.queue.get()) {
        // No more than there are: one may queue the next, and the stream has its turn.
        for _ in 0..queue.len() {
            if let Ok(request) = queue.try_get() {
                conn.run_task(&request);
                drop_contained(request);
            }
        }
    }
}

impl Connection {
    /// Lets the worker handle what was read. While its queue is full, or the connection put aside, nothing more is read,
    /// unless something waits for an answer: it may be behind this, and the worker may be what waits. So answers are looked for from time to time,
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
        let held = Held { conn: self, bytes };
        loop {
            match seat.submit(request, Some(pause)) {
                Ok(()) => return held.hand_over(),
                // The worker ends before its connections only where a stop is forced.
                Err(PutError::Closed(_)) => return self.abort_because(CloseReason::ServerStopped),
                Err(PutError::Full(full)) => request = full,
            }
            pause = if self.reads_past() { FIRST_PAUSE } else { LONGEST_PAUSE.min(pause * 2) };
        }
    }

    /// Reads on for a moment where someone waits for an answer. `false` if there is no use in it.
    fn reads_past(&self) -> bool {
        let is_open = || self.on_demand().is_some_and(|on_demand| on_demand.calls.is_open());
        let max = self.core().bounds().kept();
        if !is_open() || !self.ahead().with(|input| input.has_room(max)) {
            return false;
        }
        let read = self.read_until("an answer", Until::after(FIRST_PAUSE), &|| !is_open());
        matches!(read, Ok(()) | Err(Error::TimedOut { .. }))
    }

    /// Queues a request from elsewhere. While the queue is full, waits for `QueueWaitMs`, or not at all where that
    /// would be waiting for the caller itself.
    pub(crate) fn queue_task(&self, request: Request) -> Result<()> {
        let full = self.core().handler().workers().task_len();
        let own = || self.own_queue(full);
        let timeout = if self.is_current() { Some(Duration::ZERO) } else { self.core().bounds().wait() };
        let bytes = request.get_data().len();
        if !self.hold_task(bytes) {
            return Err(Error::TaskQueueFull { len: full });
        }
        let held = Held { conn: self, bytes };
        let queued = match (self.tasks(), timeout) {
            (Tasks(Some(seat)), timeout) => seat.submit(request, timeout),
            (Tasks(None), Some(timeout)) => own().put_timeout(request, timeout),
            (Tasks(None), None) => own().put(request),
        };
        queued.map_err(|refused| match refused {
            PutError::Full(_) => Error::TaskQueueFull { len: full },
            PutError::Closed(_) => Error::ConnectionClosed,
        })?;
        held.hand_over();
        if self.tasks().0.is_none() {
            self.ask(Asked::TASKS);
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
        if self.tasks().worker().is_some() {
            self.wait_for_replies_to_leave();
        }
        if !self.is_aborted() {
            self.observe(request.get_msg_id(), || dispatch(self, request));
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

/// The bytes of a request that is not queued yet. They are given back if it never is: a caller that waits for room may be killed, or run
/// out of time.
struct Held<'a> {
    conn: &'a Connection,
    bytes: usize,
}

impl Held<'_> {
    /// It is queued: whoever handles it gives that back.
    fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.conn.let_task_go(self.bytes);
    }
}

/// A request that is being handled; dropped when it has been, also if the handler was cut short.
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

impl Connection {
    /// In the coroutine that was put aside with it: handles what has come meanwhile.
    pub(crate) fn handle_aside(&self) {
        while let Some(request) = self.tasks().aside().and_then(Aside::take) {
            self.run_task(&Contained::new(request));
        }
    }
}
