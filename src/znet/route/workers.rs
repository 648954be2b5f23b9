//! The worker pool: coroutines that handle the requests of connections given to them, where `WorkerPoolSize` is not 0.
//!
//! A connection has one worker for all its life, and a worker one queue, so the requests of a connection are handled
//! one after the other, in order, in every mode.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::aside::Desk;
use super::request::Request;
use crate::green::{Builder, Contained, Group, PutError, Queue, StackMark, cuttable, next_home};
use crate::lock::Lock;
use crate::zconf::{Config, WorkerMode};
use crate::ziface::IRequest;
use crate::znet::tutorial;

/// The workers of a server.
pub(crate) struct WorkerPool {
    size: usize,
    mode: WorkerMode,
    /// Workers without a connection that are kept for the next, where a worker serves one connection.
    keep: usize,
    task_len: usize,
    group: Group,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    started: bool,
    /// Hash: all workers, by number. Else those without a connection.
    workers: Vec<Arc<Worker>>,
    next_id: usize,
}

impl WorkerPool {
    pub(crate) fn new(config: &Config) -> Self {
        let size = config.worker_pool_size;
        let mode = config.worker_mode;
        let keep = if mode == WorkerMode::Bind { config.max_conn } else { size };
        let task_len = config.max_worker_task_len;
        Self { size, mode, keep, task_len, group: Group::new(), state: Lock::default() }
    }

    /// Most requests queued to one worker.
    pub(super) const fn task_len(&self) -> usize {
        self.task_len
    }

    /// Makes `WorkerPoolSize` workers. Calling it again changes nothing.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.started, true) {
            for _ in 0..self.size {
                let worker = self.make_worker(&mut state)?;
                state.workers.push(worker);
            }
        }
        Ok(())
    }

    /// The worker of a connection; `None` if handlers run on the connection's own coroutine.
    pub(crate) fn assign(&self, conn_id: u64) -> io::Result<Option<Arc<Worker>>> {
        if self.size == 0 {
            return Ok(None);
        }
        let mut state = self.lock();
        if self.mode == WorkerMode::Hash {
            let at = usize::try_from(conn_id % self.size as u64).expect("less than a usize");
            return Ok(state.workers.get(at).cloned());
        }
        match state.workers.pop() {
            Some(worker) => Ok(Some(worker)),
            None => self.make_worker(&mut state).map(Some),
        }
    }

    /// Takes the worker of a connection that is closed: for the next one, or to its end where enough are kept.
    pub(crate) fn give_back(&self, worker: Arc<Worker>) {
        if self.mode == WorkerMode::Hash {
            return;
        }
        let mut state = self.lock();
        if state.workers.len() < self.keep && state.started {
            state.workers.push(worker);
        } else {
            worker.tasks.close();
        }
    }

    /// Lets the workers end once they have handled what is queued.
    pub(crate) fn close(&self) {
        let state = std::mem::take(&mut *self.lock());
        for worker in state.workers {
            worker.tasks.close();
        }
    }

    /// The workers' coroutines.
    pub(crate) const fn group(&self) -> &Group {
        &self.group
    }

    fn make_worker(&self, state: &mut State) -> io::Result<Arc<Worker>> {
        let home = next_home();
        let worker = Arc::new(Worker {
            id: state.next_id,
            home,
            tasks: Queue::bounded(self.task_len),
            mark: StackMark::default(),
            serves_many: self.mode == WorkerMode::Hash,
            group: self.group.clone(),
        });
        worker.start()?;
        state.next_id += 1;
        Ok(worker)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A request in the queue of a worker.
struct Task {
    request: Request,
    /// Since when; noted if there is an admin plane.
    queued: Option<Instant>,
}

impl Task {
    fn new(request: Request) -> Self {
        let is_watched = request.get_connection().connection().core().history().is_some();
        Self { request, queued: is_watched.then(Instant::now) }
    }

    /// Takes it out of the queue.
    fn begin(self) -> Request {
        let Self { request, queued } = self;
        if let Some(queued) = queued
            && let Some(history) = request.get_connection().connection().core().history()
        {
            history.task_waits.record(queued.elapsed(), 1);
        }
        request
    }
}

/// One worker: a queue and the coroutine that handles what is in it.
pub(crate) struct Worker {
    id: usize,
    home: usize,
    tasks: Queue<Task>,
    /// The coroutine that has the queue.
    mark: StackMark,
    /// Several connections: then the coroutine does not wait for a peer, but leaves the queue to another.
    serves_many: bool,
    group: Group,
}

impl Worker {
    pub(crate) const fn id(&self) -> usize {
        self.id
    }

    /// Where it runs: a reader beside it hands requests over without waking another thread.
    pub(crate) const fn home(&self) -> usize {
        self.home
    }

    /// The coroutine that has the queue.
    pub(super) const fn mark(&self) -> &StackMark {
        &self.mark
    }

    /// Whether the caller is a handler that this worker runs.
    pub(crate) fn is_current(&self) -> bool {
        self.mark.is_current()
    }

    /// Queues a request; while the queue is full, waits, at most for `timeout`.
    #[expect(clippy::result_large_err, reason = "it is the request, handed back as it is")]
    pub(crate) fn put(&self, request: Request, timeout: Option<Duration>) -> Result<(), PutError<Request>> {
        let task = Task::new(request);
        let put = match timeout {
            None => self.tasks.put(task),
            Some(timeout) => self.tasks.put_timeout(task, timeout),
        };
        put.map_err(|refused| match refused {
            PutError::Full(task) => PutError::Full(task.request),
            PutError::Closed(task) => PutError::Closed(task.request),
        })
    }

    /// How many requests are queued.
    #[cfg(feature = "admin")]
    pub(crate) fn queued(&self) -> usize {
        self.tasks.len()
    }

    /// Starts the coroutine, or the next one if that has to wait for a peer.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(self);
        let builder = Builder::new().numbered(&"worker", self.id as u64).shielded().on(self.home);
        self.group.spawn(builder, move || this.run())
    }

    fn run(self: &Arc<Self>) {
        self.mark.set();
        tutorial::say(format_args!("[WORKER] id {} runs", self.id));
        let desk = self.serves_many.then(|| Desk::set_up(Arc::clone(self)));
        // If a stop cuts a handler short, what is behind it has its turn.
        while cuttable(|| self.work_off(desk.as_deref())).is_none() {}
    }

    fn work_off(&self, desk: Option<&Desk>) {
        if let Some(conn) = desk.and_then(Desk::put_aside) {
            return conn.connection().handle_aside();
        }
        for task in self.tasks.iter() {
            let request = task.begin();
            let conn = Arc::clone(request.get_connection());
            let request = match conn.connection().tasks().aside() {
                Some(aside) => aside.put(request),
                None => Some(request),
            };
            let Some(request) = request else { continue };
            if let Some(desk) = desk {
                desk.serve(&conn);
            }
            // The worker has others to serve, whatever is dropped with a request.
            conn.connection().run_task(&Contained::new(request));
            if desk.and_then(Desk::put_aside).is_some() {
                // It had to wait, and another coroutine has the queue now.
                return conn.connection().handle_aside();
            }
        }
    }
}
