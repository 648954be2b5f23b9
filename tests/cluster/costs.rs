//! What things cost Redis, in commands: how it grows with what a program does.

use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::znet::Delivery;

use crate::common::{Running, frame, wait_until};
use crate::nodes::{JOIN, LOGOUT, TOLD, UNREACHED, logged_in, push, tell_user, three};
use crate::redis::Redis;

/// How often Redis has run a command since the counts began, within scripts too.
pub(crate) fn count(redis: &Redis, command: &str) -> u64 {
    let stats = redis.ask_for_all("INFO commandstats");
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// What `body` costs: of each of these commands so many, and of scripts `scripts`, besides the renewals meanwhile.
fn costs(redis: &Redis, scripts: u64, commands: &[(&str, u64)], body: impl FnOnce() -> u64) {
    let before: Vec<_> = commands.iter().map(|(command, _)| count(redis, command)).collect();
    let (begun, scripts_before) = (Instant::now(), count(redis, "evalsha"));
    // On a machine where even Redis waits for a second, some are tried again.
    let again = body();
    for ((command, expected), before) in commands.iter().zip(before) {
        // Some are not waited for.
        wait_until(command, || count(redis, command) - before >= *expected);
        assert_eq!(count(redis, command) - before, *expected, "{command}");
    }
    wait_until("the scripts", || count(redis, "evalsha") - scripts_before >= scripts);
    let ran = count(redis, "evalsha") - scripts_before;
    let renewals = NODES * (begun.elapsed().as_secs() / 5 + 1);
    assert!((scripts..=scripts + renewals + again).contains(&ran), "{ran} scripts, not {scripts}");
}

#[test]
fn a_login_a_push_and_a_broadcast_cost_as_many_commands_as_is_said() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let mut peers: Vec<_> = (0..MANY).map(|_| nodes[0].connect()).collect();
    costs(&redis, MANY, &[], || {
        let mut again = 0;
        for (n, peer) in peers.iter_mut().enumerate() {
            while tell_user(peer, &format!("user{n}")).starts_with(UNREACHED) {
                again += 1;
            }
        }
        again
    });
    costs(&redis, 0, &[("hdel", MANY)], || {
        for peer in &mut peers {
            peer.send(&frame(LOGOUT, b""));
            assert_eq!(peer.read_frame(), (LOGOUT, b"true".to_vec()));
        }
        0
    });
    let mut ann = logged_in(&nodes[0], "ann");
    let pushes = |node: &Running| {
        for _ in 0..MANY {
            let delivery = push(&node.server.cluster(), "ann", "x");
            assert!(matches!(delivery, Delivery::Delivered | Delivery::Unknown), "{delivery:?}");
        }
        0
    };
    // One entry for the message, and one for the answer.
    costs(&redis, MANY, &[("xadd", 2 * MANY)], || pushes(&nodes[1]));
    costs(&redis, MANY, &[("xadd", 0)], || pushes(&nodes[0]));
    for _ in 0..2 * MANY {
        assert_eq!(ann.read_frame(), (TOLD, b"x".to_vec()));
    }
    ann.send(&frame(JOIN, b""));
    assert_eq!(ann.read_frame(), (JOIN, Vec::new()));
    // One entry for each other node, however many members there are.
    costs(&redis, MANY, &[("xadd", (NODES - 1) * MANY)], || {
        for _ in 0..MANY {
            nodes[1].server.cluster().group("lobby").broadcast(TOLD, "all").unwrap();
        }
        0
    });
    for _ in 0..MANY {
        assert_eq!(ann.read_frame(), (TOLD, b"all".to_vec()));
    }
}

#[test]
fn a_node_at_rest_costs_next_to_nothing() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let _peers: Vec<_> = (0..10).map(|n| logged_in(&nodes[n % 3], &format!("user{n}"))).collect();
    let (begun, scripts, reads) = (Instant::now(), count(&redis, "evalsha"), count(&redis, "xread"));
    let ran = || count(&redis, "evalsha") - scripts;
    wait_until("some renewals", || begun.elapsed() > Duration::from_secs(6) && ran() >= NODES);
    let (scripts, reads) = (ran(), count(&redis, "xread") - reads);
    // From before the counts to behind them.
    let seconds = begun.elapsed().as_secs();
    // However many users they have.
    assert!(scripts <= NODES * (seconds / 5 + 1), "{scripts} scripts in {seconds} s");
    assert!(reads <= NODES * (seconds / 2 + 1), "{reads} reads in {seconds} s");
}

const NODES: u64 = 3;
const MANY: u64 = 100;
