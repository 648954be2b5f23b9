//! The links to Redis are cut again and again: what is said of a push stays true, and no login is left over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green;
use zinx::prelude::*;
use zinx::znet::Delivery;

use crate::common::random::{Random, with_seeds};
use crate::common::{Peer, Running, comes_true, frame, wait_until};
use crate::cutter::Cutter;
use crate::nodes::{JOIN, LOGIN, TOLD, logged_in, node_at};
use crate::redis::{Redis, words_of};

/// Three nodes, each behind a cutter of its own.
fn three(redis: &Redis) -> Vec<(Running, Cutter)> {
    let node = |name| {
        let cutter = Cutter::start(redis.address());
        (node_at(&cutter.url(), name, OnDuplicate::KickOld), cutter)
    };
    ["one", "two", "three"].map(node).into()
}

/// Cuts the links of one node after the other, at random, while `body` runs.
fn while_cutting(nodes: &[(Running, Cutter)], seed: u64, body: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(seed);
            while !done.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5 + random.below(100)));
                nodes[random.below(3) as usize].1.cut();
            }
        });
        body();
        done.store(true, Ordering::Release);
    });
}

/// What Redis and the nodes say of a user, for a test in which they do not come to agree.
fn what_is_known(user: &str, nodes: &[(Running, Cutter)], redis: &Redis) -> String {
    let logins = words_of(redis.address(), &format!("HGETALL zinx:u:{{{user}}}"));
    let known = nodes.iter().map(|(node, _)| {
        let sessions = node.server.sessions().all_of(user).into_iter();
        let sessions: Vec<_> = sessions.map(|conn| (conn.get_conn_id(), conn.get_close_reason())).collect();
        format!("{sessions:?} {:?}", node.server.cluster().stats())
    });
    format!("{user} in Redis: {logins:?}; on the nodes: {}", known.collect::<Vec<_>>().join("; "))
}

/// What the user's peer has read, until the end, and the peer: the end may have come although nobody knows that it was delivered. If
/// the peer went then, no later one would be delivered.
fn read_all(mut peer: Peer) -> thread::JoinHandle<(HashMap<u32, u32>, Peer)> {
    thread::spawn(move || {
        let mut counts = HashMap::new();
        loop {
            let (_, data) = peer.read_frame();
            let Ok(number) = data.as_slice().try_into().map(u32::from_le_bytes) else {
                return (counts, peer);
            };
            *counts.entry(number).or_default() += 1;
        }
    })
}

fn count_delivered(said: &[(u32, Option<Delivery>)]) -> usize {
    said.iter().filter(|(_, delivery)| *delivery == Some(Delivery::Delivered)).count()
}

#[test]
fn what_is_said_of_a_push_is_true_although_links_are_cut() {
    let Some(redis) = Redis::start() else { return };
    with_seeds(2, |seed| {
        let nodes = three(&redis);
        let arrived = read_all(logged_in(&nodes[1].0, "ann"));
        let said = Arc::new(Mutex::new(Vec::new()));
        while_cutting(&nodes, seed, || {
            let begun = Instant::now();
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (cluster, said) =
                        (nodes[sender as usize % 2 * 2].0.server.cluster(), Arc::clone(&said));
                    green::spawn(move || {
                        for n in 0.. {
                            // On a busy machine a link is cut again almost as soon as it is there: then it takes more of them.
                            let are_enough = || count_delivered(&said.lock().unwrap()) > ENOUGH;
                            if n >= EACH && (are_enough() || begun.elapsed() > HALF_A_MINUTE) {
                                break;
                            }
                            let number = n * SENDERS + sender;
                            let delivery = cluster.user("ann").push(TOLD, number.to_le_bytes()).ok();
                            said.lock().unwrap().push((number, delivery));
                            green::sleep(Duration::from_millis(10));
                        }
                    })
                })
                .collect();
            senders.into_iter().for_each(|sender| sender.get().unwrap());
        });
        let cluster = nodes[0].0.server.cluster();
        let mut last = None;
        let has_come = comes_true(HALF_A_MINUTE, || {
            last = Some(cluster.user("ann").push(TOLD, "end"));
            matches!(last, Some(Ok(Delivery::Delivered)))
        });
        assert!(has_come, "the end: {last:?}; {}", what_is_known("ann", &nodes, &redis));
        let ((arrived, _peer), said) = (arrived.join().unwrap(), said.lock().unwrap());
        for (n, delivery) in said.iter() {
            let count = arrived.get(n).copied().unwrap_or(0);
            match delivery {
                Some(Delivery::Delivered) => assert_eq!(count, 1, "{n} was delivered"),
                Some(Delivery::Unknown) => assert!(count <= 1, "{n} is unknown, and came {count} times"),
                // Redis could not be reached.
                None => assert_eq!(count, 0, "{n} was not sent"),
                other => panic!("{n}: {other:?}"),
            }
        }
        let delivered = count_delivered(&said);
        println!("{delivered} of {} were delivered", said.len());
        assert!(delivered > ENOUGH, "{delivered}");
    });
}

#[test]
fn no_login_is_left_over_although_links_are_cut() {
    let Some(redis) = Redis::start() else { return };
    with_seeds(2, |seed| {
        let nodes = three(&redis);
        let mut random = Random::new(seed);
        let mut peers = Vec::new();
        while_cutting(&nodes, seed, || {
            for _ in 0..LOGINS {
                let mut peer = nodes[random.below(3) as usize].0.connect();
                peer.send(&frame(LOGIN, format!("user{}", random.below(USERS)).as_bytes()));
                peers.push(peer);
                if random.below(3) == 0 {
                    let gone = random.below(peers.len() as u64) as usize;
                    drop(peers.swap_remove(gone));
                }
                thread::sleep(Duration::from_millis(random.below(15)));
            }
        });
        for user in (0..USERS).map(|user| format!("user{user}")) {
            let is_settled = || {
                let sessions = nodes.iter().flat_map(|(node, _)| node.server.sessions().all_of(&user));
                let live = sessions.filter(|conn| conn.is_logged_in()).count();
                live <= 1 && redis.ask(&format!("HLEN zinx:u:{{{user}}}")) == format!(":{live}")
            };
            // One login at most, and none that is over.
            assert!(comes_true(HALF_A_MINUTE, is_settled), "{}", what_is_known(&user, &nodes, &redis));
        }
    });
}

#[test]
fn what_a_node_did_not_read_in_time_is_counted_and_the_rest_arrives_in_order() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis);
    let (one, (two, cutter)) = (nodes[0].0.server.cluster(), &nodes[1]);
    let mut peer = logged_in(two, "ann");
    peer.send(&frame(JOIN, b""));
    assert_eq!(peer.read_frame(), (JOIN, Vec::new()));
    cutter.refuse(true);
    wait_until("the cut", || !two.server.cluster().stats().is_connected);
    for n in 0..50_u32 {
        assert!(one.group("lobby").broadcast(TOLD, n.to_le_bytes()).unwrap().others_told);
    }
    wait_until("the broadcasts", || redis.ask("XLEN zinx:s:two") == ":50");
    assert_eq!(redis.ask("XTRIM zinx:s:two MAXLEN 20"), ":30");
    cutter.refuse(false);
    for n in 30..50_u32 {
        assert_eq!(peer.read_frame(), (TOLD, n.to_le_bytes().to_vec()));
    }
    let stats = two.server.cluster().stats();
    assert_eq!((stats.entries_lost, stats.entries_read), (30, 20), "{stats:?}");
    wait_until("the link", || two.server.cluster().stats().is_connected);
    assert!(two.server.cluster().stats().reconnects > 0 && stats.logins_won == 1, "{stats:?}");
    peer.check_echo();
}

const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const SENDERS: u32 = 8;
const EACH: u32 = 50;
/// A tenth of them.
const ENOUGH: usize = (SENDERS * EACH / 10) as usize;
const USERS: u64 = 10;
const LOGINS: u64 = 200;
