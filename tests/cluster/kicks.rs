//! Kicks: a login that another one has replaced is counted once, and closes also if its kick gets lost; who logs in after a kick stays.

use std::sync::Arc;

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::CloseReason;

use crate::common::{frame, start_alone, wait_until};
use crate::nodes::{LOGIN, LONG, config_of, logged_in, node};
use crate::redis::{Redis, words_of};

#[test]
fn a_login_that_was_replaced_is_counted_once() {
    let Some(redis) = Redis::start() else { return };
    let go = Arc::new(green::Event::new());
    let waits = Arc::clone(&go);
    let node = start_alone(config_of(&redis.url(), "one"), |server| {
        let login = move |request: &dyn IRequest| {
            // On a machine where even Redis waits for a second, it tries again.
            while request.get_connection().login("ann", OnDuplicate::KickOld).is_err() {}
            // The connection does not end before this does.
            waits.wait_timeout(LONG);
            Ok(())
        };
        server.add_router(LOGIN, login).unwrap();
    });
    let mut peer = node.connect();
    peer.send(&frame(LOGIN, b""));
    wait_until("a login", || node.server.sessions().len() == 1);
    let conn = node.conn(peer.addr()).get_conn_id();
    let fields = words_of(redis.address(), "HKEYS zinx:u:{ann}");
    let (_, field) = fields[0].split_once('/').unwrap();
    let (incarnation, login) = field.split_once('/').unwrap();
    // As the kick and a look at all logins both say it. What comes before the last has been acted on once that is read.
    for kind in ["x", "x", "z"] {
        redis.ask_for_text(&format!("XADD zinx:s:one * k {kind} i {incarnation} l {login} c {conn}"));
    }
    wait_until("them", || node.server.cluster().stats().entries_read >= 3);
    assert_eq!(node.server.cluster().stats().logins_lost, 1);
    go.set();
    assert_eq!(node.close_reason(peer.addr()), CloseReason::LoggedInElsewhere);
}

#[test]
fn a_login_whose_kick_was_lost_closes_when_the_node_finds_the_gap() {
    let Some(redis) = Redis::start() else { return };
    let node = node(&redis, "one", OnDuplicate::KickOld);
    let ann = logged_in(&node, "ann");
    // In one step, of which the node reads nothing: a newer login on another node, and a kick that is gone before it is read.
    assert_eq!(redis.ask("SET zinx:n:two x"), "+OK");
    let replace = "redis.call('HDEL', KEYS[1], redis.call('HKEYS', KEYS[1])[1]) \
        redis.call('HSET', KEYS[1], 'two/x/1', '9000000000000000 1') \
        redis.call('XADD', KEYS[2], '*', 'k', 'x') return redis.call('XTRIM', KEYS[2], 'MAXLEN', 0)";
    assert_eq!(redis.ask(&format!("EVAL \"{replace}\" 2 zinx:u:{{ann}} zinx:s:one")), ":1");
    // The link for commands stays. That of the stream may be between two reads.
    wait_until("the end of the other link", || {
        let clients = redis.ask_for_all("CLIENT LIST");
        let Some(reads) = clients.lines().find(|client| client.contains(" cmd=xread ")) else { return false };
        let id = reads.split_once(' ').unwrap().0.strip_prefix("id=").unwrap();
        redis.ask(&format!("CLIENT KILL ID {id}")) == ":1"
    });
    assert_eq!(node.close_reason(ann.addr()), CloseReason::LoggedInElsewhere);
    wait_until("the count", || node.server.cluster().stats().logins_lost == 1);
    let stats = node.server.cluster().stats();
    assert_eq!((stats.entries_lost, stats.reconnects), (1, 0), "{stats:?}");
}

#[test]
fn a_user_who_logs_in_after_a_kick_stays() {
    let Some(redis) = Redis::start() else { return };
    let node = node(&redis, "one", OnDuplicate::KickOld);
    let mut ann = logged_in(&node, "ann");
    let logins = words_of(redis.address(), "HVALS zinx:u:{ann}");
    let generation: u64 = logins[0].split_once(' ').unwrap().0.parse().unwrap();
    let incarnation = redis.ask_for_text("GET zinx:n:one");
    // As a node says it that has kicked the user when this was the newest login.
    let tell = |kind: &str, newest: u64| {
        redis.ask_for_text(&format!("XADD zinx:s:one * k {kind} i {incarnation} u ann g {newest}"));
    };
    tell("o", generation - 1);
    tell("z", 0);
    // What comes before the last has been acted on by now.
    wait_until("them", || node.server.cluster().stats().entries_read >= 2);
    assert!(node.conn(ann.addr()).is_logged_in());
    ann.check_echo();
    tell("o", generation);
    assert_eq!(node.close_reason(ann.addr()), CloseReason::Kicked);
}
