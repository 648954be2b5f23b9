//! Requests of the program's own from node to node.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::tasks::{ClusterTask, TaskHandler};
use crate::error::{Error, Result};
use crate::green::{Builder, Event, Until, contain};
use crate::lock::Lock;
use crate::znet::route::aside::step_aside;
use crate::znet::server::core::Core;

impl Cluster {
    /// Sets what this node does when a node [asks for it](Self::run_on) under this id. It runs on a coroutine of its own; what it
    /// returns is the answer, an error and a panic are the asker's error.
    ///
    /// # Errors
    ///
    /// [`RepeatedTask`](Error::RepeatedTask) if the id has one.
    pub fn add_task(
        &self,
        task_id: u32,
        task: impl Fn(&ClusterTask) -> Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<()> {
        self.core.talk().cluster_tasks.add(task_id, Arc::new(task))
    }

    /// Has a node do what it has [set](Self::add_task) under this id, and waits for the answer. The node may be this one. What
    /// has begun goes on if the time is up before.
    ///
    /// # Errors
    ///
    /// [`NodeNotFound`](Error::NodeNotFound) and [`TaskNotFound`](Error::TaskNotFound) if there is none,
    /// [`TimedOut`](Error::TimedOut) if nothing came within `timeout`, and the task's own, of another node as its words;
    /// [`Panicked`](Error::Panicked) if it panicked; [`ClusterUnavailable`](Error::ClusterUnavailable) if Redis cannot be reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// const COUNT: u32 = 1;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = new_server_with_config(Config::default())?;
    /// let conns = server.get_conn_mgr();
    /// server.cluster().add_task(COUNT, move |_| Ok(conns.len().to_string().into_bytes()))?;
    /// for node in server.cluster().nodes()? {
    ///     let count = server.cluster().run_on(node.name(), COUNT, "", Duration::from_secs(1))?;
    ///     assert_eq!(count, b"0");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_on(
        &self,
        node: &str,
        task_id: u32,
        data: impl Into<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Vec<u8>> {
        let this = self.node_name();
        if *node == *this {
            return self.core.run_task(ClusterTask::new(this, task_id, data.into()), timeout);
        }
        let no_node = || Error::NodeNotFound { node: node.to_string() };
        let remote = self.core.talk().remote().ok_or_else(no_node)?;
        remote.run_on(node, task_id, &data.into(), timeout)
    }
}

impl Core {
    /// Runs a request on a coroutine of its own, and waits for what it says.
    fn run_task(&self, task: ClusterTask, timeout: Duration) -> Result<Vec<u8>> {
        let task_id = task.task_id();
        let handler = self.talk().cluster_tasks.find(task_id).ok_or(Error::TaskNotFound { task_id })?;
        let ours = Arc::new(Answer::default());
        let theirs = Arc::clone(&ours);
        let run = move || theirs.set(run_contained(&handler, &task));
        let begun = self.tasks().spawn(Builder::new().name("task of the cluster"), run);
        begun.map_err(|source| Error::io("start a task of the cluster", source))?;
        // Without another coroutine for the others, they wait too.
        drop(step_aside());
        ours.wait(timeout)
    }
}

#[cfg(feature = "redis")]
impl Core {
    /// Runs a request, on the coroutine that calls.
    pub(super) fn run_now(&self, task: &ClusterTask) -> Result<Vec<u8>> {
        let task_id = task.task_id();
        let handler = self.talk().cluster_tasks.find(task_id).ok_or(Error::TaskNotFound { task_id })?;
        run_contained(&handler, task)
    }
}

fn run_contained(handler: &Arc<TaskHandler>, task: &ClusterTask) -> Result<Vec<u8>> {
    contain(|| handler(task)).unwrap_or_else(|words| Err(Error::Panicked { what: "the task", words }))
}

/// What a request is answered, once.
#[derive(Default)]
struct Answer {
    said: Lock<Option<Result<Vec<u8>>>>,
    there: Event,
}

impl Answer {
    fn set(&self, said: Result<Vec<u8>>) {
        *self.said.lock() = Some(said);
        self.there.set();
    }

    fn wait(&self, timeout: Duration) -> Result<Vec<u8>> {
        // What has been running meanwhile counts, also if the process has not.
        let until = Until::after_running(timeout);
        while !until.is_over() && !self.there.wait_timeout(until.left().unwrap_or(Duration::MAX)) {}
        let said = self.said.lock().take();
        said.unwrap_or(Err(Error::TimedOut { what: "run_on", waited: timeout }))
    }
}
