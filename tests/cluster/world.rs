//! A cluster for one test of the chaos: a Redis, three nodes behind a cutter each, and a crowd.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::process::SLACK;
use crate::common::{Watchdog, comes_true, wait_until};
use crate::crowd::Crowd;
use crate::cutter::Cutter;
use crate::ledger::Figures;
use crate::listeners::Listeners;
use crate::member::{Member, State, serve_as_child};
use crate::redis::Redis;

pub(crate) struct World {
    pub(crate) round: usize,
    crowd: Crowd,
    pub(crate) members: Vec<Member>,
    pub(crate) cutters: Vec<Cutter>,
    pub(crate) redis: Redis,
    replica: Option<Redis>,
    was_killed: Option<usize>,
}

/// Runs rounds in which `event` happens. In the process of a node it never returns.
pub(crate) fn chaos(test: &'static str, redis: impl FnOnce() -> Option<Redis>, event: impl Fn(&mut World)) {
    serve_as_child(test);
    let Some(redis) = redis() else { return };
    let rounds = rounds();
    let _watchdog = Watchdog::start(Duration::from_secs(100 + 90 * rounds as u64));
    let mut world = World::begin(test, redis);
    let mut slowest = Duration::ZERO;
    let mut figures = Figures::default();
    // What a first round needs once is not counted.
    let mut base: Option<Vec<(usize, usize)>> = None;
    for round in 0..rounds {
        world.round = round;
        let (settled, missed) = world.run(&event);
        slowest = slowest.max(settled);
        figures = world.crowd.shared.ledger.check();
        println!("{test} {round}: settled after {settled:?}, {missed:?} missed, {figures:?}");
        let resources = || world.members.iter().map(Member::resources).collect::<Vec<_>>();
        let base = base.get_or_insert_with(resources);
        let as_before = |(now, before): (&(usize, usize), &(usize, usize))| {
            now.0 <= before.0 + SOME_FILES && now.1 <= before.1 + SOME_KIB
        };
        let back = comes_true(SLACK, || resources().iter().zip(base.iter()).all(as_before));
        assert!(back, "files and KiB are {:?}, and were {base:?}", resources());
    }
    println!("{test}: {rounds} rounds, settled after {slowest:?} at most, {figures:?}");
}

/// How many rounds. With more than one, some outages are long.
fn rounds() -> usize {
    std::env::var("ZINX_TEST_CHAOS").map_or(1, |rounds| rounds.parse().unwrap())
}

pub(crate) fn is_long() -> bool {
    rounds() > 1
}

impl World {
    fn begin(test: &'static str, redis: Redis) -> Self {
        let cutters: Vec<_> = NAMES.iter().map(|_| Cutter::start(redis.address())).collect();
        let start = |(name, cutter): (&&'static str, &Cutter)| Member::start(test, cutter.url(), name);
        let members: Vec<_> = NAMES.iter().zip(&cutters).map(start).collect();
        let crowd = Crowd::begin(members.iter().map(Member::address).collect(), 1);
        Self { round: 0, crowd, members, cutters, redis, replica: None, was_killed: None }
    }

    /// The node that it happens to in this round.
    pub(crate) const fn victim(&self) -> usize {
        self.round % NAMES.len()
    }

    /// Lets the crowd go on for so long. In the middle some users leave.
    pub(crate) fn hold(&self, time: Duration) {
        std::thread::sleep(time / 2);
        self.crowd.want_all(false);
        std::thread::sleep(time / 2);
    }

    pub(crate) fn kill_node(&mut self) {
        let node = self.victim();
        self.was_killed = Some(node);
        let (begun, mut with) = (Instant::now(), self.crowd.connected_to(node));
        self.members[node].signal(Signal::KILL);
        // Those who came at that moment have not noticed yet.
        with.extend(self.crowd.connected_to(node));
        self.crowd.shared.ledger.node_was_killed(begun, with);
    }

    pub(crate) fn start_node_again(&mut self) {
        let node = self.victim();
        self.members[node].start_again();
        self.crowd.shared.addresses.lock().unwrap()[node] = self.members[node].address();
    }

    /// The primary is killed, a replica takes its place, and gets a replica in turn.
    pub(crate) fn fail_over(&mut self) {
        if self.replica.is_none() {
            self.replica = self.redis.start_as_replica_of();
        }
        let replica = self.replica.as_mut().unwrap();
        wait_until("the replica", || replica.is_in_sync());
        self.redis.kill();
        assert_eq!(replica.ask("REPLICAOF NO ONE"), "+OK");
        std::mem::swap(&mut self.redis, replica);
        self.cutters.iter().for_each(|cutter| cutter.lead_to(self.redis.address()));
        *replica = self.redis.start_as_replica_of().unwrap();
    }

    /// One event. How long it took until all was as it should be, and how many broadcasts were missed.
    fn run(&mut self, event: &impl Fn(&mut Self)) -> (Duration, Vec<usize>) {
        self.was_killed = None;
        self.crowd.want_all(true);
        self.crowd.is_busy(true);
        let addresses: Vec<_> = self.members.iter().map(Member::address).collect();
        let listeners = Listeners::begin(&addresses);
        std::thread::sleep(Duration::from_millis(500));
        let lost_before = self.lost();
        event(self);
        let begun = Instant::now();
        self.crowd.want_all(false);
        self.crowd.is_busy(false);
        let settled = comes_true(LEASE + SLACK, || self.is_settled());
        assert!(settled, "not within {LEASE:?}: {:?}", self.complaints());
        let took = begun.elapsed();
        self.push_to_all();
        assert!(comes_true(SLACK, || self.is_settled()), "no more: {:?}", self.complaints());
        let missed = listeners.end(self.was_killed);
        let lost = self.lost();
        let counted = self.was_killed.is_some() || lost.iter().sum::<usize>() > lost_before.iter().sum();
        assert!(
            missed.iter().sum::<usize>() == 0 || counted,
            "{missed:?} were missed; {lost_before:?} {lost:?}"
        );
        (took, missed)
    }

    /// The gaps that each node has counted, once it says so.
    fn lost(&self) -> Vec<usize> {
        let of = |member: &Member| {
            let mut lost = None;
            wait_until("a node says how it is", || {
                lost = member.state().map(|state| state.lost);
                lost.is_some()
            });
            lost.unwrap()
        };
        self.members.iter().map(of).collect()
    }

    fn states(&self) -> Vec<Option<State>> {
        self.members.iter().map(Member::state).collect()
    }

    fn is_settled(&self) -> bool {
        !self.crowd.is_sending() && self.complaints().is_empty()
    }

    /// What is not as it should be.
    fn complaints(&self) -> Vec<String> {
        let (here, gone, mut complaints) = (self.crowd.names(true), self.crowd.names(false), Vec::new());
        let mut logins = Vec::new();
        for (node, state) in NAMES.iter().zip(self.states()) {
            match state {
                Some(State { is_connected: true, logins: some, .. }) => logins.extend(some),
                other => complaints.push(format!("node {node} says {other:?}")),
            }
        }
        logins.sort();
        let mut expected = here.clone();
        expected.sort();
        if logins != expected {
            complaints.push(format!("logged in are {logins:?}"));
        }
        for (users, online) in [(&here, true), (&gone, false)] {
            for (node, member) in NAMES.iter().zip(&self.members) {
                let said = member.online(users);
                if said.as_ref() != Some(&format!("{:?}", vec![online; users.len()])) {
                    complaints.push(format!("to node {node}, {users:?} are {said:?}"));
                }
            }
            // Those of a node that was killed are left until the user comes back, and mean nothing.
            for user in users.iter().filter(|_| online || self.was_killed.is_none()) {
                let logins = self.redis.ask(&format!("HLEN zinx:u:{{{user}}}"));
                if logins != format!(":{}", u8::from(online)) {
                    complaints.push(format!("Redis has {logins} logins of {user}"));
                }
            }
        }
        complaints
    }

    /// From each node to each user, and each message arrives.
    fn push_to_all(&self) {
        let ledger = &self.crowd.shared.ledger;
        for member in &self.members {
            for user in self.crowd.names(true) {
                let (number, asked) = (ledger.number(), Instant::now());
                let said = member.push(&user, number);
                // On a machine where even Redis waits for a second, it may be unknown.
                let delivered = said.as_deref() == Some("delivered");
                ledger.said(number, &user, asked, said);
                if delivered {
                    wait_until("a message", || ledger.has_arrived(number));
                }
            }
        }
    }
}

const NAMES: [&str; 3] = ["one", "two", "three"];
/// How long a node that was killed is taken for alive: so long something may be wrong.
const LEASE: Duration = Duration::from_secs(15);
/// Connections of the test that come and go while they are counted.
const SOME_FILES: usize = 2;
/// What allocators keep.
const SOME_KIB: usize = 16 << 10;
