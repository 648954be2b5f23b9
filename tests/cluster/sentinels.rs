//! A Redis whose sentinels elect another: the nodes follow.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zinx::prelude::*;
use zinx::znet::Delivery;

use crate::common::in_time::in_time;
use crate::common::port::ReservedPort;
use crate::common::{Peer, Running, comes_true, wait_until};
use crate::nodes::{TOLD, logged_in, node_at, tell_user};
use crate::redis::{self, Redis};

/// A sentinel, killed at the end of the test. It watches a Redis as `chat`.
struct Sentinel {
    port: ReservedPort,
    folder: PathBuf,
    process: Child,
}

impl Sentinel {
    fn start(of: &Redis) -> Self {
        let port = ReservedPort::new();
        let name = format!("sentinel-{}-{}", std::process::id(), port.number());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor chat 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds chat 500\nsentinel failover-timeout chat 3000\n",
            port.number(),
            of.address().port()
        );
        // It writes into that what it learns.
        let file = folder.join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(&folder);
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sentinel = Self { port, folder, process };
        wait_until("the sentinel", || std::net::TcpStream::connect(sentinel.port.address).is_ok());
        sentinel
    }

    fn ask(&self, command: &str) -> String {
        redis::lines_of(self.port.address, command, 1)
    }

    /// A fact of the master, which stands behind its name.
    fn fact(&self, name: &str) -> Option<String> {
        let facts = redis::words_of(self.port.address, "SENTINEL MASTER chat");
        facts.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone())
    }

    /// The address of a cluster, with a sentinel in front that is not there.
    fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:1,{}/chat", self.port.address)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether this Redis has the login of a user of this node.
fn has_login(redis: &Redis, user: &str) -> bool {
    redis.ask(&format!("EXISTS zinx:u:{{{user}}}")) == ":1"
}

/// A Redis, its replica, their sentinel, two nodes and a user of the first. `None` if the replica has taken over: on a busy machine a
/// Redis may stand still for half a second, and is taken for dead.
fn watched(first: Redis) -> Option<(Redis, Redis, Sentinel, [Running; 2], Peer)> {
    let second = first.start_as_replica_of().unwrap();
    wait_until("the replica", || second.is_in_sync());
    let sentinel = Sentinel::start(&first);
    let has_replica = || sentinel.fact("num-slaves").is_some_and(|replicas| replicas == "1");
    wait_until("the sentinel knows the replica", has_replica);
    let nodes = ["one", "two"].map(|name| node_at(&sentinel.url(), name, OnDuplicate::KickOld));
    let ann = logged_in(&nodes[0], "ann");
    let is_first = sentinel.fact("port").is_some_and(|port| port == first.address().port().to_string());
    if !is_first {
        return None;
    }
    assert!(has_login(&first, "ann"));
    Some((first, second, sentinel, nodes, ann))
}

#[test]
fn a_failover_is_followed() {
    let mut redis = Redis::start();
    if redis.is_none() {
        return;
    }
    let (mut first, second, sentinel, nodes, mut ann) =
        in_time(|| watched(redis.take().or_else(Redis::start).unwrap()));
    first.kill();
    // A sentinel that has been held up for two seconds decides nothing for half a minute.
    let elected = || sentinel.fact("port").is_some_and(|port| port == second.address().port().to_string());
    assert!(comes_true(Duration::from_secs(100), elected), "there is no election");
    let mut bob = nodes[1].connect();
    wait_until("a login", || tell_user(&mut bob, "bob") == "in");
    // The other node may come there later, and only it brings what the replica had not been told yet.
    wait_until("both logins", || has_login(&second, "ann") && has_login(&second, "bob"));
    let said = || nodes[1].server.cluster().user("ann").push(TOLD, "after");
    wait_until("a push", || matches!(said(), Ok(Delivery::Delivered)));
    assert_eq!(ann.read_frame(), (TOLD, b"after".to_vec()));
}

#[test]
fn a_master_that_was_replaced_is_left_also_if_it_does_not_know() {
    let Some(first) = Redis::start() else { return };
    let second = Redis::start().unwrap();
    let sentinel = Sentinel::start(&first);
    let nodes = ["one", "two"].map(|name| node_at(&sentinel.url(), name, OnDuplicate::KickOld));
    let mut ann = logged_in(&nodes[0], "ann");
    // The first stays as it is: on both sides of a network that was cut, there is one that says it is the master.
    assert_eq!(sentinel.ask("SENTINEL REMOVE chat"), "+OK");
    let monitor = format!("SENTINEL MONITOR chat 127.0.0.1 {} 1", second.address().port());
    assert_eq!(sentinel.ask(&monitor), "+OK");
    wait_until("the login is there", || has_login(&second, "ann"));
    let said = || nodes[1].server.cluster().user("ann").push(TOLD, "after");
    wait_until("a push", || matches!(said(), Ok(Delivery::Delivered)));
    assert_eq!(ann.read_frame(), (TOLD, b"after".to_vec()));
    wait_until("nobody is at the first", || first.ask_for_all("CLIENT LIST").lines().count() == 1);
}
