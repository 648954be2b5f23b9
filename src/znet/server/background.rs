//! Tasks of a program that run beside the connections of a server, and end with it.

use super::life::Task;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::server::Server;
use crate::error::{Error, Result};
use crate::green::{Builder, Until};
use crate::ziface::sealed::Sealed;
use crate::ziface::{CloseReason, IContext};

impl Server {
    /// Runs a task beside the connections, in a coroutine of its own that ends with the server: a clock of the game, a
    /// clean-up, the report to a database. Given before the start it begins with the server, once that listens; given
    /// afterwards, at once. The name is for the log and for [`green::dump`](crate::green::dump).
    ///
    /// The task is given the server's context, which is done as soon as the server begins to stop. The stop goes on in
    /// this order: it closes the connections, whose handlers and stop hooks may still need the task; then it waits for the
    /// tasks, until `DrainMs` since the stop began are over; those that still run are killed, as by
    /// [`Coroutine::kill`](crate::green::Coroutine::kill), and named in the log. `serve` returns when all have ended, or half
    /// a second after that: one that computes is left behind. A second signal kills them at once. So a task that sleeps by
    /// [`wait_done_timeout`](IContext::wait_done_timeout) ends in time, and one that does not look at its
    /// context holds up the stop.
    ///
    /// What it sends to connections that are closing is an error, to a group a count. An error it returns and a panic are
    /// logged; the server goes on. The contract of [`green::spawn`](crate::green::spawn()) holds.
    ///
    /// # Errors
    ///
    /// [`Stopped`](Error::Stopped) once the server has been asked to stop, and [`Io`](Error::Io) if the machine has no
    /// room for a coroutine; before the start, that is an error of the start.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = new_server()?;
    /// let everybody = server.get_group("everybody");
    /// server.spawn("clock", move |context| {
    ///     // Once a second until the server stops.
    ///     while !context.wait_done_timeout(Duration::from_secs(1)) {
    ///         everybody.broadcast(100, "tick")?;
    ///     }
    ///     Ok(())
    /// })?;
    /// server.serve()
    /// # }
    /// ```
    #[doc(alias = "go")]
    pub fn spawn(
        &self,
        name: impl Into<Cow<'static, str>>,
        task: impl FnOnce(&dyn IContext) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.core().add_task(Task { name: name.into(), body: Box::new(task) })
    }

    /// What tells a coroutine of the program's own that the server ends: done as soon as the server begins to stop.
    /// [`spawn`](Self::spawn) gives it to its tasks.
    #[doc(alias = "Context")]
    pub fn context(&self) -> Arc<dyn IContext> {
        Arc::new(ServerContext(Arc::clone(self.core())))
    }
}

impl Core {
    /// Begins a task, or keeps it for the start.
    fn add_task(self: &Arc<Self>, task: Task) -> Result<()> {
        // Held meanwhile: a task that has begun is there when the stop waits for all.
        let mut life = self.life();
        if life.stopping {
            return Err(Error::Stopped);
        }
        if !life.started {
            life.tasks.push(task);
            return Ok(());
        }
        self.begin_task(task)
    }

    pub(crate) fn begin_task(self: &Arc<Self>, task: Task) -> Result<()> {
        let Task { name, body } = task;
        let (context, named) = (ServerContext(Arc::clone(self)), name.clone());
        let run = move || {
            if let Err(error) = body(&context) {
                log::warn!("task {named:?}: {error}");
            }
        };
        let begun = self.tasks().spawn(Builder::new().name(name.clone()), run);
        begun.map_err(|source| Error::io(format!("start the task {name:?}"), source))
    }

    /// Waits for the tasks. `false` if some still run at the deadline, or the stop must not wait any longer.
    pub(crate) fn wait_for_tasks(&self, deadline: Until) -> bool {
        if !self.tasks().is_empty() {
            log::info!("all connections are closed, waiting for {}", self.named_tasks());
        }
        self.join_in_time(self.tasks(), deadline)
    }

    /// Makes those that still run end at their next wait. `when` is for the log.
    pub(crate) fn kill_tasks(&self, when: &str) {
        if !self.tasks().is_empty() {
            log::warn!("killed{when}: {}", self.named_tasks());
            self.tasks().kill_timeout(Duration::ZERO);
        }
    }

    fn named_tasks(&self) -> String {
        let tasks = self.tasks().coroutines();
        let names: Vec<_> = tasks.iter().map(|task| format!("{:?}", task.name())).collect();
        format!("task {}", names.join(", "))
    }
}

/// What tells that a server ends.
struct ServerContext(Arc<Core>);

impl Sealed for ServerContext {}

impl IContext for ServerContext {
    fn is_done(&self) -> bool {
        self.0.stopping().is_set()
    }

    fn wait_done(&self) {
        self.0.stopping().wait();
    }

    fn wait_done_timeout(&self, timeout: Duration) -> bool {
        self.0.stopping().wait_timeout(timeout)
    }

    fn reason(&self) -> Option<CloseReason> {
        self.is_done().then(|| self.0.stop_reason().clone())
    }
}
