//! Typed payloads between nodes and to users: text, JSON and protobuf, the last two behind features.

#[cfg(any(feature = "json", feature = "protobuf"))]
use std::time::Duration;

#[cfg(any(feature = "json", feature = "protobuf"))]
use super::cluster::Cluster;
#[cfg(any(feature = "json", feature = "protobuf"))]
use super::delivery::Delivery;
#[cfg(any(feature = "json", feature = "protobuf"))]
use super::group::{ClusterBroadcast, ClusterGroup};
use super::tasks::ClusterTask;
#[cfg(any(feature = "json", feature = "protobuf"))]
use super::user::ClusterUser;
use crate::error::Result;
#[cfg(feature = "json")]
use crate::znet::route::payload::read_json;
#[cfg(feature = "protobuf")]
use crate::znet::route::payload::read_proto;
use crate::znet::route::payload::read_text;

impl ClusterTask {
    /// What it carries, read as text.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`](crate::Error::BadPayload) with the id of the task if it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        read_text(self.task_id(), self.get_data())
    }

    /// What it carries, read as JSON. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`](crate::Error::BadPayload) with the id of the task and the reason.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        read_json(self.task_id(), self.get_data())
    }

    /// What it carries, read as a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`](crate::Error::BadPayload) with the id of the task and the reason.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn proto<T: prost::Message + Default>(&self) -> Result<T> {
        read_proto(self.task_id(), self.get_data())
    }
}

#[cfg(feature = "json")]
impl Cluster {
    /// As [`add_task`](Self::add_task), for a value in JSON, answered by another. Feature `json`.
    ///
    /// A value that is not of this type is the asker's error, and `task` is not called.
    ///
    /// # Errors
    ///
    /// Those of [`add_task`](Self::add_task).
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn add_task_json<T: serde::de::DeserializeOwned, R: serde::Serialize>(
        &self,
        task_id: u32,
        task: impl Fn(T) -> Result<R> + Send + Sync + 'static,
    ) -> Result<()> {
        self.add_task(task_id, move |asked| Ok(serde_json::to_vec(&task(asked.json()?)?)?))
    }

    /// As [`run_on`](Self::run_on), of a value as JSON, answered by another. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`](crate::Error::Other) if the value has no JSON form, [`Error::BadPayload`](crate::Error::BadPayload) with
    /// the id of the task if the answer is not of this type, and those of [`run_on`](Self::run_on).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// const SUM: u32 = 1;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let server = new_server_with_config(Config::default())?;
    /// let cluster = server.cluster();
    /// cluster.add_task_json(SUM, |numbers: Vec<i64>| Ok(numbers.iter().sum::<i64>()))?;
    /// let sum: i64 = cluster.run_on_json(&cluster.node_name(), SUM, &[1, 2, 3], Duration::from_secs(1))?;
    /// assert_eq!(sum, 6);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn run_on_json<T: serde::Serialize + ?Sized, R: serde::de::DeserializeOwned>(
        &self,
        node: &str,
        task_id: u32,
        value: &T,
        timeout: Duration,
    ) -> Result<R> {
        read_json(task_id, &self.run_on(node, task_id, serde_json::to_vec(value)?, timeout)?)
    }
}

#[cfg(feature = "protobuf")]
impl Cluster {
    /// As [`add_task`](Self::add_task), for a message of protobuf, answered by another. Feature `protobuf`.
    ///
    /// One that is not of this type is the asker's error, and `task` is not called.
    ///
    /// # Errors
    ///
    /// Those of [`add_task`](Self::add_task).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn add_task_proto<T: prost::Message + Default, R: prost::Message>(
        &self,
        task_id: u32,
        task: impl Fn(T) -> Result<R> + Send + Sync + 'static,
    ) -> Result<()> {
        self.add_task(task_id, move |asked| Ok(task(asked.proto()?)?.encode_to_vec()))
    }

    /// As [`run_on`](Self::run_on), of a message of protobuf, answered by another. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`](crate::Error::BadPayload) with the id of the task if the answer is not of this type, and those of
    /// [`run_on`](Self::run_on).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn run_on_proto<T: prost::Message, R: prost::Message + Default>(
        &self,
        node: &str,
        task_id: u32,
        message: &T,
        timeout: Duration,
    ) -> Result<R> {
        read_proto(task_id, &self.run_on(node, task_id, message.encode_to_vec(), timeout)?)
    }
}

#[cfg(feature = "json")]
impl ClusterUser {
    /// As [`push`](Self::push), of a value as JSON. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`](crate::Error::Other) if the value has no JSON form, and those of [`push`](Self::push).
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn push_json<T: serde::Serialize + ?Sized>(&self, msg_id: u32, value: &T) -> Result<Delivery> {
        self.push(msg_id, serde_json::to_vec(value)?)
    }
}

#[cfg(feature = "protobuf")]
impl ClusterUser {
    /// As [`push`](Self::push), of a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn push_proto<T: prost::Message>(&self, msg_id: u32, message: &T) -> Result<Delivery> {
        self.push(msg_id, message.encode_to_vec())
    }
}

#[cfg(feature = "json")]
impl ClusterGroup {
    /// As [`broadcast`](Self::broadcast), of a value as JSON. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`](crate::Error::Other) if the value has no JSON form, and those of [`broadcast`](Self::broadcast).
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn broadcast_json<T: serde::Serialize + ?Sized>(
        &self,
        msg_id: u32,
        value: &T,
    ) -> Result<ClusterBroadcast> {
        self.broadcast(msg_id, serde_json::to_vec(value)?)
    }
}

#[cfg(feature = "protobuf")]
impl ClusterGroup {
    /// As [`broadcast`](Self::broadcast), of a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn broadcast_proto<T: prost::Message>(&self, msg_id: u32, message: &T) -> Result<ClusterBroadcast> {
        self.broadcast(msg_id, message.encode_to_vec())
    }
}
