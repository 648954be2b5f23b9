//! The demo with three nodes, each in a process of its own; one of them is killed.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::comes_true;
use crate::common::in_time::in_time;
use crate::common::process::{Process, example};
use crate::nodes::UNREACHED;
use crate::redis::Redis;

#[test]
fn three_nodes_are_one_chat_and_outlive_the_one_that_is_killed() {
    in_time(|| {
        let Some(redis) = Redis::start() else { return Some(()) };
        let nodes = ["one", "two", "three"].map(|name| Process::listening(&mut node(&redis, name)));
        talk(&nodes.each_ref())?;
        let [one, two, three] = nodes;
        three.kill(Signal::KILL);
        drop(three);
        // Bob and Cid log in on other nodes than before.
        talk(&[&two, &one, &one])?;
        for node in [one, two] {
            node.kill(Signal::TERM);
            let ended = node.end_within(LIMIT);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        }
        Some(())
    });
}

/// The parser of the `redis` crate needs more stack than most handlers do.
#[test]
fn a_node_needs_no_larger_stacks_than_its_handlers_do() {
    in_time(|| {
        let Some(redis) = Redis::start() else { return Some(()) };
        let stack_bytes = if cfg!(debug_assertions) { 80 << 10 } else { 16 << 10 };
        let start =
            |name| Process::listening(node(&redis, name).env("ZINX_STACKBYTES", stack_bytes.to_string()));
        let [one, two] = ["one", "two"].map(start);
        talk(&[&one, &two, &one])
    });
}

fn node(redis: &Redis, name: &str) -> Command {
    let mut command = Command::new(example("cluster_chat_server"));
    command.env("ZINX_CLUSTER", redis.url()).env("ZINX_NODENAME", name);
    command
}

/// `None` if one of them was told that Redis, or another node, has not answered in time.
fn talk(nodes: &[&Process; 3]) -> Option<()> {
    let expected = include_str!("../data/cluster_chat.txt");
    let mut command = Command::new(example("cluster_chat_client"));
    let client = Process::spawn(command.args(nodes.map(|node| node.address.to_string())));
    let is_late = || [UNREACHED, "may not hear you"].iter().any(|words| client.printed().contains(words));
    // Then the client may wait for a line that does not come.
    comes_true(LIMIT, || is_late() || client.printed().lines().count() >= expected.lines().count());
    if is_late() {
        return None;
    }
    let client = client.end_within(LIMIT);
    assert_eq!(client.stdout, expected, "{}", client.stderr);
    assert!(client.status.success(), "client: {}", client.status);
    Some(())
}

const LIMIT: Duration = Duration::from_secs(30);
