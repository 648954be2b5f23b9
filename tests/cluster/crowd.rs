//! Users that want to be online, senders that push to them, and members of a group, while nodes come and go.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::random::Random;
use crate::ledger::Ledger;
use crate::member::{LOGIN, PUSH, PUSHED};
use crate::wire::Wire;

/// All of them, until they are dropped.
pub(crate) struct Crowd {
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct Shared {
    /// Of each node.
    pub(crate) addresses: Mutex<Vec<SocketAddr>>,
    pub(crate) ledger: Ledger,
    pub(crate) users: Vec<User>,
    /// Whether phones log in beside others of the same user, and senders send.
    busy: AtomicBool,
    ending: AtomicBool,
    sending: AtomicUsize,
}

pub(crate) struct User {
    pub(crate) name: String,
    /// The nodes that its phones are connected to.
    nodes: Mutex<Vec<usize>>,
    /// How many of them are logged in, as they see it.
    logins: AtomicUsize,
    /// Whether it is to be online.
    wanted: AtomicBool,
}

impl Crowd {
    /// Users, of which every other one has two phones that throw each other out.
    pub(crate) fn begin(addresses: Vec<SocketAddr>, seed: u64) -> Self {
        let user = |n| User {
            name: format!("user{n}"),
            nodes: Mutex::default(),
            logins: AtomicUsize::new(0),
            wanted: AtomicBool::new(true),
        };
        let nodes = addresses.len();
        let shared = Arc::new(Shared {
            addresses: Mutex::new(addresses),
            ledger: Ledger::default(),
            users: (0..USERS).map(user).collect(),
            busy: AtomicBool::new(true),
            ending: AtomicBool::new(false),
            sending: AtomicUsize::new(0),
        });
        let mut threads = Vec::new();
        for n in 0..USERS {
            for phone in 0..1 + n % 2 {
                let (theirs, random) = (Arc::clone(&shared), Random::new(seed + (n * 2 + phone) as u64));
                threads.push(thread::spawn(move || theirs.phone(n, phone == 0, random)));
            }
        }
        for n in 0..nodes * SENDERS {
            let (theirs, random) = (Arc::clone(&shared), Random::new(seed + 1000 + n as u64));
            threads.push(thread::spawn(move || theirs.send(n % nodes, random)));
        }
        Self { shared, threads }
    }

    /// Whether phones fight and senders send.
    pub(crate) fn is_busy(&self, busy: bool) {
        self.shared.busy.store(busy, Ordering::Release);
    }

    /// Whether senders still wait for an answer.
    pub(crate) fn is_sending(&self) -> bool {
        self.shared.sending.load(Ordering::Acquire) > 0
    }

    /// Has the last few users leave, or come back.
    pub(crate) fn want_all(&self, wanted: bool) {
        for user in &self.shared.users[USERS - LEAVERS..] {
            user.wanted.store(wanted, Ordering::Release);
        }
    }

    /// The users that are to be online, or not.
    pub(crate) fn names(&self, wanted: bool) -> Vec<String> {
        let users = self.shared.users.iter().filter(|user| user.wanted.load(Ordering::Acquire) == wanted);
        users.map(|user| user.name.clone()).collect()
    }

    /// Those that are connected to a node.
    pub(crate) fn connected_to(&self, node: usize) -> HashSet<String> {
        let users = self.shared.users.iter().filter(|user| user.nodes.lock().unwrap().contains(&node));
        users.map(|user| user.name.clone()).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a thread has panicked");
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// A phone that logs in again and again, as long as its user is to be online. The second one of a user throws out the first.
    fn phone(&self, n: usize, is_first: bool, mut random: Random) {
        let user = &self.users[n];
        while !self.is_over() {
            let busy = self.busy.load(Ordering::Acquire);
            let alone = user.logins.load(Ordering::Acquire) == 0;
            let wants = if is_first { alone || busy } else { busy };
            if wants && user.wanted.load(Ordering::Acquire) {
                let node = random.below(self.addresses.lock().unwrap().len() as u64) as usize;
                // It may be cut off at any moment.
                let _ = self.be_online(user, node);
            }
            thread::sleep(Duration::from_millis(50 + random.below(if busy { 400 } else { 100 })));
        }
    }

    fn be_online(&self, user: &User, node: usize) -> io::Result<()> {
        let address = self.addresses.lock().unwrap()[node];
        let mut wire = Wire::open(address)?;
        user.nodes.lock().unwrap().push(node);
        let mut is_in = false;
        let ended =
            wire.send(LOGIN, user.name.as_bytes()).and_then(|()| self.listen(user, &mut wire, &mut is_in));
        if is_in {
            user.logins.fetch_sub(1, Ordering::AcqRel);
        }
        let mut nodes = user.nodes.lock().unwrap();
        let at = nodes.iter().position(|other| *other == node).unwrap();
        nodes.swap_remove(at);
        ended
    }

    /// Notes what comes, until the end: also before the node has said that the user is logged in, however long that takes. If the user
    /// leaves, everything that was sent before still comes.
    fn listen(&self, user: &User, wire: &mut Wire, is_in: &mut bool) -> io::Result<()> {
        let (session, mut finished) = (self.ledger.session(), false);
        loop {
            if !finished && (self.is_over() || !user.wanted.load(Ordering::Acquire)) {
                finished = true;
                wire.finish();
            }
            match wire.read(STEP)? {
                Some((LOGIN, said)) if said == b"in" => {
                    *is_in = true;
                    user.logins.fetch_add(1, Ordering::AcqRel);
                }
                Some((PUSHED, data)) => {
                    self.ledger.arrived(u32::from_le_bytes(data.try_into().unwrap()), session);
                }
                // It was not logged in.
                Some((_, said)) => {
                    assert!(said.starts_with(b"the cluster cannot be reached"), "{said:?}");
                    return Ok(());
                }
                None if finished && self.is_over() => return Ok(()),
                None => {}
            }
        }
    }

    fn send(&self, node: usize, mut random: Random) {
        let mut wire = None;
        while !self.is_over() {
            thread::sleep(Duration::from_millis(5 + random.below(10)));
            self.sending.fetch_add(1, Ordering::AcqRel);
            if self.busy.load(Ordering::Acquire) {
                let user = &self.users[random.below(USERS as u64) as usize].name;
                if self.send_one(node, user, &mut wire).is_err() {
                    wire = None;
                }
            }
            self.sending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn send_one(&self, node: usize, user: &str, wire: &mut Option<Wire>) -> io::Result<()> {
        if wire.is_none() {
            *wire = Some(Wire::open(self.addresses.lock().unwrap()[node])?);
        }
        let (wire, number, asked) = (wire.as_mut().unwrap(), self.ledger.number(), Instant::now());
        let said = wire.ask(PUSH, format!("{user} {number}").as_bytes(), LONG);
        self.ledger.said(number, user, asked, said.as_ref().ok().cloned().flatten());
        said.map(drop)
    }
}

/// Every other one has two phones.
const USERS: usize = 12;
/// Of these, so many leave in each round.
const LEAVERS: usize = 4;
/// On each node.
const SENDERS: usize = 2;
const STEP: Duration = Duration::from_millis(20);
/// Longer than a node stands still.
const LONG: Duration = Duration::from_secs(60);
