//! What one node asks of another: pushes, questions, kicks, tasks.

use std::sync::Arc;

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::Delivery;

use crate::common::{frame, wait_until};
use crate::costs::count;
use crate::nodes::{JOIN, LONG, TOLD, answered, deliver, logged_in, push, three};
use crate::redis::Redis;

const ASK: u32 = 10;
const ANSWER: u32 = 11;

#[test]
fn a_push_says_truly_what_has_become_of_it() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let mut peer = logged_in(&nodes[1], "ann");
    for (at, node) in nodes.iter().enumerate() {
        let cluster = node.server.cluster();
        assert_eq!(push(&cluster, "bob", "x"), Delivery::Offline);
        deliver(&cluster, "ann", at.to_string().as_bytes(), [&mut peer]);
    }
    // What a push carries is bytes.
    let data: Vec<u8> = (0..=255).cycle().take(3000).collect();
    deliver(&nodes[0].server.cluster(), "ann", &data, [&mut peer]);
    let conn = nodes[1].conn(peer.addr());
    let filling = vec![0; 4000];
    let push_much = || nodes[2].server.cluster().user("ann").push(9, &filling[..]);
    wait_until("a full queue", || {
        // Without a pause: a peer that takes nothing for ten seconds is closed.
        while conn.try_send_msg(9, &filling[..]).is_ok() {}
        matches!(push_much(), Ok(Delivery::Full))
    });
    peer.reset();
    wait_until("the end", || push(&nodes[2].server.cluster(), "ann", "x") == Delivery::Offline);
}

#[test]
fn pushes_from_many_at_once_arrive_once_each_and_those_of_one_sender_in_order() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let mut peer = logged_in(&nodes[0], "ann");
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let cluster = nodes[1 + sender as usize % 2].server.cluster();
            green::spawn(move || {
                let push =
                    |n: u32| cluster.user("ann").push(TOLD, [sender, n].map(u32::to_le_bytes).concat());
                // On a machine where even Redis waits for a second, some may be unknown, or not sent.
                (0..EACH).map(|n| matches!(push(n), Ok(Delivery::Delivered))).collect::<Vec<_>>()
            })
        })
        .collect();
    let told: Vec<_> = senders.into_iter().map(|sender| sender.get().unwrap()).collect();
    while push(&nodes[1].server.cluster(), "ann", "end") != Delivery::Delivered {}
    let mut seen = vec![Vec::new(); SENDERS as usize];
    loop {
        let (_, data) = peer.read_frame();
        if data == b"end" {
            break;
        }
        let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
        seen[word(0) as usize].push(word(4));
    }
    for (seen, told) in seen.iter().zip(&told) {
        assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        for (n, _) in told.iter().enumerate().filter(|(_, delivered)| **delivered) {
            assert!(seen.contains(&(n as u32)), "{n} of {seen:?}");
        }
    }
    let delivered = told.concat().into_iter().filter(|delivered| *delivered).count();
    assert!(delivered > (SENDERS * EACH) as usize / 2, "{delivered}");
}

#[test]
fn a_user_on_another_node_is_asked_and_kicked() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let cluster = nodes[0].server.cluster();
    let offline = answered(|| cluster.user("ann").call(ASK, "?", ANSWER, LONG));
    assert!(matches!(offline, Err(Error::UserOffline { .. })), "{offline:?}");
    let mut peer = logged_in(&nodes[2], "ann");
    let theirs = cluster.clone();
    let asks = std::thread::spawn(move || answered(|| theirs.user("ann").call(ASK, "ready?", ANSWER, LONG)));
    assert_eq!(peer.read_frame(), (ASK, b"ready?".to_vec()));
    peer.send(&frame(ANSWER, b"yes"));
    let answer = asks.join().unwrap().unwrap();
    assert!(answer.get_msg_id() == ANSWER && answer.get_data() == "yes");
    let late = answered(|| cluster.user("ann").call(ASK, "?", ANSWER, std::time::Duration::from_millis(50)));
    assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
    let mut tries = 0;
    let kicked = answered(|| {
        tries += 1;
        cluster.user("ann").kick()
    });
    // One that was not answered may have been heard.
    assert!(kicked.unwrap() || tries > 1);
    assert!(!answered(|| cluster.user("bob").kick()).unwrap());
    assert_eq!(nodes[2].close_reason(peer.addr()), CloseReason::Kicked);
}

#[test]
fn a_task_runs_on_another_node_and_its_answer_comes_back() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    for node in &nodes {
        let cluster = node.server.cluster();
        let name = cluster.node_name();
        let task = move |task: &zinx::znet::ClusterTask| match task.get_data() {
            data if data == "fail" => Err("not today".into()),
            data if data == "panic" => panic!("no"),
            data => Ok([name.as_bytes(), b" for ", task.from_node().as_bytes(), b": ", &data[..]].concat()),
        };
        cluster.add_task(7, task).unwrap();
    }
    let cluster = nodes[0].server.cluster();
    let run = |node: &str, task, data: &str| answered(|| cluster.run_on(node, task, data, LONG));
    for name in ["one", "two", "three"] {
        assert_eq!(run(name, 7, "x").unwrap(), format!("{name} for one: x").into_bytes());
    }
    assert_eq!(run("two", 7, "fail").unwrap_err().to_string(), "not today");
    assert_eq!(run("two", 7, "panic").unwrap_err().to_string(), "the task panicked: no");
    assert!(matches!(run("two", 8, "x"), Err(Error::TaskNotFound { task_id: 8 })));
    assert!(matches!(run("four", 7, "x"), Err(Error::NodeNotFound { .. })));
}

#[test]
fn a_broadcast_reaches_the_members_on_all_nodes_once_and_in_order() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let users = ["ann", "bob", "cid"];
    let mut peers: Vec<_> = nodes.iter().zip(users).map(|(node, user)| logged_in(node, user)).collect();
    let lobbies: Vec<_> = nodes.iter().map(|node| node.server.cluster().group("lobby")).collect();
    assert!(answered(|| lobbies[1].is_empty()).unwrap());
    for peer in &mut peers {
        peer.send(&frame(JOIN, b""));
        assert_eq!(peer.read_frame(), (JOIN, Vec::new()));
    }
    let members = answered(|| lobbies[1].members()).unwrap();
    let shown: Vec<_> = members.iter().map(|member| (member.node(), member.user().unwrap())).collect();
    assert_eq!(
        (shown, answered(|| lobbies[0].len()).unwrap()),
        (vec![("two", "bob"), ("one", "ann"), ("three", "cid")], 3)
    );
    for n in 0..MANY {
        let sent = lobbies[0].broadcast(TOLD, n.to_le_bytes()).unwrap();
        assert!(sent.here.queued == 1 && sent.others_told);
    }
    for peer in &mut peers {
        for n in 0..MANY {
            assert_eq!(peer.read_frame(), (TOLD, n.to_le_bytes().to_vec()));
        }
    }
    // One is left out, on the node that sends.
    let first = nodes[0].conn(peers[0].addr()).get_conn_id();
    assert_eq!(lobbies[0].broadcast_except(first, TOLD, "others").unwrap().here.queued, 0);
    for peer in &mut peers[1..] {
        assert_eq!(peer.read_frame(), (TOLD, b"others".to_vec()));
    }
    peers.iter_mut().for_each(|peer| peer.check_echo());
}

#[test]
fn each_node_asks_its_own_filter_and_everybody_can_be_told() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let users = ["ann", "bob", "cid"];
    let mut peers: Vec<_> = nodes.iter().zip(users).map(|(node, user)| logged_in(node, user)).collect();
    for peer in &mut peers {
        peer.send(&frame(JOIN, b""));
        assert_eq!(peer.read_frame(), (JOIN, Vec::new()));
    }
    let lobby = nodes[0].server.cluster().group("lobby");
    let without = lobby.broadcast_where(7, "ann", TOLD, "x");
    assert!(matches!(without, Err(Error::FilterNotFound { filter_id: 7 })), "{without:?}");
    for node in &nodes {
        let filter = |conn: &Arc<dyn IConnection>, about: &zinx::ziface::Data| {
            assert!(about != "panic");
            conn.get_user().is_some_and(|user| *about != *user)
        };
        node.server.cluster().add_filter(7, filter).unwrap();
        let again = node.server.cluster().add_filter(7, |_, _| true);
        assert!(matches!(again, Err(Error::RepeatedFilter { filter_id: 7 })), "{again:?}");
    }
    for (without, about) in users.iter().enumerate() {
        let sent = lobby.broadcast_where(7, *about, TOLD, *about).unwrap();
        assert_eq!((sent.here.queued, sent.others_told), (usize::from(without != 0), true));
    }
    // Nobody gets this, and all nodes go on.
    assert_eq!(lobby.broadcast_where(7, "panic", TOLD, "x").unwrap().here.queued, 0);
    for (peer, user) in peers.iter_mut().zip(users) {
        for about in users.iter().filter(|about| **about != user) {
            assert_eq!(peer.read_frame(), (TOLD, about.as_bytes().to_vec()));
        }
    }
    // Whatever groups they are in.
    nodes[1].conn(peers[1].addr()).leave_group("lobby");
    let sent = nodes[2].server.cluster().notify_all(TOLD, "all").unwrap();
    assert_eq!((sent.here.queued, sent.others_told), (1, true));
    for peer in &mut peers {
        assert_eq!(peer.read_frame(), (TOLD, b"all".to_vec()));
        peer.check_echo();
    }
}

#[cfg(feature = "admin")]
#[test]
fn the_admin_plane_shows_the_nodes_and_how_far_each_is_behind() {
    use std::io::{Read, Write};
    let Some(redis) = Redis::start() else { return };
    let mut config = crate::nodes::config_of(&redis.url(), "one");
    config.admin = "127.0.0.1:0".to_string();
    let one = crate::common::start_alone(config, |_| {});
    let cutter = crate::cutter::Cutter::start(redis.address());
    let two = crate::nodes::node_at(&cutter.url(), "two", OnDuplicate::KickOld);
    let get = |path: &str| {
        let mut plane = std::net::TcpStream::connect(one.server.admin_addr().unwrap()).unwrap();
        write!(plane, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        plane.read_to_string(&mut answer).unwrap();
        answer.split_whitespace().collect::<String>()
    };
    let lobby = one.server.cluster().group("lobby");
    lobby.broadcast(TOLD, "x").unwrap();
    wait_until("it to be read", || two.server.cluster().stats().entries_read == 1);
    // It reads no more, and says so when it renews its lease.
    cutter.silence(true);
    for _ in 0..5 {
        lobby.broadcast(TOLD, "x").unwrap();
    }
    wait_until("the lag", || {
        let state = get("/clusterz");
        let lag = |n| format!(r#"{{"name":"two","lag":{n}}}"#);
        // On a machine where even Redis waits for a second, it is said that it has not answered.
        let is_answered = state.contains(r#"{"name":"one","lag":0}"#) || state.contains(r#""problem":"#);
        assert!(state.contains(r#""node":"one""#) && is_answered, "{state}");
        state.contains(&lag(5)) || state.contains(&lag(6))
    });
    let metrics = get("/metrics");
    for metric in ["entries_total{outcome=\"unsent\"}0", "leases_lost_total0", "round_trip_seconds"] {
        assert!(metrics.contains(&format!("zinx_cluster_{metric}")), "{metric}: {metrics}");
    }
    cutter.silence(false);
    wait_until("all to be read", || two.server.cluster().stats().entries_read == 6);
}

#[test]
fn a_slow_redis_holds_up_a_list_of_the_nodes_for_a_second_at_most() {
    let Some(redis) = Redis::start() else { return };
    let cutter = crate::cutter::Cutter::start(redis.address());
    let one = crate::nodes::node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    assert_eq!(answered(|| one.server.cluster().nodes()).unwrap().len(), 1);
    // Each question is answered within a second, and two are not.
    cutter.delay(std::time::Duration::from_millis(350));
    let listed = one.server.cluster().nodes();
    assert!(matches!(listed, Err(Error::ClusterUnavailable { .. })), "{listed:?}");
}

#[test]
fn redis_forgets_what_has_been_read() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let lobby = nodes[0].server.cluster().group("lobby");
    let read = || nodes[1].server.cluster().stats().entries_read;
    // None, unless Redis waits for a second: then a link is made again.
    let unsent = || nodes[0].server.cluster().stats().entries_unsent;
    for n in 1..=5000 {
        wait_until("the link", || lobby.broadcast(TOLD, "x").unwrap().others_told);
        if n % 100 == 0 {
            wait_until("the entries", || read() + unsent() >= n);
        }
    }
    let len = || redis.ask("XLEN zinx:s:two")[1..].parse::<u32>().unwrap();
    wait_until("the end of most entries", || len() < 2500);
    // A node that leaves leaves no stream.
    drop(nodes);
    assert_eq!(len(), 0);
}

#[test]
fn redis_forgets_what_has_been_read_also_after_it_was_empty() {
    let Some(mut redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let lobby = nodes[0].server.cluster().group("lobby");
    let read = || nodes[1].server.cluster().stats().entries_read;
    let send = |count: usize| {
        let before = read();
        for n in 1..=count {
            wait_until("the link", || lobby.broadcast(TOLD, "x").unwrap().others_told);
            if n % 100 == 0 {
                // While Redis begins anew, one may be told to a link that has just ended.
                wait_until("most entries", || read() + 50 >= before + n);
            }
        }
    };
    send(3000);
    redis.kill();
    assert!(redis.run());
    wait_until("the node", || redis.ask("EXISTS zinx:n:two") == ":1");
    send(1500);
    wait_until("the end of most entries", || {
        redis.ask("XLEN zinx:s:two")[1..].parse::<u32>().unwrap() < 1000
    });
}

#[test]
fn a_stream_ends_with_its_node_also_if_that_is_killed_or_answered_too_late() {
    let Some(redis) = Redis::start() else { return };
    let mut nodes = three(&redis, OnDuplicate::KickOld);
    // Before anything was sent to it.
    assert!(redis.ask("PTTL zinx:s:one")[1..].parse::<i64>().unwrap() > 0);
    let (asked, go) = (Arc::new(green::Event::new()), Arc::new(green::Event::new()));
    let (asks, waits) = (Arc::clone(&asked), Arc::clone(&go));
    let task = move |_: &zinx::znet::ClusterTask| {
        asks.set();
        waits.wait();
        Ok(Vec::new())
    };
    nodes[1].server.cluster().add_task(1, task).unwrap();
    // Not sent if Redis cannot be reached just now, and not answered in time in any case.
    let late =
        answered(|| nodes[2].server.cluster().run_on("two", 1, "", std::time::Duration::from_millis(10)));
    assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
    assert!(asked.wait_timeout(LONG));
    nodes.pop().unwrap().stop();
    assert_eq!(redis.ask("EXISTS zinx:s:three"), ":0");
    let entries = count(&redis, "xadd");
    go.set();
    wait_until("the answer", || count(&redis, "xadd") > entries);
    assert_eq!(redis.ask("EXISTS zinx:s:three"), ":0");
}

const MANY: u32 = 300;
const SENDERS: u32 = 8;
const EACH: u32 = 100;
