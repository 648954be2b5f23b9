//! Redis killed or paused: what is local goes on, what is not fails soon, and all is as before when it is back.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zinx::green::{self, Failed};
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::Delivery;

use crate::common::child::{as_child, is_child};
use crate::common::in_time::in_time;
use crate::common::process::SLACK;
use crate::common::{Peer, Running, frame, wait_until};
use crate::cutter::Cutter;
use crate::nodes::{
    JOIN, LOGIN, LOGOUT, LONG, TOLD, UNREACHED, answered, deliver, log_in, logged_in, node, node_at, push,
    tell_user, tell_user_surely, three,
};
use crate::redis::Redis;

/// Whether Redis is to be killed, and to begin again empty, or paused.
fn outage(kill: bool) {
    let Some(mut redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let (mut ann, mut bob) = (logged_in(&nodes[0], "ann"), logged_in(&nodes[1], "bob"));
    if kill {
        redis.kill();
    } else {
        redis.pause();
    }
    let cluster = nodes[0].server.cluster();
    // Sent from the node where the user is, it needs no other.
    assert_eq!(push(&cluster, "ann", "here"), Delivery::Delivered);
    assert_eq!(ann.read_frame(), (TOLD, b"here".to_vec()));
    ann.check_echo();
    bob.check_echo();
    // All else says so within a second.
    let begun = Instant::now();
    let pushed = cluster.user("bob").push(TOLD, "there");
    assert!(!matches!(pushed, Ok(Delivery::Delivered | Delivery::Offline)), "{pushed:?}");
    let (other, told) = log_in(&nodes[2], "eve");
    assert!(told.starts_with(UNREACHED), "{told}");
    let online = cluster.online(["bob"]);
    assert!(matches!(online, Err(Error::ClusterUnavailable { .. })), "{online:?}");
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    if kill {
        assert!(redis.run());
    } else {
        redis.go_on();
    }
    // The logins are there again, each once, and the one that failed is not among them.
    wait_until("the logins", || {
        let online = cluster.online(["ann", "bob", "eve"]);
        online.is_ok_and(|online| online == [true, true, false])
    });
    wait_until("a push", || {
        matches!(nodes[2].server.cluster().user("bob").push(TOLD, "back"), Ok(Delivery::Delivered))
    });
    loop {
        // What was unknown may have arrived before.
        match bob.read_frame() {
            (TOLD, text) if text == b"there" => {}
            other => break assert_eq!(other, (TOLD, b"back".to_vec())),
        }
    }
    // And a newer login still replaces an older one.
    let newer = logged_in(&nodes[2], "bob");
    assert_eq!(nodes[1].close_reason(bob.addr()), CloseReason::LoggedInElsewhere);
    drop((newer, other));
}

#[test]
fn redis_killed_and_back_empty_has_all_logins_again() {
    outage(true);
}

#[test]
fn redis_paused_holds_up_nobody_for_long() {
    outage(false);
}

#[test]
fn a_login_that_ends_during_an_outage_is_over_afterwards() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::Reject);
    let (mut ann, bob) = (logged_in(&nodes[0], "ann"), logged_in(&nodes[0], "bob"));
    redis.pause();
    let conn = nodes[0].conn(bob.addr());
    bob.reset();
    assert!(conn.wait_closed(LONG).unwrap());
    ann.send(&frame(LOGOUT, b""));
    assert_eq!(ann.read_frame(), (LOGOUT, b"true".to_vec()));
    redis.go_on();
    wait_until("the end of both", || {
        nodes[1].server.cluster().online(["ann", "bob"]).is_ok_and(|online| online == [false, false])
    });
    // Neither stands against a new one.
    logged_in(&nodes[1], "ann");
    logged_in(&nodes[2], "bob");
}

#[test]
fn of_two_logins_during_an_outage_the_newer_one_stays() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let other = nodes[1].server.cluster();
    let (ann, mut newer) = in_time(|| {
        let ann = logged_in(&nodes[0], "ann");
        // As if the lease of the first node had been over for a while: another node takes no notice of its logins.
        assert_eq!(redis.ask("DEL zinx:n:one"), ":1");
        let is_online = answered(|| other.user("ann").is_online()).unwrap();
        let pushed = push(&other, "ann", "x");
        let newer = logged_in(&nodes[1], "ann");
        if redis.ask("EXISTS zinx:n:one") == ":1" {
            // The first node has renewed it meanwhile, on a busy machine perhaps before the others were asked.
            drop((ann, newer));
            wait_until("the end of both", || nodes.iter().all(|node| node.server.sessions().is_empty()));
            return None;
        }
        assert_eq!((is_online, pushed), (false, Delivery::Offline));
        Some((ann, newer))
    });
    newer.check_echo();
    // The first node finds out when it renews its lease.
    assert_eq!(nodes[0].close_reason(ann.addr()), CloseReason::LoggedInElsewhere);
    deliver(&nodes[2].server.cluster(), "ann", b"x", [&mut newer]);
}

#[test]
fn the_users_of_a_killed_node_are_offline_when_its_lease_is_over() {
    const NAME: &str = "outages::the_users_of_a_killed_node_are_offline_when_its_lease_is_over";
    if is_child(NAME) {
        let node = node_at(&std::env::var(URL).unwrap(), "other", OnDuplicate::KickOld);
        println!("listening on {}", node.server.local_addr().unwrap());
        loop {
            std::thread::park();
        }
    }
    let Some(redis) = Redis::start() else { return };
    let survivor = node(&redis, "one", OnDuplicate::KickOld);
    let mut command = Command::new(std::env::current_exe().unwrap());
    as_child(&mut command, NAME).env(URL, redis.url()).stdout(Stdio::piped());
    let mut other = Killed(command.spawn().unwrap());
    let lines = BufReader::new(other.0.stdout.take().unwrap()).lines();
    let said = lines.map(Result::unwrap).find(|line| line.contains("listening on ")).unwrap();
    let mut peer = Peer::connect(said.split_once("listening on ").unwrap().1.parse().unwrap());
    assert_eq!(tell_user_surely(&mut peer, "ann"), "in");
    let cluster = survivor.server.cluster();
    deliver(&cluster, "ann", b"hello", [&mut peer]);
    drop(other);
    let begun = Instant::now();
    wait_until("the end of the lease", || match push(&cluster, "ann", "x") {
        Delivery::Offline => true,
        unknown => {
            assert_eq!(unknown, Delivery::Unknown);
            false
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(15) + SLACK, "{:?}", begun.elapsed());
    assert_eq!(answered(|| cluster.nodes()).unwrap().len(), 1);
    let mut again = logged_in(&survivor, "ann");
    assert_eq!(push(&cluster, "ann", "hello"), Delivery::Delivered);
    assert_eq!(again.read_frame(), (TOLD, b"hello".to_vec()));
}

#[test]
fn in_a_full_redis_logins_that_are_there_stay_and_new_ones_are_told_why() {
    let Some(redis) = Redis::start() else { return };
    let (cutter, nodes) = two(&redis);
    let mut ann = logged_in(&nodes[0], "ann");
    assert_eq!(redis.ask("CONFIG SET maxmemory 1"), "+OK");
    // The lease is renewed, as it is at once on a new link.
    assert_eq!(redis.ask("PEXPIRE zinx:n:one 9000"), ":1");
    cutter.cut();
    wait_until("a renewal", || redis.ask("PTTL zinx:n:one")[1..].parse::<i64>().unwrap() > 9000);
    wait_until("ann", || nodes[1].server.cluster().user("ann").is_online().unwrap_or_default());
    // Also one that was lost.
    assert_eq!(redis.ask("DEL zinx:n:one"), ":1");
    wait_until("the lease", || redis.ask("EXISTS zinx:n:one") == ":1");
    wait_until("ann", || nodes[1].server.cluster().user("ann").is_online().unwrap_or_default());
    let (mut bob, mut told) = log_in(&nodes[1], "bob");
    while told.starts_with(UNREACHED) && !told.contains("OOM") {
        // On a machine where even Redis waits for a second.
        told = tell_user(&mut bob, "bob");
    }
    assert!(told.starts_with(UNREACHED) && told.contains("OOM"), "{told}");
    // Nothing is sent to her, and that is said.
    let pushed = nodes[1].server.cluster().user("ann").push(TOLD, "x");
    assert!(matches!(pushed, Err(Error::ClusterUnavailable { .. })), "{pushed:?}");
    assert_eq!(redis.ask("CONFIG SET maxmemory 0"), "+OK");
    deliver(&nodes[1].server.cluster(), "ann", b"there?", [&mut ann]);
}

#[test]
fn a_logout_that_the_replica_that_takes_over_has_missed_counts_all_the_same() {
    let (Some(mut redis), Some(replica)) = (Redis::start(), Redis::start()) else { return };
    let (cutter, between) = (Cutter::start(redis.address()), Cutter::start(redis.address()));
    let port = between.url().rsplit_once(':').unwrap().1.to_string();
    assert_eq!(replica.ask(&format!("REPLICAOF 127.0.0.1 {port}")), "+OK");
    wait_until("the replica", || replica.is_in_sync());
    let node = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    let mut ann = logged_in(&node, "ann");
    wait_until("the login", || replica.ask("HLEN zinx:u:{ann}") == ":1");
    between.silence(true);
    ann.send(&frame(LOGOUT, b""));
    assert_eq!(ann.read_frame(), (LOGOUT, b"true".to_vec()));
    wait_until("the logout", || redis.ask("HLEN zinx:u:{ann}") == ":0");
    // The node knows by a renewal that Redis has heard of it.
    assert_eq!(redis.ask("PEXPIRE zinx:n:one 9000"), ":1");
    wait_until("a renewal", || redis.ask("PTTL zinx:n:one")[1..].parse::<i64>().unwrap() > 9000);
    wait_until("an answer", || node.server.cluster().online(["ann"]).is_ok());
    redis.kill();
    assert_eq!(replica.ask("REPLICAOF NO ONE"), "+OK");
    assert_eq!(replica.ask("HLEN zinx:u:{ann}"), ":1");
    cutter.lead_to(replica.address());
    wait_until("its end", || replica.ask("HLEN zinx:u:{ann}") == ":0");
    ann.check_echo();
}

#[test]
fn a_login_that_arrives_after_its_link_was_given_up_is_none() {
    let Some(redis) = Redis::start() else { return };
    let cutter = Cutter::start(redis.address());
    let node = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    let mut peer = node.connect();
    cutter.delay(Duration::from_secs(3));
    peer.send(&frame(LOGIN, b"ann"));
    wait_until("the login to be on its way", || cutter.has_delayed("{ann}"));
    cutter.delay(Duration::ZERO);
    cutter.hang_up();
    let (_, told) = peer.read_frame();
    assert!(told.starts_with(UNREACHED.as_bytes()), "{told:?}");
    wait_until("a new link", || node.server.cluster().stats().reconnects > 0);
    // The claim and what ends it are on different links, and the claim comes last.
    wait_until("what was on its way", || cutter.links() == 2);
    for _ in 0..10 {
        assert_eq!(redis.ask("PING"), "+PONG");
    }
    assert_eq!(redis.ask("HLEN zinx:u:{ann}"), ":0");
    let _ann = logged_in(&node, "ann");
    assert_eq!(redis.ask("HLEN zinx:u:{ann}"), ":1");
}

#[test]
fn a_login_that_is_cut_short_is_none() {
    let Some(redis) = Redis::start() else { return };
    let cutter = Cutter::start(redis.address());
    let node = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    let mut peer = node.connect();
    peer.check_echo();
    let conn = node.conn(peer.addr());
    let users = (0..).map(|n| format!("ann{n}"));
    let user = cut_short_in_time(&cutter, &conn, users);
    let (cluster, logins) = (node.server.cluster(), format!("HLEN zinx:u:{{{user}}}"));
    // Answered behind the claim.
    assert_eq!(answered(|| cluster.online([&user])).unwrap(), [false]);
    assert_eq!(redis.ask(&logins), ":0");
    assert_eq!(tell_user_surely(&mut peer, &user), "in");
    assert_eq!(redis.ask(&logins), ":1");
}

/// Kills a login while its claim stands still on its way to Redis. On a busy machine it may be given up, after a second, before it is
/// killed: then another tries, of the next user. Returns whose it was.
fn cut_short_in_time(
    cutter: &Cutter,
    conn: &Arc<dyn IConnection>,
    mut users: impl Iterator<Item = String>,
) -> String {
    in_time(|| {
        let user = users.next().unwrap();
        wait_until("the link", || conn.cluster().stats().is_connected);
        // Noted as it is delayed.
        cutter.delay(Duration::from_millis(1));
        cutter.silence(true);
        let (theirs, uid) = (Arc::clone(conn), user.clone());
        let login = green::spawn(move || theirs.login(uid, OnDuplicate::KickOld));
        wait_until("the login to be on its way", || {
            login.ready() || cutter.has_delayed(&format!("{{{user}}}"))
        });
        login.kill();
        cutter.delay(Duration::ZERO);
        cutter.silence(false);
        matches!(login.get(), Err(Failed::Killed)).then_some(user)
    })
}

#[test]
fn what_arrives_after_its_link_was_given_up_does_not_come_behind_newer_messages() {
    let Some(redis) = Redis::start() else { return };
    let (cutter, nodes) = two(&redis);
    let mut peer = logged_in(&nodes[1], "ann");
    peer.send(&frame(JOIN, b""));
    assert_eq!(peer.read_frame(), (JOIN, Vec::new()));
    let cluster = nodes[0].server.cluster();
    let tell = |n: u32| cluster.group("lobby").broadcast(TOLD, format!("number {n}")).unwrap().others_told;
    cutter.delay(Duration::from_secs(3));
    assert!((0..5).all(tell));
    wait_until("them to be on their way", || cutter.has_delayed("number 4"));
    cutter.delay(Duration::ZERO);
    cutter.hang_up();
    wait_until("a new link", || cluster.stats().reconnects > 0);
    assert_eq!(cluster.stats().entries_unsent, 5);
    wait_until("a newer message", || tell(5));
    assert_eq!(peer.read_frame(), (TOLD, b"number 5".to_vec()));
    wait_until("what was on its way", || cutter.links() == 2);
    wait_until("the last", || tell(6));
    assert_eq!(peer.read_frame(), (TOLD, b"number 6".to_vec()));
    peer.check_echo();
}

#[test]
fn what_is_not_sent_to_other_nodes_is_counted() {
    let Some(redis) = Redis::start() else { return };
    let (cutter, nodes) = two(&redis);
    let cluster = nodes[0].server.cluster();
    let told = || cluster.group("lobby").broadcast(TOLD, "x").unwrap().others_told;
    wait_until("the link", told);
    // Answered behind it, on the same link.
    wait_until("an answer", || cluster.online(["ann"]).is_ok());
    let before = cluster.stats().entries_unsent;
    // Sent, but never answered.
    cutter.silence(true);
    assert!(told());
    cutter.refuse(true);
    wait_until("the cut", || cluster.stats().entries_unsent == before + 1);
    assert!(!told());
    assert_eq!(cluster.stats().entries_unsent, before + 2);
}

#[test]
fn a_logout_that_redis_has_refused_is_said_again() {
    let Some(redis) = Redis::start() else { return };
    let node = node(&redis, "one", OnDuplicate::Reject);
    let mut ann = logged_in(&node, "ann");
    assert_eq!(redis.ask("CONFIG RESETSTAT"), "+OK");
    // For a moment it may not be written to, as if its replicas were away.
    assert_eq!(redis.ask("CONFIG SET min-replicas-to-write 1"), "+OK");
    ann.send(&frame(LOGOUT, b""));
    assert_eq!(ann.read_frame(), (LOGOUT, b"true".to_vec()));
    wait_until("a refusal", || redis.ask_for_all("INFO errorstats").contains("errorstat_"));
    assert_eq!(redis.ask("CONFIG SET min-replicas-to-write 0"), "+OK");
    wait_until("its end", || redis.ask("HLEN zinx:u:{ann}") == ":0");
    ann.check_echo();
}

#[test]
fn a_renewal_that_was_refused_does_not_end_the_link_to_the_next_redis() {
    in_time(|| {
        let (Some(redis), Some(next)) = (Redis::start(), Redis::start()) else { return Some(()) };
        let cutter = Cutter::start(redis.address());
        let node = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
        // It may not be written to, as one that is no longer the primary.
        assert_eq!(redis.ask("CONFIG RESETSTAT"), "+OK");
        assert_eq!(redis.ask("CONFIG SET min-replicas-to-write 1"), "+OK");
        wait_until("a refusal", || redis.ask_for_all("INFO errorstats").contains("errorstat_"));
        cutter.lead_to(next.address());
        wait_until("the lease", || next.ask("EXISTS zinx:n:one") == ":1");
        // On a machine where even Redis waits for a second, a link is left once more.
        (node.server.cluster().stats().reconnects == 1).then_some(())
    });
}

/// Two nodes; the first reaches Redis through a cutter.
fn two(redis: &Redis) -> (Cutter, [Running; 2]) {
    let cutter = Cutter::start(redis.address());
    let one = node_at(&cutter.url(), "one", OnDuplicate::KickOld);
    (cutter, [one, node(redis, "two", OnDuplicate::KickOld)])
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const URL: &str = "ZINX_TEST_REDIS";
