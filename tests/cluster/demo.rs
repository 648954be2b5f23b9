//! The demo with three nodes, each in a process of its own; one of them is killed.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::process::{Process, example};
use crate::redis::Redis;

#[test]
fn three_nodes_are_one_chat_and_outlive_the_one_that_is_killed() {
    let Some(redis) = Redis::start() else { return };
    let start = |name: &str| {
        let mut command = Command::new(example("cluster_chat_server"));
        Process::listening(command.env("ZINX_CLUSTER", redis.url()).env("ZINX_NODENAME", name))
    };
    let nodes = ["one", "two", "three"].map(start);
    let expected = "Ann reads: welcome, ann\n\
                    Ann reads: ann has come\n\
                    Bob reads: welcome, bob\n\
                    Ann reads: bob has come\n\
                    Bob reads: bob has come\n\
                    Cid reads: welcome, cid\n\
                    Ann reads: cid has come\n\
                    Bob reads: cid has come\n\
                    Cid reads: cid has come\n\
                    Ann reads: bob says: hello, all\n\
                    Bob reads: bob says: hello, all\n\
                    Cid reads: bob says: hello, all\n\
                    Ann reads: cid whispers: psst\n\
                    Cid reads: dan is not here\n\
                    Ann's phone reads: welcome, ann\n\
                    Ann reads: the user has logged in on another connection\n\
                    Ann is disconnected\n\
                    Bob reads: ann has gone\n\
                    Cid reads: ann has gone\n";
    talk(&nodes.each_ref(), expected);
    let [one, two, three] = nodes;
    three.kill(Signal::KILL);
    drop(three);
    // Bob and Cid log in on other nodes than before.
    talk(&[&two, &one, &one], expected);
    for node in [one, two] {
        node.kill(Signal::TERM);
        let ended = node.end_within(LIMIT);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
}

fn talk(nodes: &[&Process; 3], expected: &str) {
    let mut command = Command::new(example("cluster_chat_client"));
    let client = Process::spawn(command.args(nodes.map(|node| node.address.to_string()))).end_within(LIMIT);
    assert_eq!(client.stdout, expected, "{}", client.stderr);
    assert!(client.status.success(), "client: {}", client.status);
}

const LIMIT: Duration = Duration::from_secs(30);
