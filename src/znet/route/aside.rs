//! A worker never waits for a peer. Its coroutine may have to: a handler that sends to a full connection cannot go on, and
//! keeps its stack. So the connection whose request it handles is put *aside*: another coroutine takes over the worker's
//! queue, and leaves what comes for that connection to the one that waits, which handles it in order and then ends.
//!
//! Until then the connection is not read from, so what waits for it is no more than the worker's queue held. There is at
//! most one coroutine for each connection put aside.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use super::request::Request;
use super::workers::Worker;
use crate::green::{Event, Local, StackMark};
use crate::lock::Lock;
use crate::ziface::IConnection;

/// Before the caller waits for a peer: if it is a worker that serves others too, another coroutine takes over.
/// Calling it again changes nothing.
///
/// # Errors
///
/// If there is no room for another coroutine. Then the caller should not wait.
pub(crate) fn step_aside() -> io::Result<()> {
    let Some(desk) = DESK.get() else { return Ok(()) };
    let Some(conn) = desk.served() else { return Ok(()) };
    let Some(aside) = conn.connection().tasks().aside() else { return Ok(()) };
    if !aside.begin(desk.worker.mark()) {
        return Ok(());
    }
    desk.worker.start().inspect_err(|_| drop(aside.take()))
}

/// What the coroutine of a worker is about.
pub(crate) struct Desk {
    worker: Arc<Worker>,
    /// Of the request that it handles.
    conn: Lock<Option<Weak<dyn IConnection>>>,
}

impl Desk {
    /// A desk for the coroutine that calls.
    pub(crate) fn set_up(worker: Arc<Worker>) -> Arc<Self> {
        let desk = Arc::new(Self { worker, conn: Lock::default() });
        DESK.set(Some(Arc::clone(&desk)));
        desk
    }

    /// Notes whose request is handled next.
    pub(crate) fn serve(&self, conn: &Arc<dyn IConnection>) {
        let mut served = self.lock();
        if !served.as_ref().is_some_and(|served| std::ptr::addr_eq(served.as_ptr(), Arc::as_ptr(conn))) {
            *served = Some(Arc::downgrade(conn));
        }
    }

    fn served(&self) -> Option<Arc<dyn IConnection>> {
        self.lock().as_ref()?.upgrade()
    }

    /// The connection that is put aside with the coroutine of this desk.
    pub(crate) fn put_aside(&self) -> Option<Arc<dyn IConnection>> {
        let is_aside =
            |conn: &Arc<dyn IConnection>| conn.connection().tasks().aside().is_some_and(Aside::is_on);
        self.served().filter(is_aside)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Weak<dyn IConnection>>> {
        self.conn.lock()
    }
}

/// Whether a connection is put aside, and its requests meanwhile.
#[derive(Default)]
pub(crate) struct Aside {
    /// Set by the worker's own coroutine before another takes over, cleared under the lock.
    on: AtomicBool,
    requests: Lock<VecDeque<Request>>,
    /// The coroutine that handles them.
    mark: StackMark,
    /// Set while it is not put aside.
    back: Event,
}

impl Aside {
    /// Puts the connection aside. `false` if it is already. `mark`: of the coroutine that calls, from its outermost function; what it
    /// handles later may not be as deep in its stack as it is now.
    fn begin(&self, mark: &StackMark) -> bool {
        let begins = !self.is_on();
        if begins {
            self.mark.copy(mark);
            self.back.clear();
            self.on.store(true, Ordering::Release);
        }
        begins
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Whether the caller is the coroutine that handles what waits.
    pub(crate) fn is_current(&self) -> bool {
        self.is_on() && self.mark.is_current()
    }

    /// Waits until the connection is not put aside. `false` if it still is after `timeout`.
    pub(crate) fn wait_back(&self, timeout: Option<Duration>) -> bool {
        match timeout {
            _ if !self.is_on() => true,
            Some(timeout) => self.back.wait_timeout(timeout),
            None => {
                self.back.wait();
                true
            }
        }
    }

    /// Takes a request that has come to the worker, if the connection is put aside; else gives it back.
    pub(crate) fn put(&self, request: Request) -> Option<Request> {
        if !self.is_on() {
            return Some(request);
        }
        let mut requests = self.lock();
        // The one that waited may have just ended.
        if !self.is_on() {
            return Some(request);
        }
        requests.push_back(request);
        None
    }

    /// The next request that waits. `None` ends it: from now on requests are the worker's again.
    pub(super) fn take(&self) -> Option<Request> {
        let mut requests = self.lock();
        let next = requests.pop_front();
        if next.is_none() {
            self.on.store(false, Ordering::Release);
            drop(requests);
            self.back.set();
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock()
    }
}

/// Of each coroutine of a worker that serves several connections.
static DESK: Local<Option<Arc<Desk>>> = Local::new(|| None);
