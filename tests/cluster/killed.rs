//! A node is killed at a random moment, while clients talk to it and others push to them. Their connections survive it: nothing is lost or
//! doubled.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use zinx::new_server_with_config;
use zinx::ziface::IServer;
use zinx::znet::{Cluster, Delivery};

use crate::common::child::{as_child, is_child};
use crate::common::phone::{Phone, WHOLE};
use crate::common::process::Process;
use crate::common::random::{Random, with_seeds};
use crate::common::{frame, start_alone};
use crate::durable::{PUSHED, SAID, SAY, phone, serve};
use crate::nodes::config_of;
use crate::redis::Redis;

/// Is a node from now on, if this process was started for the test of this name.
fn serve_as_child(test: &str) {
    if !is_child(test) {
        return;
    }
    env_logger::init();
    let of = |name: &str| std::env::var(name).unwrap();
    let mut config = config_of(&of("ZINX_TEST_REDIS"), &of("ZINX_TEST_NODE"));
    config.resume_ms = 60_000;
    let server = new_server_with_config(config).unwrap();
    serve(&server);
    server.start().unwrap();
    loop {
        thread::park();
    }
}

fn start(test: &str, redis: &Redis, name: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let child = as_child(&mut command, test);
    Process::listening(child.env("ZINX_TEST_REDIS", redis.url()).env("ZINX_TEST_NODE", name))
}

#[test]
fn killed_at_any_moment_a_node_loses_and_doubles_nothing() {
    const TEST: &str = "killed::killed_at_any_moment_a_node_loses_and_doubles_nothing";
    serve_as_child(TEST);
    let Some(redis) = Redis::start() else { return };
    with_seeds(1, |seed| kill_once(TEST, &redis, seed));
}

/// What the phones of a test share.
#[derive(Clone)]
struct Shared {
    addresses: [SocketAddr; 2],
    cluster: Cluster,
    /// Where a phone connects to next.
    at: Arc<AtomicUsize>,
    is_killed: Arc<AtomicBool>,
}

fn kill_once(test: &str, redis: &Redis, seed: u64) {
    let mut random = Random::new(seed);
    let nodes = ["first", "second"].map(|name| start(test, redis, &format!("{name}{seed}")));
    let addresses = [nodes[0].address, nodes[1].address];
    let pusher = start_alone(config_of(&redis.url(), &format!("pusher{seed}")), |_| {});
    let cluster = pusher.server.cluster();
    let shared = Shared { addresses, cluster, at: Arc::default(), is_killed: Arc::default() };
    // A phone that fails hangs up: then nothing more comes here.
    let (tell, told) = mpsc::channel();
    for n in 0..PHONES {
        let (shared, tell, user) = (shared.clone(), tell.clone(), format!("user {seed} {n}"));
        thread::spawn(move || {
            let phone = phone(shared.addresses.to_vec(), &shared.at, &user);
            tell.send("is logged in").unwrap();
            talk(phone, &shared, &user, seed * 100 + n);
            tell.send("is whole").unwrap();
        });
    }
    drop(tell);
    let wait_for_all = |what: &str| {
        let end = Instant::now() + LONG;
        for n in 0..PHONES {
            let left = end.saturating_duration_since(Instant::now());
            let said = told.recv_timeout(left);
            assert_eq!(said, Ok(what), "the {n}th of them: another phone has failed, or it takes too long");
        }
    };
    wait_for_all("is logged in");
    thread::sleep(Duration::from_micros(random.below(300_000)));
    nodes[0].kill(Signal::KILL);
    shared.at.store(1, Ordering::Release);
    shared.is_killed.store(true, Ordering::Release);
    wait_for_all("is whole");
}

/// Tells the one that pushes that its phone is done, also if that fails.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Says numbers, some at a time, until some time after its node was killed. Others push to it meanwhile.
fn talk(mut phone: Phone, shared: &Shared, user: &str, seed: u64) {
    let (mut random, mut said, mut after) = (Random::new(seed), 0_u32, 0);
    let done = Done(Arc::default());
    let pushes = push_until(Arc::clone(&done.0), shared.cluster.clone(), user.to_string());
    let answers = |phone: &Phone| phone.inbox.iter().filter(|(id, _)| *id == SAID).count();
    while after < AFTER {
        let turn = 1 + random.below(5) as u32;
        let mut all = Vec::new();
        for n in said..said + turn {
            phone.note(SAY, &n.to_le_bytes());
            all.extend(frame(SAY, &n.to_le_bytes()));
        }
        said += turn;
        after += usize::from(shared.is_killed.load(Ordering::Acquire));
        let (mut to_send, mut is_there) = (&all[..], true);
        let end = Instant::now() + LONG;
        while answers(&phone) < said as usize {
            assert!(Instant::now() < end, "{user}: {} of {said} answers", answers(&phone));
            let outcome = match is_there {
                true => phone.talk(to_send, phone.inbox.len() + 1, WHOLE),
                // Until the lease of the killed node is over, it is to try again.
                false => phone.resume_cut(WHOLE),
            };
            is_there = outcome.is_ok();
            if !is_there {
                thread::sleep(Duration::from_millis(100));
            }
            to_send = &[];
        }
    }
    drop(done);
    check(&mut phone, user, said, &pushes.join().unwrap());
}

fn push_until(
    done: Arc<AtomicBool>,
    cluster: Cluster,
    user: String,
) -> thread::JoinHandle<Vec<Option<Delivery>>> {
    thread::spawn(move || {
        let mut pushes = Vec::new();
        while !done.load(Ordering::Acquire) {
            let n = pushes.len() as u32;
            pushes.push(cluster.user(&user).push(PUSHED, &n.to_le_bytes()[..]).ok());
            thread::sleep(Duration::from_micros(500));
        }
        pushes
    })
}

fn check(phone: &mut Phone, user: &str, said: u32, pushes: &[Option<Delivery>]) {
    let number = |data: &[u8]| u32::from_le_bytes(data.try_into().unwrap());
    let last = pushes.iter().rposition(|push| *push == Some(Delivery::Delivered));
    let last = last.unwrap_or_else(|| panic!("{user} was reached by nothing")) as u32;
    while !phone.inbox.iter().any(|(id, data)| *id == PUSHED && number(data) == last) {
        phone.talk(&[], phone.inbox.len() + 1, WHOLE).unwrap();
    }
    let of = |wanted: u32| {
        phone.inbox.iter().filter(|(id, _)| *id == wanted).map(|(_, data)| number(data)).collect::<Vec<_>>()
    };
    assert_eq!(of(SAID), (0..said).collect::<Vec<_>>(), "{user}");
    let came = of(PUSHED);
    for (n, push) in pushes.iter().enumerate() {
        let count = came.iter().filter(|came| **came == n as u32).count();
        match push {
            Some(Delivery::Delivered) => assert_eq!(count, 1, "{user}: push {n} of {}", pushes.len()),
            _ => assert!(count <= 1, "{user}: push {n} came {count} times"),
        }
    }
}

const PHONES: u64 = 8;
/// Turns after the kill.
const AFTER: usize = 20;
const LONG: Duration = Duration::from_secs(60);
