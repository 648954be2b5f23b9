//! Connections that survive their node: it is cut off or killed, and their clients come back on another. Nothing is lost or doubled.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::{Event, sleep};
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{Delivery, Reconnect};

use crate::common::phone::{BYE, COUNT, Phone, WHOLE};
use crate::common::{Peer, Running, comes_true, config, frame, start_alone, wait_until};
use crate::cutter::Cutter;
use crate::nodes::config_of;
use crate::redis::{self, Redis};
use crate::resuming::{GONE, STALL};

const LOGIN: u32 = 2;
const JOIN: u32 = 3;
const LOGOUT: u32 = 4;
/// Survives its node without a login.
const KEEP: u32 = 5;
/// Asks the client, and says what it has answered.
const ASK: u32 = 10;
const QUESTION: u32 = 11;
const ANSWER: u32 = 12;
/// On the first node, its handler waits until the end of the test.
const HOLD: u32 = 13;
pub(crate) const SAY: u32 = 20;
pub(crate) const SAID: u32 = 21;
pub(crate) const PUSHED: u32 = 30;

/// What handlers have been called for, by node.
type Heard = Arc<Mutex<HashMap<String, Vec<u32>>>>;

/// What every node of these tests does, and those of `killed.rs`.
pub(crate) fn serve(server: &Server) {
    let login = |request: &dyn IRequest| {
        let conn = request.get_connection();
        let user = request.text()?;
        // On a machine where even Redis waits for a second, it is tried again.
        while let Err(error) = conn.login(user, OnDuplicate::KickOld).and_then(|()| conn.keep_durably()) {
            assert!(matches!(error, Error::ClusterUnavailable { .. }), "{error}");
            // It may have said so at once: others are to run meanwhile.
            sleep(Duration::from_millis(20));
        }
        conn.send_msg(LOGIN, "in")
    };
    server.add_router(LOGIN, login).unwrap();
    server
        .add_router(SAY, |request: &dyn IRequest| request.get_connection().send_msg(SAID, request.get_data()))
        .unwrap();
}

fn set_up(server: &Server, heard: &Heard, end: &Arc<Event>) {
    serve(server);
    server
        .add_router(JOIN, |request: &dyn IRequest| {
            request.get_connection().join_group(request.text()?)?;
            request.get_connection().send_msg(SAID, "joined")
        })
        .unwrap();
    server
        .add_router(LOGOUT, |request: &dyn IRequest| {
            request.get_connection().logout();
            request.get_connection().send_msg(SAID, "out")
        })
        .unwrap();
    server
        .add_router(KEEP, |request: &dyn IRequest| {
            let conn = request.get_connection();
            while let Err(error) = conn.keep_durably() {
                assert!(matches!(error, Error::ClusterUnavailable { .. }), "{error}");
                sleep(Duration::from_millis(20));
            }
            conn.send_msg(SAID, "kept")
        })
        .unwrap();
    let note = |heard: &Heard, conn: &dyn IConnection, msg_id| {
        let node = conn.cluster().node_name().to_string();
        heard.lock().unwrap().entry(node).or_default().push(msg_id);
    };
    let asks = Arc::clone(heard);
    server
        .add_router(ASK, move |request: &dyn IRequest| {
            let conn = request.get_connection();
            note(&asks, &**conn, ASK);
            let answer = conn.call(QUESTION, "", ANSWER, Duration::from_secs(60))?;
            conn.send_msg(SAID, answer.get_data())
        })
        .unwrap();
    let (holds, end) = (Arc::clone(heard), Arc::clone(end));
    server
        .add_router(HOLD, move |request: &dyn IRequest| {
            let conn = request.get_connection();
            note(&holds, &**conn, HOLD);
            if *conn.cluster().node_name() == *NAMES[0] {
                end.wait();
            }
            conn.send_msg(SAID, request.get_data())
        })
        .unwrap();
}

/// Nodes in this process, each behind a link that can be cut, and a phone that comes back to where it is sent.
struct World {
    cutters: Vec<Cutter>,
    nodes: Vec<Running>,
    at: Arc<AtomicUsize>,
    heard: Heard,
    end: Arc<Event>,
    redis: Redis,
}

impl World {
    fn start(count: usize) -> Option<Self> {
        Some(Self::on(Redis::start()?, count, |_| {}))
    }

    fn on(redis: Redis, count: usize, change: impl Fn(&mut Config)) -> Self {
        let cutters: Vec<_> = (0..count).map(|_| Cutter::start(redis.address())).collect();
        let (heard, end) = (Heard::default(), Arc::new(Event::new()));
        let node = |(n, cutter): (usize, &Cutter)| {
            let mut config = config_of(&cutter.url(), NAMES[n]);
            config.resume_ms = 60_000;
            change(&mut config);
            start_alone(config, |server| set_up(server, &heard, &end))
        };
        let nodes = cutters.iter().enumerate().map(node).collect();
        Self { cutters, nodes, at: Arc::default(), heard, end, redis }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.server.local_addr().unwrap()).collect()
    }

    /// A phone that is logged in, on the node where those come that come now.
    fn phone(&self, user: &str) -> Phone {
        phone(self.addresses(), &self.at, user)
    }

    /// A phone without a login, there.
    fn nobody(&self) -> Phone {
        let mut phone = open(self.addresses(), &self.at);
        phone.send(KEEP, b"");
        assert_eq!(phone.receive(), (SAID, b"kept".to_vec()));
        phone
    }

    fn go_to(&self, node: usize) {
        self.at.store(node, Ordering::Release);
    }

    /// The other nodes take it for dead. It knows nothing of that.
    fn cut_off(&self, node: usize) {
        self.cutters[node].refuse(true);
        self.redis.ask(&format!("DEL zinx:n:{}", NAMES[node]));
    }

    /// Pushes to her from a node. On a slow machine it is tried again, if nothing was sent or nobody knows what has become of it.
    /// Returns what was delivered: the text, and the number of the try.
    fn push(&self, node: usize, text: &str) -> String {
        let user = self.nodes[node].server.cluster().user("ann");
        let (mut tries, mut last) = (0, String::new());
        wait_until("a push", || {
            tries += 1;
            last = format!("{text} {tries}");
            let begun = Instant::now();
            match user.push(PUSHED, &last[..]) {
                Ok(Delivery::Delivered) => true,
                Ok(Delivery::Full) | Err(Error::ClusterUnavailable { .. }) => false,
                Ok(Delivery::Unknown) if begun.elapsed() > STALL => false,
                other => panic!("{last}: {other:?}"),
            }
        });
        last
    }

    fn keys(&self, pattern: &str) -> Vec<String> {
        redis::words_of(self.redis.address(), &format!("KEYS {pattern}"))
    }

    fn written_down(&self) -> usize {
        self.keys("zinx:d:*").len()
    }

    fn heard(&self, node: usize) -> Vec<u32> {
        self.heard.lock().unwrap().get(NAMES[node]).cloned().unwrap_or_default()
    }
}

/// Lets handlers go that wait for the end, or the nodes could not stop.
impl Drop for World {
    fn drop(&mut self) {
        self.end.set();
    }
}

/// A phone that is logged in, and comes back to where `at` says.
pub(crate) fn phone(addresses: Vec<SocketAddr>, at: &Arc<AtomicUsize>, user: &str) -> Phone {
    let mut phone = open(addresses, at);
    phone.send(LOGIN, user.as_bytes());
    assert_eq!(phone.receive(), (LOGIN, b"in".to_vec()));
    phone
}

fn open(addresses: Vec<SocketAddr>, at: &Arc<AtomicUsize>) -> Phone {
    let at = Arc::clone(at);
    Phone::open_by(move || Peer::connect(addresses[at.load(Ordering::Acquire)]).stream)
}

/// Comes back to a node, as soon as that can take it.
fn come_back(phone: &mut Phone, world: &World, node: usize) {
    world.go_to(node);
    phone.lose(false);
    wait_until("the phone is back", || phone.resume_cut(WHOLE).is_ok());
}

/// Comes back to a node, and is refused there.
fn come_in_vain(phone: &mut Phone, world: &World, node: usize) -> u8 {
    world.go_to(node);
    phone.lose(false);
    phone.may_be_refused = true;
    wait_until("the refusal", || phone.resume_cut(WHOLE).is_err() && phone.refused.is_some());
    phone.refused.unwrap()
}

fn say(phone: &mut Phone, number: u32) {
    phone.send(SAY, &number.to_le_bytes());
    assert_eq!(phone.receive(), (SAID, number.to_le_bytes().to_vec()));
}

/// Receives what was pushed. Returns how many earlier tries have come too.
fn hear(phone: &mut Phone, pushed: &str) -> usize {
    let (text, _) = pushed.rsplit_once(' ').unwrap();
    let mut earlier = 0;
    loop {
        let (msg_id, data) = phone.receive();
        let heard = String::from_utf8(data).unwrap();
        assert!(msg_id == PUSHED && heard.starts_with(text), "{msg_id}, {heard}, not {pushed}");
        if heard == pushed {
            return earlier;
        }
        earlier += 1;
    }
}

#[test]
fn taken_over_by_one_node_after_the_other_a_connection_goes_on() {
    let Some(world) = World::start(3) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    world.cut_off(0);
    // Its answer cannot be written down, so it does not leave, and the message is not handled as far as anybody knows.
    phone.send(SAY, &2_u32.to_le_bytes());
    come_back(&mut phone, &world, 1);
    assert_eq!(phone.receive(), (SAID, 2_u32.to_le_bytes().to_vec()));
    say(&mut phone, 3);
    world.cut_off(1);
    come_back(&mut phone, &world, 2);
    say(&mut phone, 4);
    let pushed = world.push(2, "to whom it has come");
    hear(&mut phone, &pushed);
    // Those that were cut off find that it is elsewhere.
    world.cutters.iter().for_each(|cutter| cutter.refuse(false));
    let logged_in = |node: usize| world.nodes[node].server.sessions().by_user("ann").is_some();
    wait_until("one login", || !logged_in(0) && !logged_in(1) && logged_in(2));
    say(&mut phone, 5);
    assert_eq!(world.written_down(), 1);
}

#[test]
fn a_node_that_was_taken_for_dead_says_where_its_connections_are() {
    let Some(world) = World::start(2) else { return };
    let mut phones = [world.phone("ann"), world.nobody()];
    // As if it had stood still until its lease was over: its link to Redis stays.
    world.redis.ask(&format!("DEL zinx:n:{}", NAMES[0]));
    phones.iter_mut().for_each(|phone| come_back(phone, &world, 1));
    wait_until("both are closed there", || world.nodes[0].reasons().len() == 2);
    let moved = CloseReason::Moved { node: NAMES[1].to_string() };
    assert_eq!(world.nodes[0].reasons(), [moved.clone(), moved]);
    assert_eq!(world.written_down(), 2);
    phones.iter_mut().for_each(|phone| say(phone, 1));
}

#[test]
fn a_connection_at_rest_that_redis_has_forgotten_is_written_down_again() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    // The link to Redis stays, and nothing is sent.
    assert_eq!(world.redis.ask("FLUSHALL"), "+OK");
    wait_until("it is written down again", || world.written_down() == 1);
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    say(&mut phone, 2);
}

#[test]
fn a_connection_whose_user_has_logged_in_again_is_not_taken_over() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    world.cut_off(0);
    world.go_to(1);
    let _newer = world.phone("ann");
    assert_eq!(come_in_vain(&mut phone, &world, 1), GONE);
}

#[test]
fn what_is_written_down_is_forgotten_when_the_connection_closes() {
    let Some(world) = World::start(1) else { return };
    let mut phones = ["ann", "bob"].map(|user| world.phone(user));
    assert_eq!(world.written_down(), 2);
    phones[0].write(&frame(BYE, b""));
    wait_until("the first is forgotten", || world.written_down() == 1);
    // Cut off at that moment, a node says it later.
    world.cutters[0].refuse(true);
    world.nodes[0].server.sessions().by_user("bob").unwrap().stop();
    wait_until("the end", || world.nodes[0].server.sessions().by_user("bob").is_none());
    assert_eq!(world.written_down(), 1);
    world.cutters[0].refuse(false);
    wait_until("both are", || world.written_down() == 0);
}

#[test]
fn a_client_learns_that_its_messages_are_handled_before_its_buffer_is_full() {
    let Some(world) = World::start(1) else { return };
    let mut phone = world.phone("ann");
    // Clients wait for that, and may keep no more than 64 KiB: these are few messages, and 20 KB.
    (0..5).for_each(|_| phone.send(SAY, &[1; 4000]));
    let count = loop {
        if let (COUNT, data) = phone.read_frame() {
            break u64::from_le_bytes(data.try_into().unwrap());
        }
    };
    assert!((1..=6).contains(&count), "{count}");
}

#[test]
fn while_redis_stands_still_frames_wait_and_none_is_lost() {
    let Some(world) = World::start(1) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 0);
    for pause in [300, 2500].map(Duration::from_millis) {
        world.redis.pause();
        (1..=50_u32).for_each(|n| phone.send(SAY, &n.to_le_bytes()));
        thread::sleep(pause);
        world.redis.go_on();
        for n in 1..=50_u32 {
            assert_eq!(phone.receive(), (SAID, n.to_le_bytes().to_vec()));
        }
    }
    // Cut, they wait for the next link.
    world.cutters[0].cut();
    (1..=50_u32).for_each(|n| say(&mut phone, n));
    come_back(&mut phone, &world, 0);
    say(&mut phone, 51);
}

#[test]
fn a_message_that_a_handler_has_kept_for_later_is_handled_on_the_other_node() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    phone.send(ASK, b"");
    assert_eq!(phone.receive(), (QUESTION, Vec::new()));
    // While the first handler waits for its answer, this is kept; its own handler begins and does not return.
    phone.send(HOLD, b"kept");
    phone.send(ANSWER, b"yes");
    assert_eq!(phone.receive(), (SAID, b"yes".to_vec()));
    wait_until("the second handler", || world.heard(0) == [ASK, HOLD]);
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    assert_eq!(phone.receive(), (SAID, b"kept".to_vec()));
    assert_eq!(world.heard(1), [HOLD]);
}

#[test]
fn a_client_that_loses_its_socket_within_a_handler_is_handled_once_on_its_node() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    phone.send(ASK, b"");
    assert_eq!(phone.receive(), (QUESTION, Vec::new()));
    // It sends its message again, since Redis does not know that it is handled.
    come_back(&mut phone, &world, 0);
    phone.send(ANSWER, b"yes");
    assert_eq!(phone.receive(), (SAID, b"yes".to_vec()));
    say(&mut phone, 1);
    assert_eq!(world.heard(0), [ASK]);
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    say(&mut phone, 2);
    assert_eq!((world.heard(1), phone.inbox.len()), (vec![], 5));
}

#[test]
fn killed_in_the_middle_of_a_handler_that_waits_a_node_leaves_it_to_another() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    phone.send(ASK, b"");
    assert_eq!(phone.receive(), (QUESTION, Vec::new()));
    // The socket is lost and found in the middle of it; what the client has sent is still not forgotten by it.
    come_back(&mut phone, &world, 0);
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    // It begins again.
    assert_eq!(phone.receive(), (QUESTION, Vec::new()));
    phone.send(ANSWER, b"yes");
    assert_eq!(phone.receive(), (SAID, b"yes".to_vec()));
    assert_eq!((world.heard(0), world.heard(1)), (vec![ASK], vec![ASK]));
}

#[test]
fn the_login_and_the_groups_of_a_connection_may_change() {
    let Some(world) = World::start(3) else { return };
    let mut phone = world.phone("ann");
    for group in ["lobby", "kitchen"] {
        phone.send(JOIN, group.as_bytes());
        assert_eq!(phone.receive(), (SAID, b"joined".to_vec()));
    }
    world.nodes[0].server.sessions().by_user("ann").unwrap().leave_group("lobby");
    say(&mut phone, 1);
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    let ann = world.nodes[1].server.sessions().by_user("ann").unwrap();
    assert_eq!(ann.get_groups().iter().map(|name| &**name).collect::<Vec<_>>(), ["kitchen"]);
    phone.send(LOGOUT, b"");
    assert_eq!(phone.receive(), (SAID, b"out".to_vec()));
    world.cut_off(1);
    come_back(&mut phone, &world, 2);
    say(&mut phone, 2);
    assert!(world.nodes[2].server.sessions().is_empty());
    assert_eq!(world.nodes[2].server.get_group("kitchen").len(), 1);
}

#[test]
fn a_node_that_dies_while_it_gives_a_connection_away_loses_nothing_of_it() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    phone.lose(false);
    let missed = world.push(1, "missed");
    world.go_to(1);
    // Slow enough to be killed between the step in Redis and what it sends after that.
    world.cutters[0].delay(Duration::from_millis(150));
    wait_until("the nodes change over", || {
        phone.ask_to_resume();
        comes_true(Duration::from_secs(2), || !world.keys("zinx:w:*").is_empty())
    });
    world.cut_off(0);
    world.cutters[0].delay(Duration::ZERO);
    come_back(&mut phone, &world, 1);
    let mut tries = hear(&mut phone, &missed);
    let after = world.push(1, "after that");
    tries += hear(&mut phone, &after);
    say(&mut phone, 2);
    assert_eq!((world.written_down(), phone.inbox.len() - tries), (1, 5));
}

#[test]
fn the_node_that_takes_a_connection_over_may_lose_redis_in_that_moment() {
    let Some(world) = World::start(2) else { return };
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    let before = world.push(1, "before");
    let mut tries = hear(&mut phone, &before);
    world.cut_off(0);
    phone.lose(false);
    world.go_to(1);
    world.cutters[1].delay(Duration::from_millis(150));
    wait_until("the step in Redis", || {
        phone.ask_to_resume();
        comes_true(Duration::from_secs(2), || !world.keys("zinx:w:*").is_empty())
    });
    // Its answer is lost, and so is the connection for longer than a request waits.
    world.cutters[1].refuse(true);
    world.cutters[1].delay(Duration::ZERO);
    thread::sleep(Duration::from_millis(2500));
    world.cutters[1].refuse(false);
    come_back(&mut phone, &world, 1);
    say(&mut phone, 2);
    let after = world.push(1, "after that");
    tries += hear(&mut phone, &after);
    assert_eq!(world.redis.ask("HLEN zinx:u:{ann}"), ":1");
    assert_eq!((world.written_down(), phone.inbox.len() - tries), (1, 5));
}

#[test]
fn what_a_replica_has_missed_is_written_down_again_when_it_takes_over() {
    let (Some(redis), Some(replica)) = (Redis::start(), Redis::start()) else { return };
    let mut world = World::on(redis, 2, |_| {});
    let between = Cutter::start(world.redis.address());
    let port = between.url().rsplit_once(':').unwrap().1.to_string();
    assert_eq!(replica.ask(&format!("REPLICAOF 127.0.0.1 {port}")), "+OK");
    wait_until("the replica", || replica.is_in_sync());
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    let key = world.keys("zinx:d:*").pop().unwrap();
    // Frames ever sent and 1, and messages handled.
    let last = |redis: &Redis| redis::lines_of(redis.address(), &format!("XREVRANGE {key} + - COUNT 1"), 4);
    wait_until("the replica has it", || {
        replica.ask(&format!("EXISTS {key}")) == ":1" && last(&replica) == "3-2"
    });
    between.silence(true);
    say(&mut phone, 2);
    assert_eq!((last(&world.redis), last(&replica)), ("4-3".to_string(), "3-2".to_string()));
    world.redis.kill();
    assert_eq!(replica.ask("REPLICAOF NO ONE"), "+OK");
    world.redis = replica;
    world.cutters.iter().for_each(|cutter| cutter.lead_to(world.redis.address()));
    // Without a word of anybody.
    wait_until("it is written down again", || last(&world.redis) == "4-3");
    world.cut_off(0);
    come_back(&mut phone, &world, 1);
    say(&mut phone, 3);
    assert_eq!(phone.inbox.len(), 4);
}

#[test]
fn the_client_of_this_library_tries_until_the_lease_is_over_and_goes_on() {
    let Some(world) = World::start(2) else { return };
    let addresses = [0, 1].map(|node: usize| world.nodes[node].server.local_addr().unwrap());
    let front = Cutter::start(addresses[0]);
    let port = front.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let mut config = config();
    config.resume_ms = 60_000;
    let client = new_client_with_config("127.0.0.1", port, config).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    for msg_id in [LOGIN, SAID] {
        let told = Arc::clone(&told);
        let note = move |request: &dyn IRequest| {
            told.lock().unwrap().push(request.get_data().to_vec());
            Ok(())
        };
        client.add_router(msg_id, note).unwrap();
    }
    let longest_pause = Duration::from_millis(500);
    client.set_reconnect(Reconnect { longest_pause, ..Reconnect::default() });
    client.start().unwrap();
    let conn = client.conn().unwrap();
    let says = |msg_id: u32, text: &str| {
        let before = told.lock().unwrap().len();
        conn.send_msg(msg_id, text).unwrap();
        wait_until(text, || told.lock().unwrap().len() > before);
    };
    says(LOGIN, "ann");
    says(SAY, "one");
    // The others take it for dead when its lease is over.
    world.cutters[0].refuse(true);
    front.lead_to(addresses[1]);
    says(SAY, "two");
    says(SAY, "three");
    assert_eq!(*told.lock().unwrap(), [&b"in"[..], b"one", b"two", b"three"]);
    assert!(world.nodes[1].server.sessions().by_user("ann").is_some());
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
    wait_until("it is forgotten", || world.written_down() == 0);
}

#[test]
fn more_than_is_kept_is_not_brought_back_by_another_node() {
    let Some(redis) = Redis::start() else { return };
    let world = World::on(redis, 2, |config| config.resume_frames = 4);
    let mut phone = world.phone("ann");
    say(&mut phone, 1);
    phone.lose(false);
    (0..6).for_each(|n| drop(world.push(1, &n.to_string())));
    world.cut_off(0);
    assert_eq!(come_in_vain(&mut phone, &world, 1), OVER_BOUND);
    wait_until("nothing is left", || world.written_down() == 0);
    assert_eq!(world.redis.ask("HLEN zinx:u:{ann}"), ":0");
}

#[test]
fn what_is_written_down_ends_by_itself_if_nobody_looks_after_it() {
    let Some(world) = World::start(1) else { return };
    let _phone = world.phone("ann");
    let key = world.keys("zinx:d:*").pop().unwrap();
    let left: u64 = world.redis.ask(&format!("PTTL {key}"))[1..].parse().unwrap();
    assert!(left > 60_000 && left <= 60_000 + 180_000, "{left}");
}

#[test]
fn who_cannot_survive_its_node_is_told_so() {
    let told_of = |node: &Running, opens: bool, msg_id: u32| {
        let addr = node.server.local_addr().unwrap();
        let (id, data) = if opens {
            let mut phone = Phone::open(addr);
            phone.send(msg_id, b"");
            phone.receive()
        } else {
            let mut peer = node.connect();
            peer.send(&frame(msg_id, b""));
            peer.read_frame()
        };
        assert_eq!(id, SAID);
        String::from_utf8(data).unwrap()
    };
    let told = |node: &Running, opens: bool| told_of(node, opens, ASK);
    let asks = |server: &Server| {
        let keep = |request: &dyn IRequest| {
            let conn = request.get_connection();
            if request.get_msg_id() == HOLD {
                conn.stop();
            }
            let kept = conn.keep_durably();
            conn.send_msg(SAID, kept.map_or_else(|error| error.to_string(), |()| "kept".into()))
        };
        server.add_router(ASK, keep).unwrap();
        server.add_router(HOLD, keep).unwrap();
    };
    let resumable = |mut config: Config| {
        config.resume_ms = 60_000;
        config
    };
    let alone = start_alone(resumable(config()), asks);
    assert_eq!(told(&alone, true), "a connection survives its node only in a cluster");
    let Some(redis) = Redis::start() else { return };
    let node = start_alone(resumable(config_of(&redis.url(), "one")), asks);
    assert_eq!(told(&node, false), "the client has not asked for a token, so it cannot come back");
    assert_eq!(told(&node, true), "kept");
    assert_eq!(told_of(&node, true, HOLD), "the connection is closed");
    let without_resuming = start_alone(config_of(&redis.url(), "three"), asks);
    assert_eq!(told(&without_resuming, false), "ResumeMs is 0, so clients cannot come back");
    let mut config = resumable(config_of(&redis.url(), "two"));
    config.worker_pool_size = 2;
    let with_workers = start_alone(config, asks);
    assert_eq!(told(&with_workers, true), "with WorkerPoolSize, connections do not survive their node");
}

const NAMES: [&str; 3] = ["one", "two", "three"];
const OVER_BOUND: u8 = 4;
