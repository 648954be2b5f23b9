//! The life of a server or a client: begun once, stopped in one order.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::core::Core;
use super::life::ServerLife;
#[cfg(feature = "kcp")]
use super::life::Settle;
use super::notify;
use crate::error::{Error, Result};
use crate::green::{Runtime, Thread, Until, drop_each};
use crate::zconf::Config;
use crate::ziface::{CloseReason, IMsgHandler};
use crate::znet::leave::sweeper;
use crate::znet::route::route_stats::RouteStats;
use crate::znet::tutorial;

impl Core {
    pub(crate) fn life(&self) -> MutexGuard<'_, ServerLife> {
        self.life.lock()
    }

    /// Begins, once: `make` starts what makes connections.
    pub(crate) fn begin(
        self: &Arc<Self>,
        make: impl FnOnce(&mut ServerLife, &Config) -> Result<()>,
    ) -> Result<()> {
        let mut life = self.life();
        if life.stopping {
            return Err(Error::Stopped);
        }
        if life.started {
            return Err(Error::AlreadyStarted { what: "start" });
        }
        self.check_framing()?;
        #[cfg(feature = "websocket")]
        self.set_bare()?;
        let config = self.config();
        let (workers, stack_bytes, max_stacks) = (config.workers, config.stack_bytes, config.max_stacks);
        Runtime { workers, stack_bytes, max_stacks }.start()?;
        let sweeper = sweeper::begin(self)?;
        let made = self.handler().start_worker_pool().and_then(|()| make(&mut life, &config));
        if let Err(error) = made {
            // A start that fails leaves nothing behind: it may be tried again.
            sweeper.end();
            self.handler().workers().close();
            return Err(error);
        }
        life.started = true;
        self.handler().freeze();
        if let Some(history) = self.history() {
            history.routes.get_or_init(|| RouteStats::new(self.handler().ids()));
        }
        self.framing();
        life.sweeper = Some(Box::new(move || sweeper.end()));
        let tasks = std::mem::take(&mut life.tasks);
        let begun = tasks.into_iter().try_for_each(|task| self.begin_task(task));
        drop(life);
        begun.inspect_err(|_| self.stop())
    }

    /// What `serve` makes of the outcome of its start: it goes on with what has been started before. Where that has
    /// stopped already, only the first `serve` does: the next would return at once, forever.
    pub(crate) fn serve_from(&self, begun: Result<()>) -> Result<()> {
        let mut life = self.life();
        let outcome = match begun {
            Err(Error::AlreadyStarted { .. }) => Ok(()),
            Err(Error::Stopped) if life.started && !(life.served && self.stopped.is_set()) => Ok(()),
            begun => begun,
        };
        life.served |= outcome.is_ok();
        outcome
    }

    /// Whether it has begun and was not asked to stop.
    pub(crate) fn is_running(&self) -> bool {
        let life = self.life();
        life.started && !life.stopping
    }

    /// Whether it has begun, even if it has stopped since.
    pub(crate) fn has_begun(&self) -> bool {
        self.life().started || self.life().stopping
    }

    /// May begin again, if it has stopped.
    pub(crate) fn reset(&self) {
        let mut life = self.life();
        if self.stopped.is_set() {
            *life = ServerLife::default();
            self.stopping().clear();
            self.hurried.clear();
            self.unpaced.clear();
            self.stopped.clear();
        }
    }

    /// Asks all to stop in order, and returns at once. If a drain is closing the connections one after the other, it closes
    /// those that are left now.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.unpaced.set();
        self.drain(Duration::ZERO);
    }

    /// As [`stop`](Self::stop), but the connections close one after the other, spread over `pace`.
    pub(crate) fn drain(self: &Arc<Self>, pace: Duration) {
        let mut life = self.life();
        if std::mem::replace(&mut life.stopping, true) {
            return;
        }
        self.stopping().set();
        if *self.stop_reason() == CloseReason::ServerStopped {
            notify::stopping();
        }
        let interrupt = life.interrupt.take();
        let ending = Ending {
            pace,
            acceptors: std::mem::take(&mut life.acceptors),
            sweeper: life.sweeper.take(),
            admin: life.admin.take(),
            cluster: life.cluster.take(),
            #[cfg(feature = "kcp")]
            settle: life.settle.take(),
        };
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
        if let Err(error) = Thread::start("zinx-stop", move || this.wind_down(ending)) {
            log::error!("no thread to stop in order, so what is open is cut off: {error}");
            self.cut_off_now();
            self.stopped.set();
        }
    }

    /// The end, in one order: listener, connections, workers, tasks, sweeper, callers that wait. On a thread of its own: the
    /// deadline holds whatever coroutines do.
    fn wind_down(&self, ending: Ending) {
        let pace = ending.pace;
        let mut deadline = self.drain_deadline();
        for acceptor in ending.acceptors {
            acceptor.join_timeout(MOMENT);
        }
        if !pace.is_zero() {
            self.close_over(pace);
            deadline = self.drain_deadline();
        }
        self.manager().stop_all(self.stop_reason());
        if !self.ends_in_time(deadline) {
            self.cut_off();
        }
        #[cfg(feature = "kcp")]
        ending.settle.into_iter().for_each(|settle| settle(deadline, &self.hurried));
        tutorial::say(format_args!("清除所有链接: 当前数量 = {}", self.manager().places()));
        if let Some(end_sweeping) = ending.sweeper {
            end_sweeping();
        }
        drop(ending.cluster);
        drop(ending.admin);
        // First the line: the thread that waits may end the process.
        log::info!("{} stopped", self.config().name);
        self.stopped.set();
    }

    /// Closes the connections one after the other, the oldest first, so that all are asked to close when `pace` is over. Sooner
    /// if the stop is to be, or no connection is left.
    fn close_over(&self, pace: Duration) {
        let mut left = Vec::new();
        self.manager().each(|conn| {
            left.push(Arc::clone(conn));
            true
        });
        left.sort_by_key(|conn| conn.get_conn_id());
        let (begun, all) = (Instant::now(), left.len());
        let mut left = left.into_iter();
        while left.len() > 0 {
            let part = begun.elapsed().as_secs_f64() / pace.as_secs_f64();
            let due = (all as f64 * part).ceil() as usize;
            let now = due.saturating_sub(all - left.len());
            for conn in left.by_ref().take(now) {
                conn.connection().stop_because(self.stop_reason().clone());
            }
            if part >= 1.0 || self.manager().places() == 0 || self.unpaced.wait_timeout(STEP) {
                return;
            }
        }
    }

    /// Whether all ends that the stop waits for.
    fn ends_in_time(&self, deadline: Until) -> bool {
        if !self.join_in_time(self.group(), deadline) {
            return false;
        }
        let workers = self.handler().workers();
        workers.close();
        workers.group().join_timeout(MOMENT);
        self.wait_for_tasks(deadline)
    }
}

/// What a stop ends, apart from connections.
struct Ending {
    pace: Duration,
    acceptors: Vec<Thread>,
    sweeper: Option<Box<dyn FnOnce() + Send>>,
    admin: Option<(SocketAddr, Box<dyn Send>)>,
    cluster: Option<Box<dyn Send>>,
    /// Has what is still on its way over KCP arrive.
    #[cfg(feature = "kcp")]
    settle: Option<Box<Settle>>,
}

/// How often a drain closes connections.
const STEP: Duration = Duration::from_millis(50);

/// What ends as soon as it runs gets this long, since it may have to wait for its turn.
const MOMENT: Duration = Duration::from_millis(500);
