//! The life of a server or a client: begun once, stopped in one order.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::background::Task;
use super::core::Core;
use super::sweeper;
use super::tutorial;
use crate::error::{Error, Result};
use crate::green::{Builder, Event, Greenlet, Group, Runtime, Until, drop_each};
use crate::zconf::Config;
use crate::ziface::IMsgHandler;

/// What runs between the start and the stop.
#[derive(Default)]
pub(crate) struct Life {
    pub(super) started: bool,
    pub(super) stopping: bool,
    /// `serve` has waited for the end, or does.
    served: bool,
    /// The address listened on.
    pub(super) local: Option<SocketAddr>,
    /// Ends the waits of who makes connections, so that it looks whether all stops.
    pub(super) interrupt: Option<Box<dyn FnOnce() + Send>>,
    /// Makes connections; ended before they are, so that none comes after.
    pub(super) acceptor: Option<Greenlet<()>>,
    sweeper: Option<Sweeper>,
    /// Given before the start.
    pub(super) tasks: Vec<Task>,
}

/// The sweeper, and what ends it.
type Sweeper = (Greenlet<()>, Arc<Event>);

impl Core {
    pub(super) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins, once: `make` starts what makes connections.
    pub(super) fn begin(self: &Arc<Self>, make: impl FnOnce(&mut Life, &Config) -> Result<()>) -> Result<()> {
        let mut life = self.life();
        if life.stopping {
            return Err(Error::Stopped);
        }
        if life.started {
            return Err(Error::AlreadyStarted { what: "start" });
        }
        self.check_framing()?;
        let config = self.config();
        Runtime { workers: config.workers, stack_bytes: config.stack_bytes }.start()?;
        let end = Arc::new(Event::new());
        let begun = self.start_sweeper(&end).and_then(|sweeper| {
            self.handler().start_worker_pool()?;
            make(&mut life, config)?;
            Ok(sweeper)
        });
        // A start that fails leaves nothing behind: it may be tried again.
        let sweeper = begun.inspect_err(|_| {
            end.set();
            self.handler().workers().close();
        })?;
        life.started = true;
        self.handler().freeze();
        self.framing();
        life.sweeper = Some((sweeper, end));
        let tasks = std::mem::take(&mut life.tasks);
        let begun = tasks.into_iter().try_for_each(|task| self.begin_task(task));
        drop(life);
        begun.inspect_err(|_| self.stop())
    }

    /// What `serve` makes of the outcome of its start: it goes on with what has been started before. Where that has
    /// stopped already, only the first `serve` does: the next would return at once, for ever.
    pub(super) fn serve_from(&self, begun: Result<()>) -> Result<()> {
        let mut life = self.life();
        let outcome = match begun {
            Err(Error::AlreadyStarted { .. }) => Ok(()),
            Err(Error::Stopped) if life.started && !(life.served && self.stopped.is_set()) => Ok(()),
            begun => begun,
        };
        life.served |= outcome.is_ok();
        outcome
    }

    fn start_sweeper(self: &Arc<Self>, end: &Arc<Event>) -> Result<Greenlet<()>> {
        let (this, end) = (Arc::clone(self), Arc::clone(end));
        spawn("sweeper", move || sweeper::sweep_until(&this, &end))
    }

    /// Whether it has begun and nobody has asked it to stop.
    pub(super) fn is_running(&self) -> bool {
        let life = self.life();
        life.started && !life.stopping
    }

    /// Whether it has begun, be it stopped or not.
    pub(super) fn has_begun(&self) -> bool {
        self.life().started || self.life().stopping
    }

    /// May begin again, where it has stopped.
    pub(super) fn reset(&self) {
        let mut life = self.life();
        if self.stopped.is_set() {
            *life = Life::default();
            self.stopping().clear();
            self.stopped.clear();
        }
    }

    /// Asks all to stop in order, and returns at once.
    pub(super) fn stop(self: &Arc<Self>) {
        let mut life = self.life();
        if std::mem::replace(&mut life.stopping, true) {
            return;
        }
        self.stopping().set();
        let interrupt = life.interrupt.take();
        let (acceptor, sweeper) = (life.acceptor.take(), life.sweeper.take());
        let (started, never_begun) = (life.started, std::mem::take(&mut life.tasks));
        drop(life);
        // What they own may use the server.
        drop_each(never_begun);
        if let Some(interrupt) = interrupt {
            interrupt();
        }
        self.backoff().end_pause();
        if !started {
            return self.stopped.set();
        }
        let this = Arc::clone(self);
        if let Err(error) = spawn("stop", move || this.wind_down(acceptor, sweeper)) {
            log::error!("no coroutine to stop in order, so what is open is cut off: {error}");
            self.force();
            self.stopped.set();
        }
    }

    /// The end, in one order: listener, connections, workers, tasks, sweeper, whoever waits.
    fn wind_down(&self, acceptor: Option<Greenlet<()>>, sweeper: Option<Sweeper>) {
        let until = self.drain_deadline();
        if let Some(acceptor) = acceptor {
            acceptor.join();
        }
        self.manager().stop_all(self.stop_reason());
        // The connections have the same deadline: a moment more lets them meet it.
        if !join_until(self.group(), self.drain_deadline(), GRACE) {
            self.force();
            self.group().join_timeout(GRACE);
        }
        tutorial::say(format_args!("清除所有链接: 当前数量 = {}", self.manager().places()));
        self.handler().workers().close();
        self.handler().workers().join_timeout(GRACE);
        self.end_tasks(until);
        if let Some((sweeper, end)) = sweeper {
            end.set();
            sweeper.join();
        }
        // First the line: who waits may end the process.
        log::info!("{} stopped", self.config().name);
        self.stopped.set();
    }

    /// Cuts off what is still open, and names it; kills what runs beside.
    pub(super) fn force(&self) {
        self.kill_tasks();
        let mut open = Vec::new();
        self.manager().each(|conn| {
            open.push(Arc::clone(conn));
            true
        });
        if open.is_empty() {
            return;
        }
        // Counted and named first: all has stopped with the last of them, and the process may end.
        self.counters.forced.fetch_add(open.len(), Ordering::AcqRel);
        let named: Vec<_> = open.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if open.len() > NAMED { ", .." } else { "" };
        log::warn!("cut off {} open connections: {}{more}", open.len(), named.join(", "));
        for conn in open {
            conn.abort_because(self.stop_reason().clone());
        }
    }
}

/// Starts a coroutine that lives as long as its server.
pub(super) fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<Greenlet<()>> {
    Builder::new()
        .name(name)
        .shielded()
        .spawn(body)
        .map_err(|source| Error::io(format!("start the {name}"), source))
}

/// Waits until all members have ended. `false` if some have not a moment after the deadline.
pub(super) fn join_until(group: &Group, deadline: Until, grace: Duration) -> bool {
    while let Some(left) = deadline.left() {
        if group.join_timeout(left.saturating_add(grace)) {
            return true;
        }
        if deadline.is_over() {
            return false;
        }
    }
    group.join();
    true
}

/// Connections named in the log when they are cut off.
const NAMED: usize = 10;

/// What connections get to end after their deadline.
pub(super) const GRACE: Duration = Duration::from_millis(500);
