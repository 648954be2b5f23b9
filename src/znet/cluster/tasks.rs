//! What a program does for other nodes, by the ids of its requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::green::drop_contained;
use crate::lock::Lock;
use crate::ziface::Data;

/// The requests that this server answers for the nodes of its cluster.
#[derive(Default)]
pub(crate) struct ClusterTasks(Lock<HashMap<u32, Arc<TaskHandler>>>);

/// Answers a request from a node.
pub(crate) type TaskHandler = dyn Fn(&ClusterTask) -> Result<Vec<u8>> + Send + Sync;

impl ClusterTasks {
    pub(super) fn add(&self, task_id: u32, handler: Arc<TaskHandler>) -> Result<()> {
        let mut tasks = self.0.lock();
        if tasks.contains_key(&task_id) {
            return Err(Error::RepeatedTask { task_id });
        }
        tasks.insert(task_id, handler);
        Ok(())
    }

    pub(super) fn find(&self, task_id: u32) -> Option<Arc<TaskHandler>> {
        self.0.lock().get(&task_id).cloned()
    }
}

/// The handlers are of the program, and dropped with the last handle of its server.
impl Drop for ClusterTasks {
    fn drop(&mut self) {
        let tasks = std::mem::take(self.0.get_mut());
        tasks.into_values().for_each(drop_contained);
    }
}

/// A request from a node of the cluster. See [`Cluster::add_task`](crate::znet::Cluster::add_task).
pub struct ClusterTask {
    from: Arc<str>,
    task_id: u32,
    data: Vec<u8>,
}

impl ClusterTask {
    pub(super) const fn new(from: Arc<str>, task_id: u32, data: Vec<u8>) -> Self {
        Self { from, task_id, data }
    }

    /// The name of the node that asks.
    pub fn from_node(&self) -> &str {
        &self.from
    }

    /// The id of the request.
    pub const fn task_id(&self) -> u32 {
        self.task_id
    }

    /// What it carries.
    pub fn get_data(&self) -> &Data {
        Data::new(&self.data)
    }
}

impl fmt::Debug for ClusterTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, task_id, data } = self;
        let mut shown = f.debug_struct("ClusterTask");
        shown.field("from_node", from).field("task_id", task_id).field("len", &data.len()).finish()
    }
}
