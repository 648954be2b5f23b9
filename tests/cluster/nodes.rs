//! Servers that are nodes of one cluster, and peers that log in there.

use std::time::Duration;

use zinx::Config;
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{Cluster, Delivery};

use crate::common::{Peer, Running, config, frame, start_alone, wait_until};
use crate::redis::{Redis, words_of};

pub(crate) const LOGIN: u32 = 2;
pub(crate) const TOLD: u32 = 3;
pub(crate) const LOGOUT: u32 = 4;
pub(crate) const JOIN: u32 = 5;
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn config_of(url: &str, name: &str) -> Config {
    let mut config = config();
    (config.cluster, config.node_name) = (url.to_string(), name.to_string());
    config
}

/// A node on which peers log in, by a policy, and are told how it went.
pub(crate) fn node(redis: &Redis, name: &str, policy: OnDuplicate) -> Running {
    node_at(&redis.url(), name, policy)
}

pub(crate) fn node_at(url: &str, name: &str, policy: OnDuplicate) -> Running {
    node_with(config_of(url, name), policy)
}

pub(crate) fn node_with(config: Config, policy: OnDuplicate) -> Running {
    start_alone(config, |server| {
        let login = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            match conn.login(request.text()?, policy) {
                Ok(()) => conn.send_msg(TOLD, "in"),
                Err(Error::ConnectionClosed) => Ok(()),
                Err(error) => conn.send_msg(TOLD, error.to_string()),
            }
        };
        server.add_router(LOGIN, login).unwrap();
        let join = |request: &dyn IRequest| {
            request.get_connection().join_group("lobby")?;
            request.get_connection().send_msg(JOIN, "")
        };
        server.add_router(JOIN, join).unwrap();
        let logout = |request: &dyn IRequest| {
            let out = request.get_connection().logout();
            request.get_connection().send_msg(LOGOUT, out.to_string())
        };
        server.add_router(LOGOUT, logout).unwrap();
    })
}

pub(crate) fn three(redis: &Redis, policy: OnDuplicate) -> Vec<Running> {
    ["one", "two", "three"].map(|name| node(redis, name, policy)).into()
}

/// A peer that has tried to log in, and what it was told.
pub(crate) fn log_in(node: &Running, user: &str) -> (Peer, String) {
    let mut peer = node.connect();
    let told = tell_user(&mut peer, user);
    (peer, told)
}

/// Logs a peer in. Returns what it is told.
pub(crate) fn tell_user(peer: &mut Peer, user: &str) -> String {
    peer.send(&frame(LOGIN, user.as_bytes()));
    let (msg_id, told) = peer.read_frame();
    assert_eq!(msg_id, TOLD);
    String::from_utf8(told).unwrap()
}

/// The same. On a machine where even Redis waits for a second, it tries again.
pub(crate) fn tell_user_surely(peer: &mut Peer, user: &str) -> String {
    let mut told = tell_user(peer, user);
    while told.starts_with(UNREACHED) {
        told = tell_user(peer, user);
    }
    told
}

/// A peer that has logged in.
pub(crate) fn logged_in(node: &Running, user: &str) -> Peer {
    let mut peer = node.connect();
    assert_eq!(tell_user_surely(&mut peer, user), "in");
    peer
}

/// What the cluster answers. On a machine where even Redis waits for a second, it is asked again.
pub(crate) fn answered<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match ask() {
            Err(Error::ClusterUnavailable { .. }) => {}
            answer => return answer,
        }
    }
}

/// What becomes of a message. If Redis cannot be reached, it tries again: nothing was sent then.
pub(crate) fn push(cluster: &Cluster, user: &str, text: &str) -> Delivery {
    answered(|| cluster.user(user).push(TOLD, text)).unwrap()
}

/// Pushes a message to a user and checks that all of these peers, on which the user is logged in, get it. If Redis takes more than a
/// second to answer, nobody knows whether it was delivered. Then it is pushed again, with the next number at its end.
pub(crate) fn deliver<'a>(
    cluster: &Cluster,
    user: &str,
    data: &[u8],
    peers: impl IntoIterator<Item = &'a mut Peer>,
) {
    let numbered = |n: u8| [data, &[n]].concat();
    let deliver = |n: &u8| match cluster.user(user).push(TOLD, numbered(*n)) {
        Err(Error::ClusterUnavailable { .. }) | Ok(Delivery::Unknown) => false,
        other => other.unwrap() == Delivery::Delivered || panic!("not delivered"),
    };
    let last = (0..100).find(deliver).expect("one of a hundred is delivered");
    for peer in peers {
        let came =
            std::iter::repeat_with(|| peer.read_frame()).take_while(|came| *came != (TOLD, numbered(last)));
        came.for_each(|(id, came)| {
            assert!(id == TOLD && (0..last).any(|n| came == numbered(n)), "{id}, {came:?}");
        });
    }
}

/// How the error begins that says so.
pub(crate) const UNREACHED: &str = "the cluster cannot be reached";

#[test]
fn nodes_know_each_other_until_one_leaves() {
    let Some(redis) = Redis::start() else { return };
    let mut nodes = three(&redis, OnDuplicate::KickOld);
    let names = |node: &Running| {
        let nodes = answered(|| node.server.cluster().nodes()).unwrap();
        nodes.iter().map(|node| node.name().to_string()).collect::<Vec<_>>()
    };
    for node in &nodes {
        assert_eq!(names(node), ["one", "three", "two"]);
        let cluster = node.server.cluster();
        let nodes = answered(|| cluster.nodes()).unwrap();
        let this: Vec<_> = nodes.into_iter().filter(|node| node.is_this()).collect();
        assert_eq!((this.len(), this[0].name()), (1, &*cluster.node_name()));
    }
    // It leaves with its users.
    let _peer = logged_in(&nodes[2], "ann");
    let online = |node: &Running| answered(|| node.server.cluster().online(["ann", "bob"])).unwrap();
    assert_eq!(online(&nodes[0]), [true, false]);
    nodes.pop().unwrap().stop();
    assert_eq!(names(&nodes[0]), ["one", "two"]);
    assert_eq!(online(&nodes[0]), [false, false]);
    // Its place is free for a server of the same name.
    nodes.push(node(&redis, "three", OnDuplicate::KickOld));
    assert_eq!(names(&nodes[0]), ["one", "three", "two"]);
}

#[test]
fn a_start_that_cannot_join_says_why() {
    let Some(redis) = Redis::start() else { return };
    let started = |change: fn(&mut Config)| {
        let mut config = config_of(&redis.url(), "one");
        change(&mut config);
        let error = new_server_with_config(config).and_then(|server| server.start()).unwrap_err();
        error.to_string()
    };
    let nameless = started(|config| config.node_name.clear());
    assert!(nameless.starts_with("NodeName: found \"\", expected the name of this server"), "{nameless}");
    let other = started(|config| config.cluster = "http://localhost".to_string());
    assert!(other.starts_with("Cluster: found"), "{other}");
    // A password in it is shown to nobody.
    let mut config = config_of(&redis.url(), "one");
    config.cluster = "redis://ann:secret@localhost:6379/2".to_string();
    let values = config.values();
    let shown = values.iter().find(|value| value.key() == "Cluster").unwrap().value();
    assert_eq!(shown, "\"redis://(not shown)@localhost:6379/2\"");
}

#[cfg(feature = "admin")]
#[test]
fn a_start_that_fails_leaves_the_cluster() {
    let Some(redis) = Redis::start() else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config_of(&redis.url(), "one");
    config.admin = taken.local_addr().unwrap().to_string();
    let server = new_server_with_config(config).unwrap();
    let error = server.start().unwrap_err();
    assert!(!matches!(error, Error::ClusterUnavailable { .. }), "{error}");
    // While the server is still there.
    wait_until("the end of the lease", || redis.ask("EXISTS zinx:n:one") == ":0");
    node(&redis, "one", OnDuplicate::KickOld);
    drop(server);
}

#[test]
fn a_start_with_a_wrong_password_says_so_and_names_the_key() {
    let (Some(redis), Some(open)) = (Redis::start_with_password("secret"), Redis::start()) else { return };
    // It tries for a while: all three at a time.
    let failed = |user: &str, redis: &Redis| {
        let config = config_of(&redis.url().replace("redis://", &format!("redis://{user}")), "one");
        std::thread::spawn(|| new_server_with_config(config).and_then(|server| server.start()).unwrap_err())
    };
    let wrong = failed(":wrong@", &redis);
    let missing = failed("", &redis);
    let needless = failed(":secret@", &open);
    let how = "give it in Cluster: redis://:password@host:port/0";
    for (failed, begin, end) in [
        (wrong, "Redis has refused the password in Cluster: WRONGPASS ", how),
        (missing, "Redis wants a password, and Cluster has none: NOAUTH ", how),
        (needless, "Redis has no password, and Cluster has one: ERR ", ""),
    ] {
        let failed = failed.join().unwrap().to_string();
        assert!(failed.starts_with(&format!("{UNREACHED}: {begin}")) && failed.contains(end), "{failed}");
        assert!(!failed.contains("wrong@") && !failed.contains("secret"), "{failed}");
    }
    let right = config_of(&redis.url().replace("redis://", "redis://:secret@"), "one");
    node_with(right, OnDuplicate::KickOld);
}

#[test]
fn a_user_has_one_login_wherever_it_is_and_a_policy_may_refuse_the_second() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::KickOld);
    let first = logged_in(&nodes[0], "ann");
    // Redis drops it some day if its node is killed and she never comes back.
    assert!(redis.ask("PTTL zinx:u:{ann}")[1..].parse::<i64>().unwrap() > 0);
    let mut second = logged_in(&nodes[1], "ann");
    assert_eq!(nodes[0].close_reason(first.addr()), CloseReason::LoggedInElsewhere);
    second.check_echo();
    assert!(nodes[0].server.sessions().is_empty());
    let third = logged_in(&nodes[1], "ann");
    assert_eq!(nodes[1].close_reason(second.addr()), CloseReason::LoggedInElsewhere);
    drop(nodes);
    drop(third);
    let nodes = three(&redis, OnDuplicate::Reject);
    let mut first = logged_in(&nodes[0], "ann");
    let told = tell_user_surely(&mut nodes[1].connect(), "ann");
    assert!(told.starts_with("user \"ann\" is already logged in on connection"), "{told}");
    // A logout, or the end of the connection, makes room.
    first.send(&frame(LOGOUT, b""));
    assert_eq!(first.read_frame(), (LOGOUT, b"true".to_vec()));
    let is_offline =
        |at: usize| nodes[at].server.cluster().user("ann").is_online().is_ok_and(|online| !online);
    wait_until("the logout", || is_offline(2));
    let third = logged_in(&nodes[2], "ann");
    third.reset();
    wait_until("the end", || is_offline(0));
    logged_in(&nodes[0], "ann");
}

#[test]
fn with_multi_a_user_is_on_several_nodes_and_each_gets_what_is_pushed() {
    let Some(redis) = Redis::start() else { return };
    let nodes = three(&redis, OnDuplicate::Multi);
    let mut peers = [logged_in(&nodes[0], "ann"), logged_in(&nodes[1], "ann"), logged_in(&nodes[1], "ann")];
    for node in &nodes {
        deliver(&node.server.cluster(), "ann", b"hello", &mut peers);
    }
    for peer in &mut peers {
        peer.check_echo();
    }
}

#[test]
fn a_kick_for_an_older_login_does_not_hit_a_newer_one_of_the_same_connection() {
    let Some(redis) = Redis::start() else { return };
    let node = node(&redis, "one", OnDuplicate::KickOld);
    // The logins of a node are counted, those too that Redis has not answered in time.
    let number = || {
        let logins = words_of(redis.address(), "HKEYS zinx:u:{ann}");
        logins[0].rsplit_once('/').unwrap().1.parse::<u64>().unwrap()
    };
    let mut peer = logged_in(&node, "ann");
    let older = number();
    peer.send(&frame(LOGOUT, b""));
    assert_eq!(peer.read_frame(), (LOGOUT, b"true".to_vec()));
    assert_eq!(tell_user_surely(&mut peer, "ann"), "in");
    let (newer, conn) = (number(), node.conn(peer.addr()).get_conn_id());
    assert_ne!(older, newer);
    // As a node says it that has replaced a login.
    let incarnation = redis.ask_for_text("GET zinx:n:one");
    let kick = |login: u64, conn: u64, incarnation: &str| {
        redis.ask_for_text(&format!("XADD zinx:s:one * k x i {incarnation} l {login} c {conn}"))
    };
    kick(older, conn, &incarnation);
    kick(newer, conn + 1, &incarnation);
    kick(newer, conn, "x");
    // What came before this has been acted on by now.
    node.server.cluster().add_task(1, |_| Ok(Vec::new())).unwrap();
    let other = node_at(&redis.url(), "two", OnDuplicate::KickOld);
    answered(|| other.server.cluster().run_on("one", 1, "", LONG)).unwrap();
    peer.check_echo();
    kick(newer, conn, &incarnation);
    assert_eq!(node.close_reason(peer.addr()), CloseReason::LoggedInElsewhere);
    // In Redis it still stood, as one that was said again on a new link while the kick was on its way.
    wait_until("its end", || redis.ask("HLEN zinx:u:{ann}") == ":0");
}
