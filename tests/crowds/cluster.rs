//! The cluster of one node: what works on many nodes works on one, under the same names.

use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::Delivery;

use crate::common::{Peer, Running, config, frame, start, wait_until};

const LOGIN: u32 = 2;
const TOLD: u32 = 3;
const ASK: u32 = 10;
const ANSWER: u32 = 11;
const LONG: Duration = Duration::from_secs(20);

/// A server on which peers log in and join a group.
fn running() -> Running {
    let mut config = config();
    config.node_name = "one".to_string();
    start(config, |server| {
        let login = |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.login(request.text()?, OnDuplicate::Multi)?;
            conn.join_group("lobby")?;
            conn.send_msg(TOLD, "in")
        };
        server.add_router(LOGIN, login).unwrap();
    })
}

fn logged_in(running: &Running, user: &str) -> Peer {
    let mut peer = running.connect();
    peer.send(&frame(LOGIN, user.as_bytes()));
    assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
    peer
}

#[test]
fn a_push_reaches_each_connection_of_the_user_and_says_so() {
    let running = running();
    let cluster = running.server.cluster();
    assert_eq!(cluster.user("ann").push(TOLD, "x").unwrap(), Delivery::Offline);
    let mut peers = [logged_in(&running, "ann"), logged_in(&running, "ann")];
    let mut other = logged_in(&running, "bob");
    assert_eq!(cluster.user("ann").push(TOLD, "hello").unwrap(), Delivery::Delivered);
    for peer in &mut peers {
        assert_eq!(peer.read_frame(), (TOLD, b"hello".to_vec()));
    }
    other.check_echo();
    assert_eq!(cluster.online(["ann", "eve", "bob"]).unwrap(), [true, false, true]);
    assert!(cluster.user("bob").is_online().unwrap() && !cluster.user("eve").is_online().unwrap());
    // The last connection gone, the user is offline.
    for peer in peers {
        let conn = running.conn(peer.addr());
        peer.finish();
        drop(peer);
        assert!(conn.wait_closed(LONG).unwrap());
    }
    assert_eq!(cluster.user("ann").push(TOLD, "x").unwrap(), Delivery::Offline);
}

#[test]
fn a_push_to_a_full_queue_does_not_wait_and_says_so() {
    let running = running();
    let peer = logged_in(&running, "ann");
    let conn = running.conn(peer.addr());
    let data = vec![0; 32 << 10];
    wait_until("a full queue", || conn.try_send_msg(9, data.as_slice()).is_err());
    let user = running.server.cluster().user("ann");
    wait_until("a full queue", || user.push(9, data.as_slice()).unwrap() == Delivery::Full);
    peer.reset();
}

#[test]
fn a_user_is_asked_and_kicked_wherever_he_is() {
    let running = running();
    let cluster = running.server.cluster();
    let offline = cluster.user("ann").call(ASK, "?", ANSWER, LONG);
    assert!(matches!(offline, Err(Error::UserOffline { uid }) if uid == "ann"));
    assert!(!cluster.user("ann").kick().unwrap());
    let mut peer = logged_in(&running, "ann");
    let asks = std::thread::spawn(move || {
        let answer = cluster.user("ann").call(ASK, "ready?", ANSWER, LONG);
        (answer.unwrap().get_data().to_vec(), cluster)
    });
    assert_eq!(peer.read_frame(), (ASK, b"ready?".to_vec()));
    peer.send(&frame(ANSWER, b"yes"));
    let (answer, cluster) = asks.join().unwrap();
    assert_eq!(answer, b"yes");
    assert!(cluster.user("ann").kick().unwrap());
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Kicked);
}

#[test]
fn a_group_of_the_cluster_is_that_of_the_server() {
    let running = running();
    let lobby = running.server.cluster().group("lobby");
    assert!(lobby.is_empty().unwrap());
    let mut peers = [logged_in(&running, "ann"), logged_in(&running, "bob")];
    let members = lobby.members().unwrap();
    let shown: Vec<_> = members.iter().map(|member| (member.node(), member.user().unwrap())).collect();
    assert_eq!((shown, lobby.len().unwrap()), (vec![("one", "ann"), ("one", "bob")], 2));
    let first = running.conn(peers[0].addr()).get_conn_id();
    assert_eq!(members[0].conn_id(), first);
    assert_eq!(lobby.broadcast_except(first, TOLD, "to bob").unwrap().here.queued, 1);
    let sent = lobby.broadcast(TOLD, "to all").unwrap();
    assert!(sent.here.queued == 2 && sent.others_told);
    assert_eq!(peers[0].read_frame(), (TOLD, b"to all".to_vec()));
    assert_eq!(peers[1].read_frame(), (TOLD, b"to bob".to_vec()));
    assert_eq!(peers[1].read_frame(), (TOLD, b"to all".to_vec()));
}

#[test]
fn a_task_runs_on_the_node_that_is_named_and_its_failure_is_the_callers_error() {
    let running = running();
    let cluster = running.server.cluster();
    let [node] = &cluster.nodes().unwrap()[..] else { panic!("one node") };
    assert!(node.is_this() && node.name() == "one" && *cluster.node_name() == *"one");
    cluster
        .add_task(1, |task| match task.get_data() {
            data if data == "fail" => Err("not today".into()),
            data if data == "panic" => panic!("no"),
            data => Ok([task.from_node().as_bytes(), b":", &data[..]].concat()),
        })
        .unwrap();
    assert!(matches!(cluster.add_task(1, |_| Ok(Vec::new())), Err(Error::RepeatedTask { task_id: 1 })));
    let run = |node: &str, task, data: &str| cluster.run_on(node, task, data, LONG);
    assert_eq!(run("one", 1, "x").unwrap(), b"one:x");
    assert_eq!(run("one", 1, "fail").unwrap_err().to_string(), "not today");
    assert_eq!(run("one", 1, "panic").unwrap_err().to_string(), "the task panicked: no");
    assert!(matches!(run("one", 2, "x"), Err(Error::TaskNotFound { task_id: 2 })));
    assert!(matches!(run("two", 1, "x"), Err(Error::NodeNotFound { node }) if node == "two"));
}

#[test]
fn without_a_name_of_its_own_a_node_has_that_of_its_server() {
    let server = new_server_with_config(config()).unwrap();
    assert_eq!(*server.cluster().node_name(), *server.server_name());
}

#[test]
fn a_filter_chooses_among_the_members_and_everybody_can_be_told() {
    let running = running();
    let cluster = running.server.cluster();
    let mut peers = ["ann", "bob"].map(|user| logged_in(&running, user));
    let mut stranger = running.connect();
    stranger.check_echo();
    cluster.add_filter(1, |conn, about| conn.get_user().is_some_and(|user| *about == *user)).unwrap();
    let lobby = cluster.group("lobby");
    let sent = lobby.broadcast_where(1, "bob", TOLD, "to bob").unwrap();
    assert!(sent.here.queued == 1 && sent.others_told, "{sent:?}");
    assert!(matches!(lobby.broadcast_where(2, "", TOLD, "x"), Err(Error::FilterNotFound { filter_id: 2 })));
    assert_eq!(cluster.notify_all(TOLD, "to all").unwrap().here.queued, 2);
    assert_eq!(peers[1].read_frame(), (TOLD, b"to bob".to_vec()));
    for peer in &mut peers {
        assert_eq!(peer.read_frame(), (TOLD, b"to all".to_vec()));
        peer.check_echo();
    }
    stranger.check_echo();
}
