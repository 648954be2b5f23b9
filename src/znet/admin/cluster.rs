//! The cluster as this node sees it.

use serde::Serialize;

use crate::http::Response;
use crate::znet::server::core::Core;

#[derive(Serialize)]
struct State<S: Serialize> {
    node: String,
    /// Nothing if Redis cannot be reached: `problem` says why.
    nodes: Vec<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<S>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    /// Entries of its stream that it has not read.
    lag: u64,
}

/// The nodes with their lags, and what is counted here. Waits for Redis, for a second at most.
pub(super) fn state(core: &Core) -> Response {
    let node = core.node_name().to_string();
    let Some(remote) = core.talk().remote() else {
        let nodes = vec![Node { name: node.clone(), lag: 0 }];
        return Response::json(&State::<()> { node, nodes, problem: None, stats: None });
    };
    let (lags, problem) = match remote.lags() {
        Ok(lags) => (lags, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let nodes = lags.into_iter().map(|(name, lag)| Node { name, lag }).collect();
    Response::json(&State { node, nodes, problem, stats: Some(remote.stats()) })
}
