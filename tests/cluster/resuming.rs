//! A client that has lost its connection to one node comes back on another: the connection moves there, and nothing is lost or
//! doubled while the node that has it lives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{Cluster, Delivery};

use crate::common::phone::{Phone, WHOLE};
use crate::common::{Peer, Running, config, start_alone, wait_until};
use crate::nodes::{JOIN, LOGIN, TOLD};
use crate::redis::Redis;

const SAY: u32 = 20;
const SAID: u32 = 21;

/// What the nodes have handled, by user.
type Heard = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Nodes whose connections can be resumed, and what they hear.
struct Nodes {
    nodes: Vec<Running>,
    heard: Heard,
    /// The node that a phone connects to next.
    next: Arc<AtomicUsize>,
}

impl Nodes {
    fn start(urls: &[(&str, String)], workers: usize) -> Self {
        let heard = Heard::default();
        let nodes = urls.iter().map(|(name, url)| node(url, name, workers, &heard)).collect();
        Self { nodes, heard, next: Arc::default() }
    }

    fn two(redis: &Redis) -> Self {
        Self::start(&["one", "two"].map(|name| (name, redis.url())), 0)
    }

    fn address(&self, at: usize) -> SocketAddr {
        self.nodes[at].server.local_addr().unwrap()
    }

    /// A phone that is logged in and in a group, on the first node.
    fn phone(&self, user: &str) -> Phone {
        let addresses: Vec<_> = (0..self.nodes.len()).map(|at| self.address(at)).collect();
        let next = Arc::clone(&self.next);
        let mut phone = Phone::open_by(move || Peer::connect(addresses[next.load(Ordering::Acquire)]).stream);
        phone.send(LOGIN, user.as_bytes());
        assert_eq!(phone.receive(), (TOLD, b"in".to_vec()));
        phone.send(JOIN, b"");
        assert_eq!(phone.receive(), (JOIN, Vec::new()));
        phone
    }

    fn go_to(&self, at: usize) {
        self.next.store(at, Ordering::Release);
    }

    /// On which node the user is.
    fn nodes_of(&self, user: &str) -> Vec<usize> {
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
struct Pushed(Vec<(String, Option<Delivery>)>);

impl Pushed {
    fn push(&mut self, cluster: &Cluster, user: &str, text: String) -> Option<Delivery> {
        let delivery = cluster.user(user).push(TOLD, &text[..]).ok();
        self.0.push((text, delivery));
        delivery
    }

    /// Says the last word, until it is delivered.
    fn end(&mut self, cluster: &Cluster, user: &str) -> String {
        loop {
            let text = format!("end {}", self.0.len());
            if self.push(cluster, user, text.clone()) == Some(Delivery::Delivered) {
                return text;
            }
        }
    }

    /// What was delivered has come, once and in order; what is unknown not twice; nothing else has.
    fn check(&self, phone: &Phone) {
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
fn receive_until(phone: &mut Phone, last: (u32, Vec<u8>)) {
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
}

/// Comes back. On a machine where a node waits for a second, it tries again while it may.
fn come_back(phone: &mut Phone) {
    while phone.resume_cut(WHOLE).is_err() {}
}
