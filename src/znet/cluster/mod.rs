//! Servers that work as one: their nodes, and the users and groups wherever they are connected.
//!
//! Not for messages to the connections of this server alone: those are in `people`.

// The programs' own requests from node to node, by their ids,
pub(super) mod tasks;

// and how they are run.
pub(super) mod run_on;

// What a program holds: the cluster,
pub(super) mod cluster;

// a user,
pub(super) mod user;

// and a group.
pub(super) mod group;
