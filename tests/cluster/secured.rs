//! A Redis that speaks TLS.

use std::thread;

use zinx::prelude::*;
use zinx::znet::Delivery;

use crate::common::Running;
use crate::nodes::{TOLD, config_of, logged_in, node_with, push};
use crate::redis::{Redis, pem};

fn url(redis: &Redis) -> String {
    format!("rediss://{}", redis.address())
}

#[test]
fn nodes_share_a_redis_over_tls() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let nodes = ["one", "two"].map(|name| {
        let mut config = config_of(&url(&redis), name);
        config.cluster_ca_file = pem("ca.pem");
        node_with(config, OnDuplicate::KickOld)
    });
    let mut ann = logged_in(&nodes[0], "ann");
    // More than one record holds, and than is encrypted at a time.
    for text in ["hello".to_string(), "x".repeat(100_000)] {
        push_to(&nodes[1], &text);
        assert_eq!(ann.read_frame(), (TOLD, text.into_bytes()));
    }
    // Many at a time, in both directions.
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| push_to(&nodes[1], "y")));
        }
    });
    for _ in 0..THREADS * EACH {
        assert_eq!(ann.read_frame(), (TOLD, b"y".to_vec()));
    }
}

/// On a machine where a node stands still for a second, it is not known in time that the message arrives; it does.
fn push_to(node: &Running, text: &str) {
    let said = push(&node.server.cluster(), "ann", text);
    assert!(matches!(said, Delivery::Delivered | Delivery::Unknown), "{said:?}");
}

const THREADS: usize = 8;
const EACH: usize = 50;

#[test]
fn a_redis_that_nobody_vouches_for_is_not_joined_and_a_file_that_is_none_is_named() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let failed = |file: &str| {
        let mut config = config_of(&url(&redis), "one");
        config.cluster_ca_file = pem(file);
        new_server_with_config(config).and_then(|server| server.start()).unwrap_err()
    };
    let missing = failed("none.pem").to_string();
    assert!(missing.contains("none.pem"), "{missing}");
    let stranger = failed("other_ca.pem");
    assert!(matches!(stranger, Error::ClusterUnavailable { .. }), "{stranger}");
    // A file to trust is refused if the URL asks for no TLS.
    let mut config = config_of(&url(&redis).replace("rediss", "redis"), "one");
    config.cluster_ca_file = pem("ca.pem");
    let plain = new_server_with_config(config).and_then(|server| server.start()).unwrap_err().to_string();
    assert!(plain.starts_with("ClusterCaFile: found"), "{plain}");
}
