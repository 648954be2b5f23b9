//! A client that has lost its connection to one node comes back on another: the connection moves there, and nothing is lost or
//! doubled while the node that has it lives.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{Cluster, Delivery};

use crate::common::in_time::in_time;
use crate::common::phone::{BYE, Phone, REFUSED, RESUME, WHOLE};
use crate::common::{Peer, Running, config, frame, start_alone, wait_until};
use crate::cutter::Cutter;
use crate::nodes::{JOIN, LOGIN, TOLD};
use crate::redis::Redis;

pub(crate) const SAY: u32 = 20;
pub(crate) const SAID: u32 = 21;

/// What the nodes have handled, by user.
pub(crate) type Heard = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Nodes whose connections can be resumed, and what they hear.
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Running>,
    pub(crate) heard: Heard,
    /// The node that a phone connects to next.
    next: Arc<AtomicUsize>,
}

impl Nodes {
    pub(crate) fn start(urls: &[(&str, String)], workers: usize) -> Self {
        let heard = Heard::default();
        let nodes = urls.iter().map(|(name, url)| node(url, name, workers, &heard)).collect();
        Self { nodes, heard, next: Arc::default() }
    }

    pub(crate) fn two(redis: &Redis) -> Self {
        Self::start(&["one", "two"].map(|name| (name, redis.url())), 0)
    }

    fn address(&self, at: usize) -> SocketAddr {
        self.nodes[at].server.local_addr().unwrap()
    }

    /// A phone that is logged in and in a group, on the first node.
    pub(crate) fn phone(&self, user: &str) -> Phone {
        let addresses: Vec<_> = (0..self.nodes.len()).map(|at| self.address(at)).collect();
        let next = Arc::clone(&self.next);
        let mut phone = Phone::open_by(move || Peer::connect(addresses[next.load(Ordering::Acquire)]).stream);
        // A link to Redis may be cut just now, or Redis slow.
        wait_until("a login", || {
            phone.send(LOGIN, user.as_bytes());
            phone.receive() == (TOLD, b"in".to_vec())
        });
        phone.send(JOIN, b"");
        assert_eq!(phone.receive(), (JOIN, Vec::new()));
        phone
    }

    pub(crate) fn go_to(&self, at: usize) {
        self.next.store(at, Ordering::Release);
    }

    /// On which node the user is.
    pub(crate) fn nodes_of(&self, user: &str) -> Vec<usize> {
        let is_there = |at: &usize| self.nodes[*at].server.sessions().by_user(user).is_some();
        (0..self.nodes.len()).filter(is_there).collect()
    }
}

fn node(url: &str, name: &str, workers: usize, heard: &Heard) -> Running {
    let mut config = config();
    (config.cluster, config.node_name) = (url.to_string(), name.to_string());
    (config.resume_ms, config.worker_pool_size) = (30_000, workers);
    start_alone(config, |server| {
        let login = |request: &dyn IRequest| {
            let conn = request.get_connection();
            let told = conn.login(request.text()?, OnDuplicate::KickOld);
            conn.send_msg(TOLD, told.map_or_else(|error| error.to_string(), |()| "in".to_string()))
        };
        server.add_router(LOGIN, login).unwrap();
        let join = |request: &dyn IRequest| {
            request.get_connection().join_group("lobby")?;
            request.get_connection().send_msg(JOIN, "")
        };
        server.add_router(JOIN, join).unwrap();
        let noted = Arc::clone(heard);
        let say = move |request: &dyn IRequest| {
            let (conn, data) = (request.get_connection(), request.get_data());
            let user = conn.get_user().ok_or("nobody")?.to_string();
            noted.lock().unwrap().entry(user).or_default().push(data[0]);
            conn.send_msg(SAID, data)
        };
        server.add_router(SAY, say).unwrap();
    })
}

/// Messages to a user, each with what was said of it.
#[derive(Default)]
pub(crate) struct Pushed(pub(crate) Vec<(String, Option<Delivery>)>);

impl Pushed {
    pub(crate) fn push(&mut self, cluster: &Cluster, user: &str, text: String) -> Option<Delivery> {
        let delivery = cluster.user(user).push(TOLD, &text[..]).ok();
        self.0.push((text, delivery));
        delivery
    }

    /// Says the last word, until it is delivered.
    pub(crate) fn end(&mut self, cluster: &Cluster, user: &str) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let text = format!("end {}", self.0.len());
            match self.push(cluster, user, text.clone()) {
                Some(Delivery::Delivered) => return text,
                said => assert!(Instant::now() < end, "{user} is not reached: {said:?}"),
            }
        }
    }

    /// What was delivered has come, once and in order; what is unknown not twice; nothing else has.
    pub(crate) fn check(&self, phone: &Phone) {
        let came: Vec<_> = phone.inbox.iter().filter(|(id, data)| *id == TOLD && data != b"in").collect();
        let count = |text: &str| came.iter().filter(|(_, data)| data == text.as_bytes()).count();
        let mut delivered = Vec::new();
        for (text, delivery) in &self.0 {
            match delivery {
                Some(Delivery::Delivered) => {
                    assert_eq!(count(text), 1, "{text:?} was delivered");
                    delivered.push(text.as_bytes());
                }
                // On a machine where Redis or a node waits for a second.
                Some(Delivery::Unknown) => assert!(count(text) <= 1, "{text:?}"),
                None | Some(Delivery::Offline) => assert_eq!(count(text), 0, "{text:?} was not sent"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        let in_order = came.iter().map(|(_, data)| &data[..]).filter(|data| delivered.contains(data));
        assert_eq!(in_order.collect::<Vec<_>>(), delivered);
    }
}

/// Receives up to a frame, and that.
pub(crate) fn receive_until(phone: &mut Phone, last: (u32, Vec<u8>)) {
    while phone.receive() != last {}
}

#[test]
fn a_client_that_comes_back_on_another_node_gets_what_it_has_missed() {
    let Some(redis) = Redis::start() else { return };
    let nodes = Nodes::two(&redis);
    let clusters = [0, 1].map(|at| nodes.nodes[at].server.cluster());
    let (mut phone, mut pushed) = (nodes.phone("ann"), Pushed::default());
    for round in 0..4_u8 {
        let (from, to) = (usize::from(round) % 2, usize::from(round + 1) % 2);
        phone.lose(round % 2 == 0);
        for (at, cluster) in clusters.iter().enumerate() {
            let delivery = pushed.push(cluster, "ann", format!("missed {round} {at}"));
            assert_ne!(delivery, Some(Delivery::Offline));
        }
        nodes.go_to(to);
        come_back(&mut phone);
        // It is the connection that it was, on the other node.
        phone.send(SAY, &[round]);
        receive_until(&mut phone, (SAID, vec![round]));
        wait_until("the end on the first node", || nodes.nodes_of("ann") == [to]);
        let conn = nodes.nodes[to].server.sessions().by_user("ann").unwrap();
        assert!(conn.is_logged_in() && conn.is_in_group("lobby") && conn.get_groups().len() == 1);
        for cluster in &clusters {
            let last = pushed.end(cluster, "ann");
            receive_until(&mut phone, (TOLD, last.into_bytes()));
        }
        let name = ["one", "two"][to].to_string();
        let moved = || nodes.nodes[from].reasons().contains(&CloseReason::Moved { node: name.clone() });
        wait_until("the stop hook of the first node", moved);
    }
    pushed.check(&phone);
    assert_eq!(nodes.heard.lock().unwrap()["ann"], [0, 1, 2, 3]);
    assert_eq!(redis.ask("HLEN zinx:u:{ann}"), ":1");
    // The login that moves still goes some day if she never comes back.
    assert!(redis.ask("PTTL zinx:u:{ann}")[1..].parse::<i64>().unwrap() > 0);
}

/// Comes back. If a node stands still for a second, it is to try again, or is told that its connection is gone, which is where it was.
fn come_back(phone: &mut Phone) {
    phone.may_be_refused = true;
    loop {
        let begun = Instant::now();
        if phone.resume_cut(WHOLE).is_ok() {
            break;
        }
        if let Some(why) = phone.refused.take() {
            assert!(why == GONE && begun.elapsed() > STALL, "{why} after {:?}", begun.elapsed());
        }
    }
    phone.may_be_refused = false;
}

/// Comes back and is refused. Returns why, once that is not that Redis has waited for a second.
fn why_refused(phone: &mut Phone) -> u8 {
    std::iter::repeat_with(|| phone.resume_refused()).find(|why| *why != BUSY).unwrap()
}

/// The frame by which a phone asks to resume.
fn asked(token: &[u8], received: usize) -> Vec<u8> {
    frame(RESUME, &[token, &(received as u64).to_le_bytes()].concat())
}

#[test]
fn if_its_node_is_gone_a_client_learns_so_within_a_second() {
    let Some(redis) = Redis::start() else { return };
    let cutter = Cutter::start(redis.address());
    let mut nodes = Nodes::start(&[("one", cutter.url()), ("two", redis.url())], 0);
    let mut phone = nodes.phone("ann");
    phone.lose(true);
    // For the others this node is alive, but it does not answer.
    cutter.refuse(true);
    nodes.go_to(1);
    in_time(|| {
        let begun = Instant::now();
        let why = phone.resume_refused();
        let took = begun.elapsed();
        if why == BUSY || took >= SOON {
            return None;
        }
        assert!(why == GONE && took > Duration::from_millis(900), "{why} after {took:?}");
        Some(())
    });
    // It is not lost for that: on its node it can be resumed, and from there it moves on.
    cutter.refuse(false);
    wait_until("the link", || nodes.nodes[0].server.cluster().stats().is_connected);
    come_back(&mut phone);
    phone.send(SAY, &[1]);
    assert_eq!(phone.receive(), (SAID, vec![1]));
    wait_until("the move", || nodes.nodes_of("ann") == [1]);
    // A node that has left is not asked.
    phone.lose(true);
    nodes.nodes.pop().unwrap().stop();
    nodes.go_to(0);
    assert_eq!(why_refused(&mut phone), GONE);
    let user = nodes.nodes[0].server.cluster().user("ann");
    wait_until("the end of the login", || user.is_online().is_ok_and(|is_online| !is_online));
}

#[test]
fn tokens_that_are_used_or_wrong_are_refused_on_every_node_and_do_no_harm() {
    let Some(redis) = Redis::start() else { return };
    let nodes = Nodes::start(&["one", "two", "three"].map(|name| (name, redis.url())), 0);
    let mut phone = nodes.phone("ann");
    let used = phone.token.clone();
    phone.lose(false);
    nodes.go_to(1);
    come_back(&mut phone);
    phone.send(SAY, &[1]);
    assert_eq!(phone.receive(), (SAID, vec![1]));
    let good = phone.token.clone();
    let mut wrong = good.clone();
    wrong[23] ^= 1;
    let first_frame = |at: usize, token: &[u8]| {
        let mut peer = nodes.nodes[at].connect();
        peer.send(&asked(token, 0));
        peer.read_frame()
    };
    for at in 0..3 {
        for (token, expected) in [(&used, USED), (&wrong, GONE)] {
            let why = loop {
                let begun = Instant::now();
                let (msg_id, data) = first_frame(at, token);
                assert_eq!(msg_id, REFUSED, "node {at}");
                // On a machine where Redis waits for a second, it is to try again; where a node does, it is gone.
                let is_late = data[0] == BUSY || data[0] == GONE && begun.elapsed() > STALL;
                if data[0] == expected || !is_late {
                    break data[0];
                }
            };
            assert_eq!(why, expected, "node {at}");
        }
    }
    // The connection is still the client's.
    phone.send(SAY, &[2]);
    assert_eq!(phone.receive(), (SAID, vec![2]));
    assert_eq!((nodes.nodes_of("ann"), phone.token == good), (vec![1], true));
}

#[test]
fn a_client_that_comes_back_on_two_nodes_at_once_has_one_connection() {
    let Some(redis) = Redis::start() else { return };
    let nodes = Nodes::start(&["one", "two", "three"].map(|name| (name, redis.url())), 0);
    let cluster = nodes.nodes[0].server.cluster();
    for round in 0..ROUNDS {
        let user = format!("user {round}");
        nodes.go_to(0);
        let (mut phone, mut pushed) = (nodes.phone(&user), Pushed::default());
        phone.lose(true);
        pushed.push(&cluster, &user, "missed".to_string());
        let ask = asked(&phone.token, phone.inbox.len());
        thread::scope(|scope| {
            for at in [1, 2, 1, 2] {
                let (nodes, ask) = (&nodes, &ask);
                scope.spawn(move || {
                    let mut peer = nodes.nodes[at].connect();
                    peer.send(ask);
                    // Another may have taken it over: then the end comes first.
                    let _ = peer.stream.read(&mut [0]);
                });
            }
        });
        nodes.go_to(round % 3);
        come_back(&mut phone);
        phone.send(SAY, &[1]);
        receive_until(&mut phone, (SAID, vec![1]));
        let last = pushed.end(&cluster, &user);
        receive_until(&mut phone, (TOLD, last.into_bytes()));
        pushed.check(&phone);
        wait_until("one connection", || nodes.nodes_of(&user) == [round % 3]);
        phone.write(&frame(BYE, b""));
    }
}

#[test]
fn what_a_program_gives_along_moves_with_a_connection() {
    let Some(redis) = Redis::start() else { return };
    let nodes = Nodes::two(&redis);
    for node in &nodes.nodes {
        let carry = node.server.cluster().carry(
            |conn| {
                Ok(conn
                    .get_property_as::<String>("room")
                    .map_or_else(Vec::new, |room| room.as_bytes().to_vec()))
            },
            |conn, data| {
                assert!(conn.is_in_group("lobby") && conn.is_logged_in());
                if data == b"bad" {
                    return Err("it cannot be read".into());
                }
                conn.set_property("room", Arc::new(String::from_utf8_lossy(data).into_owned()));
                Ok(())
            },
        );
        carry.unwrap();
        assert!(matches!(
            node.server.cluster().carry(|_| Ok(Vec::new()), |_, _| Ok(())),
            Err(Error::AlreadyStarted { .. })
        ));
    }
    let mut phone = nodes.phone("ann");
    let user = |at: usize| nodes.nodes[at].server.sessions().by_user("ann").unwrap();
    user(0).set_property("room", Arc::new("kitchen".to_string()));
    phone.lose(true);
    nodes.go_to(1);
    come_back(&mut phone);
    assert_eq!(user(1).get_property_as::<String>("room").unwrap().as_str(), "kitchen");
    // What cannot be read ends the connection, and the client knows.
    user(1).set_property("room", Arc::new("bad".to_string()));
    phone.lose(true);
    nodes.go_to(0);
    phone.may_be_refused = true;
    let why = loop {
        let begun = Instant::now();
        phone.resume_cut(WHOLE).unwrap_err();
        // Otherwise a node may have stood still, and it is where it was.
        if let Some(why) = phone.refused.take().filter(|_| begun.elapsed() < STALL) {
            break why;
        }
    };
    assert_eq!(why, GONE);
    wait_until("the end", || nodes.nodes_of("ann").is_empty() && redis.ask("HLEN zinx:u:{ann}") == ":0");
}

const ROUNDS: usize = 12;
const USED: u8 = 2;
pub(crate) const GONE: u8 = 3;
const BUSY: u8 = 7;
/// A node that is asked answers sooner, unless the machine stands still.
pub(crate) const STALL: Duration = Duration::from_millis(700);
/// A second, on a machine with other work.
const SOON: Duration = Duration::from_secs(5);
