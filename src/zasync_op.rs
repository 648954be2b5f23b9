//! Asynchronous operations: work that blocks (a database, a file) done off the workers, its result handled back on the
//! connection's own coroutine.
//!
//! A handler here may as well call [`green::blocking`] and go on with the answer in the next
//! line. This is for programs that come from Zinx, and for handlers that are to go on with the next message meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::green::{self, Builder, Group, contain};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};
use crate::ziface::IConnection;
use crate::znet::new_func_request;

/// Operations that block. Those with the same id run in order: those of one player, say. Clones share them.
///
/// # Examples
///
/// ```
/// use zinx::prelude::*;
/// use zinx::zasync_op::{AsyncOpResult, AsyncOps};
///
/// fn save(ops: &AsyncOps, player: u64, request: &dyn IRequest) -> zinx::Result<()> {
///     let conn = request.get_connection().clone();
///     let saved = AsyncOpResult::new(&conn);
///     let theirs = saved.clone();
///     // On a thread of its own, after what was asked for this player before:
///     ops.process(player, move || theirs.set_returned_obj(42))?;
///     // Back on the connection's coroutine, between two messages:
///     saved.on_complete(move |answer| drop(conn.send_msg(1, format!("{answer}"))));
///     Ok(())
/// }
/// ```
#[derive(Clone, Default)]
pub struct AsyncOps {
    lanes: Arc<Lock<Lanes>>,
    group: Group,
}

type Op = Box<dyn FnOnce() + Send>;

/// Operations that wait, by id. An id whose last operation is done has no entry.
type Lanes = HashMap<u64, VecDeque<Op>>;

impl AsyncOps {
    /// No operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `op` on the thread pool of [`green::blocking`], after those of the same id, and returns at once. A panic
    /// is logged, and its result never comes.
    ///
    /// # Errors
    ///
    /// [`TaskQueueFull`](Error::TaskQueueFull) where 2048 of this id wait, [`Io`](Error::Io) where the machine has no
    /// room for the coroutine that waits for them.
    #[doc(alias = "Process")]
    pub fn process(&self, op_id: u64, op: impl FnOnce() + Send + 'static) -> Result<()> {
        let mut lanes = self.lanes.lock();
        if let Some(waiting) = lanes.get_mut(&op_id) {
            if waiting.len() >= MAX_WAITING {
                return Err(Error::TaskQueueFull { len: MAX_WAITING });
            }
            waiting.push_back(Box::new(op));
            return Ok(());
        }
        // Under the lock: nothing relies on a lane whose coroutine has not started.
        let this = self.clone();
        let started = self.group.spawn(Builder::new().name("async op"), move || this.work_off(op_id));
        started.map_err(|source| Error::io("start an asynchronous operation", source))?;
        lanes.insert(op_id, VecDeque::from([Box::new(op) as Op]));
        Ok(())
    }

    /// Waits until all operations are done.
    pub fn join(&self) {
        self.group.join();
    }

    fn work_off(&self, op_id: u64) {
        while let Some(op) = self.next(op_id) {
            if let Err(words) = contain(|| green::blocking(op)) {
                static LOG: Throttle = Throttle::new();
                throttled!(error, LOG, "asynchronous operation {op_id} panicked: {words}");
            }
        }
    }

    fn next(&self, op_id: u64) -> Option<Op> {
        let mut lanes = self.lanes.lock();
        let op = lanes.get_mut(&op_id)?.pop_front();
        if op.is_none() {
            lanes.remove(&op_id);
        }
        op
    }
}

impl std::fmt::Debug for AsyncOps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncOps").field("busy_ids", &self.lanes.lock().len()).finish()
    }
}

/// The result of an operation for a connection: once it is there and someone wants it, it is handled on the connection's
/// own coroutine. Clones share it.
pub struct AsyncOpResult<T> {
    conn: Arc<dyn IConnection>,
    state: Arc<Lock<State<T>>>,
}

/// The first of the two to come waits for the other.
enum State<T> {
    Nothing,
    Returned(T),
    Wanted(Box<dyn FnOnce(T) + Send>),
    Handled,
}

impl<T: Send + 'static> AsyncOpResult<T> {
    /// A result that is still to come, for this connection.
    #[doc(alias = "NewAsyncOpResult")]
    pub fn new(conn: &Arc<dyn IConnection>) -> Self {
        Self { conn: Arc::clone(conn), state: Arc::new(Lock::new(State::Nothing)) }
    }

    /// Sets the result. The first stays.
    #[doc(alias = "SetReturnedObj")]
    pub fn set_returned_obj(&self, value: T) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Handled) {
            State::Nothing => *state = State::Returned(value),
            State::Wanted(complete) => {
                drop(state);
                self.queue(value, complete);
            }
            other => *state = other,
        }
    }

    /// Runs `complete` with the result: on the connection's own coroutine (or its worker's), between two messages,
    /// and before its stop hook. The first stays. Where the connection has closed, or its queue stays full, it is not
    /// run; that is logged.
    #[doc(alias = "OnComplete")]
    pub fn on_complete(&self, complete: impl FnOnce(T) + Send + 'static) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Handled) {
            State::Nothing => *state = State::Wanted(Box::new(complete)),
            State::Returned(value) => {
                drop(state);
                self.queue(value, Box::new(complete));
            }
            other => *state = other,
        }
    }

    fn queue(&self, value: T, complete: Box<dyn FnOnce(T) + Send>) {
        let request = new_func_request(&self.conn, move || complete(value));
        if let Err(error) = self.conn.get_msg_handler().send_msg_to_task_queue(request) {
            static LOG: Throttle = Throttle::new();
            let id = self.conn.get_conn_id();
            throttled!(
                warn,
                LOG,
                "connection {id}: the result of an asynchronous operation is lost: {error}"
            );
        }
    }
}

impl<T> Clone for AsyncOpResult<T> {
    fn clone(&self) -> Self {
        Self { conn: Arc::clone(&self.conn), state: Arc::clone(&self.state) }
    }
}

impl<T> std::fmt::Debug for AsyncOpResult<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncOpResult").field("conn", &self.conn).finish_non_exhaustive()
    }
}

/// Operations of one id that may wait.
const MAX_WAITING: usize = 2048;
