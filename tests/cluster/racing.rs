//! Many logins at the same time, of one user on three nodes or of one connection: one stays.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::znet::Delivery;
use zinx::zpack::read_message;

use crate::common::{Peer, Running, frame, wait_until};
use crate::cutter::Cutter;
use crate::nodes::{LOGIN, TOLD, UNREACHED, node_at, push, three};
use crate::redis::Redis;

/// Has a hundred connections, on all nodes, log in at once. Returns what each was told, and the streams, still open.
fn race(nodes: &[Running]) -> Vec<(String, TcpStream)> {
    let go = Arc::new(green::Event::new());
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let (go, address) = (Arc::clone(&go), nodes[n % nodes.len()].server.local_addr().unwrap());
            green::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                go.wait();
                (&stream).write_all(&frame(LOGIN, b"ann")).unwrap();
                let message = read_message(&mut &stream, &new_data_pack(), 4096).unwrap().unwrap();
                (String::from_utf8(message.get_data().to_vec()).unwrap(), stream)
            })
        })
        .collect();
    go.set();
    racers.into_iter().map(|racer| racer.get().unwrap()).collect()
}

/// The connections that are logged in, on all nodes.
fn live(nodes: &[Running]) -> Vec<Arc<dyn IConnection>> {
    let all = nodes.iter().flat_map(|node| node.server.sessions().all_of("ann"));
    all.filter(|conn| conn.is_logged_in()).collect()
}

/// Races until so many rounds were over in which all logins were answered: on a machine where even Redis waits for a second, some are
/// not, and then there may be no winner.
fn rounds(policy: OnDuplicate, check: impl Fn(&[Running], &Redis, &[(String, TcpStream)])) {
    let Some(redis) = Redis::start() else { return };
    let all = std::env::var("ZINX_TEST_RACES").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for _ in 0..PARTS {
        let nodes = three(&redis, policy);
        let mut complete = 0;
        while complete < all / PARTS {
            let raced = race(&nodes);
            if raced.iter().any(|(told, _)| told.starts_with(UNREACHED)) {
                wait_until("no login too many", || {
                    let live = live(&nodes).len();
                    live <= 1 && redis.ask("HLEN zinx:u:{ann}") == format!(":{live}")
                });
            } else {
                check(&nodes, &redis, &raced);
                complete += 1;
            }
            drop(raced);
            wait_until("the end", || open(&nodes) == 0 && redis.ask("HLEN zinx:u:{ann}") == ":0");
        }
    }
}

#[test]
fn of_a_hundred_racing_logins_on_three_nodes_one_stays() {
    rounds(OnDuplicate::KickOld, |nodes, redis, raced| {
        assert!(raced.iter().all(|(told, _)| told == "in"), "{raced:?}");
        wait_until("one to stay", || live(nodes).len() == 1 && open(nodes) == 1);
        let winner = Arc::clone(&live(nodes)[0]);
        assert_eq!(redis.ask("HLEN zinx:u:{ann}"), ":1");
        // It is the one that all nodes reach.
        for node in nodes {
            let delivery = push(&node.server.cluster(), "ann", "you");
            assert!(matches!(delivery, Delivery::Delivered | Delivery::Unknown), "{delivery:?}");
        }
        // Peers of two nodes may have the same port.
        let ends = (winner.get_remote_addr(), winner.get_local_addr());
        let is_its = |stream: &TcpStream| (stream.local_addr().unwrap(), stream.peer_addr().unwrap()) == ends;
        let (_, stream) = raced.iter().find(|(_, stream)| is_its(stream)).unwrap();
        for _ in nodes {
            let message = read_message(&mut &*stream, &new_data_pack(), 4096).unwrap().unwrap();
            assert!(message.get_msg_id() == TOLD && message.get_data() == "you");
        }
    });
}

#[test]
fn of_a_hundred_racing_logins_one_is_not_refused() {
    rounds(OnDuplicate::Reject, |nodes, _, raced| {
        assert_eq!(raced.iter().filter(|(told, _)| told == "in").count(), 1, "{raced:?}");
        assert_eq!((live(nodes).len(), open(nodes)), (1, RACERS));
    });
}

#[test]
fn of_two_logins_of_one_connection_at_the_same_time_one_stays() {
    let Some(redis) = Redis::start() else { return };
    let cutter = Cutter::start(redis.address());
    let node = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    let logins = || ["ann", "bob"].map(|user| redis.ask(&format!("HLEN zinx:u:{{{user}}}")));
    for (users, policy) in [
        (["ann", "bob"], OnDuplicate::KickOld),
        (["ann", "ann"], OnDuplicate::Multi),
        (["ann", "ann"], OnDuplicate::KickOld),
    ] {
        let (mut peer, conn) = log_in_twice(&node, &cutter, users, policy);
        wait_until("one login", || {
            let is_one = |at: usize| logins()[at] == ":1" && logins()[1 - at] == ":0";
            let users = node.server.sessions().users();
            users.len() == 1
                && is_one(usize::from(*users[0] == *"bob"))
                && conn.get_user().as_ref() == users.first()
        });
        // If there is a kick, it is of a login that another one of the same connection has replaced.
        let read = || node.server.cluster().stats().entries_read;
        wait_until("a kick", || redis.ask("XLEN zinx:s:one") == format!(":{}", read()));
        peer.check_echo();
        assert!(conn.is_logged_in());
        drop(peer);
        wait_until("the end", || logins() == [":0", ":0"] && node.server.sessions().is_empty());
    }
}

/// A connection whose two logins are on their way at the same time. On a machine where even Redis waits for a second, it tries again.
fn log_in_twice(
    node: &Running,
    cutter: &Cutter,
    users: [&'static str; 2],
    policy: OnDuplicate,
) -> (Peer, Arc<dyn IConnection>) {
    loop {
        let mut peer = node.connect();
        peer.check_echo();
        let conn = node.conn(peer.addr());
        cutter.delay(ON_THEIR_WAY);
        let both = users.map(|user| {
            let conn = Arc::clone(&conn);
            green::spawn(move || conn.login(user, policy))
        });
        let both = both.map(|login| login.get().unwrap());
        cutter.delay(Duration::ZERO);
        if both.iter().all(Result::is_ok) {
            return (peer, conn);
        }
    }
}

fn open(nodes: &[Running]) -> usize {
    nodes.iter().map(|node| node.server.get_conn_mgr().len()).sum()
}

const RACERS: usize = 100;
/// `ZINX_TEST_RACES` has another number of them.
const ROUNDS: usize = 20;
/// Each with new nodes.
const PARTS: usize = 4;
const ON_THEIR_WAY: Duration = Duration::from_millis(100);
