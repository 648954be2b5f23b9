//! Clients that are cut at any byte and come back on any node, while all nodes send to them: nothing is lost or doubled.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::phone::{BYE, Cut, Phone, WHOLE};
use crate::common::random::{Random, with_seeds};
use crate::common::saying::{SAID_BYTES, SAY_BYTES, random_cut};
use crate::common::{frame, wait_until};
use crate::cutter::Cutter;
use crate::nodes::TOLD;
use crate::redis::Redis;
use crate::resuming::{GONE, Nodes, Pushed, SAID, SAY, STALL, receive_until};

#[test]
fn cut_after_any_byte_a_client_comes_back_on_the_other_node() {
    let Some(redis) = Redis::start() else { return };
    let nodes = Nodes::two(&redis);
    let coming_back = 40 + 16;
    let (mut runs, mut whole) = (0, 0);
    for at in 0..SAY_BYTES + coming_back {
        let first = Cut { write: at % SAY_BYTES, read: at % SAID_BYTES, reset: at % 2 == 0 };
        for second in [Cut { write: at, ..WHOLE }, Cut { read: at, ..WHOLE }] {
            runs += 1;
            whole += usize::from(nodes.talk(&format!("user {runs}"), &[first, second], |cut| cut % 2));
        }
    }
    println!("{whole} of {runs} were whole");
    assert!(whole > runs / 2, "{whole} of {runs}");
}

impl Nodes {
    /// Says four things on a connection that is cut, and comes back each time on the node that `route` says. `false` if a node of this
    /// machine stood still for a second, so that the client was told that it is gone.
    fn talk(&self, user: &str, cuts: &[Cut], route: impl Fn(usize) -> usize) -> bool {
        self.go_to(route(0));
        let mut phone = self.phone(user);
        phone.may_be_refused = true;
        let said: Vec<Vec<u8>> = (1..=4).map(|n| vec![n; usize::from(n)]).collect();
        said.iter().for_each(|data| phone.note(SAY, data));
        let all: Vec<u8> = said.iter().flat_map(|data| frame(SAY, data)).collect();
        let count = phone.inbox.len() + said.len();
        let mut outcome = phone.talk(&all, count, cuts.first().copied().unwrap_or(WHOLE));
        for attempt in 1.. {
            if outcome.is_ok() {
                break;
            }
            self.go_to(route(attempt));
            let (begun, cut) = (Instant::now(), cuts.get(attempt).copied().unwrap_or(WHOLE));
            outcome = phone.resume_cut(cut).and_then(|()| phone.talk(&[], count, cut));
            if let Some(why) = phone.refused {
                assert!(why == GONE && begun.elapsed() > STALL, "{why} after {:?}", begun.elapsed());
                return false;
            }
        }
        let replies: Vec<_> = said.iter().map(|data| (SAID, data.clone())).collect();
        assert_eq!(phone.inbox[count - said.len()..], replies);
        assert_eq!(self.heard.lock().unwrap()[user], [1, 2, 3, 4]);
        phone.write(&frame(BYE, b""));
        true
    }
}

#[test]
fn moving_at_random_while_all_nodes_send_to_it_a_client_gets_all_once() {
    let Some(redis) = Redis::start() else { return };
    for workers in [0, 2] {
        let nodes = RefCell::new(None);
        let (whole, runs) = (Cell::new(0), Cell::new(0));
        with_seeds(10, |seed| {
            let mut nodes = nodes.borrow_mut();
            if runs.get() % WITH_ONE_SET == 0 {
                *nodes = None;
            }
            let begin = || Nodes::start(&["one", "two", "three"].map(|name| (name, redis.url())), workers);
            let is_whole = nodes.get_or_insert_with(begin).wander(seed);
            runs.set(runs.get() + 1);
            whole.set(whole.get() + usize::from(is_whole));
        });
        let (whole, runs) = (whole.get(), runs.get());
        println!("{whole} of {runs} were whole, with {workers} workers");
        assert!(whole > runs / 2, "{whole} of {runs}");
    }
}

/// Tells those who send that the client is done, also if it fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Nodes {
    /// A client that is cut at random and comes back on any node, while all nodes send to it. `false` as in [`talk`](Self::talk).
    fn wander(&self, seed: u64) -> bool {
        let mut random = Random::new(seed);
        let user = format!("wanderer {seed}");
        self.go_to(random.below(3) as usize);
        let mut phone = self.phone(&user);
        phone.may_be_refused = true;
        let (done, links) = (AtomicBool::new(false), self.reconnects());
        thread::scope(|scope| {
            let sender = scope.spawn(|| self.send_until(&done, &user, seed));
            let ends = Done(&done);
            let outcome = self.wander_about(&mut phone, &mut random);
            drop(ends);
            let (pushed, broadcasts, last) = sender.join().unwrap();
            let Some(last) = last.filter(|_| outcome) else { return false };
            receive_until(&mut phone, (TOLD, last.into_bytes()));
            pushed.check(&phone);
            // What a node has told others over a link that has ended since is lost: on a machine where even Redis waits for a second.
            let may_be_lost = broadcasts.contains(&false) || self.reconnects() > links;
            // Those of other nodes may come behind the last word. If one is lost, receiving fails.
            let count = |phone: &Phone, n: usize| {
                let text = format!("{user} all {n}").into_bytes();
                phone.inbox.iter().filter(|(id, data)| *id == ALL && *data == text).count()
            };
            while !may_be_lost && (0..broadcasts.len()).any(|n| count(&phone, n) == 0) {
                phone.receive();
            }
            for n in 0..broadcasts.len() {
                let count = count(&phone, n);
                assert!(count == 1 || may_be_lost && count == 0, "broadcast {n} of {broadcasts:?}: {count}");
            }
            assert_eq!(self.heard.lock().unwrap()[&user], (1..=SAYS).collect::<Vec<_>>());
            wait_until("one login", || self.nodes_of(&user).len() == 1);
            phone.write(&frame(BYE, b""));
            phone.lose(false);
            wait_until("the end", || self.nodes_of(&user).is_empty());
            true
        })
    }

    /// How often a link to Redis was made again.
    fn reconnects(&self) -> usize {
        self.nodes.iter().map(|node| node.server.cluster().stats().reconnects).sum()
    }

    fn wander_about(&self, phone: &mut Phone, random: &mut Random) -> bool {
        let mut said = 0;
        let mut cuts: Vec<_> = (0..random.below(6)).map(|_| random_cut(random)).collect();
        cuts.push(WHOLE);
        for cut in cuts {
            let mut all = Vec::new();
            while said < SAYS && random.below(3) > 0 {
                said += 1;
                phone.note(SAY, &[said]);
                all.extend(frame(SAY, &[said]));
            }
            // What is said on a whole connection is said in one go; one that is cut is cut for certain, for there is always more.
            if cut == WHOLE || phone.talk(&all, usize::MAX, cut).is_ok() {
                phone.lose(random.below(2) == 0);
            }
            for attempt in 0.. {
                assert!(attempt < MOST_ATTEMPTS, "it stays busy");
                self.go_to(random.below(3) as usize);
                let begun = Instant::now();
                let back = phone.resume_cut(if random.below(3) == 0 { cut } else { WHOLE });
                if let Some(why) = phone.refused {
                    assert!(why == GONE && begun.elapsed() > STALL, "{why} after {:?}", begun.elapsed());
                    return false;
                }
                if back.is_ok() {
                    break;
                }
            }
        }
        while said < SAYS {
            said += 1;
            phone.send(SAY, &[said]);
        }
        receive_until(phone, (SAID, vec![SAYS]));
        true
    }

    /// Sends to the user and the group from any node, until the client is done. Returns the pushes, of each broadcast whether others were
    /// told, and the last word: `None` if the user has gone.
    fn send_until(&self, done: &AtomicBool, user: &str, seed: u64) -> (Pushed, Vec<bool>, Option<String>) {
        let (mut random, mut pushed, mut broadcasts) = (Random::new(seed + 1), Pushed::default(), Vec::new());
        while !done.load(Ordering::Acquire) {
            let cluster = self.nodes[random.below(3) as usize].server.cluster();
            if random.below(2) == 0 {
                pushed.push(&cluster, user, format!("{user} {}", pushed.0.len()));
            } else {
                let text = format!("{user} all {}", broadcasts.len());
                broadcasts.push(cluster.group("lobby").broadcast(ALL, &text[..]).unwrap().others_told);
            }
            thread::sleep(Duration::from_micros(random.below(3000)));
        }
        let cluster = self.nodes[0].server.cluster();
        let is_there = (0..100).any(|_| cluster.user(user).is_online().unwrap_or(false));
        let last = is_there.then(|| pushed.end(&cluster, user));
        (pushed, broadcasts, last)
    }
}

#[test]
fn moving_while_links_to_redis_are_cut_a_client_is_on_one_node_or_gone() {
    let Some(redis) = Redis::start() else { return };
    let cutters = [(); 3].map(|()| Cutter::start(redis.address()));
    let names = ["one", "two", "three"];
    let urls: Vec<_> = names.into_iter().zip(&cutters).map(|(name, cutter)| (name, cutter.url())).collect();
    let nodes = Nodes::start(&urls, 0);
    with_seeds(6, |seed| {
        let is_up = |at: usize| nodes.nodes[at].server.cluster().stats().is_connected;
        wait_until("the links", || (0..3).all(is_up));
        let survives = nodes.wander_under_cuts(seed, &cutters);
        println!("seed {seed}: {}", if survives { "it was on one node" } else { "gone" });
        let (user, logins) = (format!("roamer_{seed}"), format!("HLEN zinx:u:{{roamer_{seed}}}"));
        wait_until("one connection at most", || nodes.nodes_of(&user).len() <= 1);
        wait_until("one login at most", || [":0", ":1"].contains(&&*redis.ask(&logins)));
    });
}

impl Nodes {
    /// `false` if the client was told that its connection is gone.
    fn wander_under_cuts(&self, seed: u64, cutters: &[Cutter]) -> bool {
        let mut random = Random::new(seed);
        let user = format!("roamer_{seed}");
        self.go_to(random.below(3) as usize);
        let mut phone = self.phone(&user);
        phone.may_be_refused = true;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let pushes = scope.spawn(|| {
                let (mut random, mut pushed) = (Random::new(seed + 1), Pushed::default());
                while !done.load(Ordering::Acquire) {
                    let cluster = self.nodes[random.below(3) as usize].server.cluster();
                    pushed.push(&cluster, &user, format!("{user} {}", pushed.0.len()));
                    thread::sleep(Duration::from_micros(random.below(3000)));
                }
                pushed
            });
            scope.spawn(|| {
                let mut random = Random::new(seed + 2);
                while !done.load(Ordering::Acquire) {
                    thread::sleep(Duration::from_millis(5 + random.below(100)));
                    cutters[random.below(3) as usize].cut();
                }
            });
            let ends = Done(&done);
            for _ in 0..MOVES {
                phone.lose(random.below(2) == 0);
                self.go_to(random.below(3) as usize);
                while phone.refused.is_none() && phone.resume_cut(WHOLE).is_err() {
                    self.go_to(random.below(3) as usize);
                }
                if phone.refused.is_some() {
                    break;
                }
            }
            drop(ends);
            let mut pushed = pushes.join().unwrap();
            if phone.refused.is_none() {
                let last = pushed.end(&self.nodes[0].server.cluster(), &user);
                receive_until(&mut phone, (TOLD, last.into_bytes()));
                pushed.check(&phone);
            }
            for (text, _) in &pushed.0 {
                let count = phone.inbox.iter().filter(|(_, data)| data == text.as_bytes()).count();
                assert!(count <= 1, "{text:?} has come {count} times");
            }
            phone.refused.is_none()
        })
    }
}

const ALL: u32 = 22;
const MOVES: usize = 20;
/// Runs, until there are new nodes.
const WITH_ONE_SET: usize = 20;
/// A node that stands still for long would make it more than a few.
const MOST_ATTEMPTS: usize = 2000;
const SAYS: u8 = 12;
