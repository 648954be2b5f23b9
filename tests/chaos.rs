//! The conversations of the demos over bad networks: each comes to its right end, or the connection closes; nothing
//! hangs, no other notices, and nothing is left behind.
//!
//! A failure names its seed: `ZINX_TEST_SEED=n ZINX_TEST_SEEDS=1 cargo test --test chaos` repeats it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block no worker"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::chaos::{Network, Proxy};
use common::coroutines::within;
use common::in_time::unless_late;
use common::process::{Process, SLACK, example};
use common::random::seeds;
use common::talks::{self, End, Talk};
use common::{comes_true, config, start, wait_until};
use rustix::process::Signal;
use zinx::green;
use zinx::ziface::IServer;

#[test]
fn echoes_arrive_whole_and_in_order_or_the_connection_closes() {
    within(LIMIT, || {
        let mut impatient = config();
        impatient.idle_timeout_ms = IDLE_MS;
        let servers = [start(config(), |_| {}), start(impatient, |_| {})];
        hold(talks::echo, servers.each_ref().map(|running| running.server.local_addr().unwrap()));
        for running in servers {
            wait_until("all but the healthy one to go", || running.server.get_conn_mgr().len() == 1);
            let stats = running.stop();
            assert_eq!(stats.start_hooks, stats.stop_hooks);
            assert!(stats.start_hooks > 20, "{stats:?}");
        }
    });
}

#[test]
fn router_answers_are_right_or_the_connection_closes() {
    within(LIMIT, || drop(survives("router", talks::router)));
}

#[test]
fn every_start_hook_has_its_stop_hook() {
    within(LIMIT, || {
        let stdout = survives("hook", talks::hook);
        let printed = |what: &str| stdout.lines().filter(|line| line.contains(what)).count();
        assert_eq!(printed("======Start======== "), printed("======Stop======== "));
        assert!(printed("======Start======== ") > 40);
    });
}

#[test]
fn questions_are_answered_or_the_connection_closes() {
    within(LIMIT, || drop(survives("ask", talks::ask)));
}

#[test]
fn a_session_comes_to_its_end_or_closes() {
    within(LIMIT, || drop(survives("login_menu_game", talks::game)));
}

#[test]
fn a_chat_goes_on_as_it_should_or_closes() {
    within(LIMIT, || drop(survives("chat", talks::chat)));
}

#[test]
fn a_device_gateway_takes_whole_readings_only() {
    within(LIMIT, || {
        let stdout = survives("device", talks::device);
        let lines: Vec<_> = stdout.lines().collect();
        let count = |line: &str| lines.iter().filter(|printed| **printed == line).count();
        for line in &lines {
            assert!(!line.ends_with("1.5 kWh"), "a reading with a wrong CRC was taken: {line}");
            if let Some(pile) = line.strip_suffix(" is here") {
                assert_eq!(count(line), count(&format!("{pile} is gone")), "{pile}");
            }
        }
        for pile in seeds(SEEDS).map(|seed| name(seed, Network::Rough)) {
            for reading in ["0.5", "1.0"] {
                assert_eq!(count(&format!("pile-{pile}: {reading} kWh")), 1, "pile-{pile}, {reading}");
            }
        }
    });
}

/// Holds a demo's conversation over every kind of network, many at a time, and beside them over none. Then the servers
/// must have no more open than before, and stop in order. Returns what they have printed.
fn survives(demo: &str, talk: Talk) -> String {
    let servers = ["0", &IDLE_MS.to_string()].map(|idle| {
        let mut command = Command::new(example(&format!("{demo}_server")));
        let workers = std::env::var("ZINX_TEST_WORKERS").unwrap_or_else(|_| "0".to_string());
        Process::listening(command.env("ZINX_WORKERS", workers).env("ZINX_IDLETIMEOUTMS", idle))
    });
    let addresses = servers.each_ref().map(|server| server.address);
    // On a busy machine it may be found idle.
    unless_late(Duration::from_millis(IDLE_MS), || addresses.iter().for_each(|to| talk(*to, 0).unwrap()));
    let quiet = servers.each_ref().map(Process::open_files);
    let over = Arc::new(AtomicBool::new(false));
    let beside = addresses.map(|address| {
        let over = Arc::clone(&over);
        green::spawn(move || {
            for n in (1_u64 << 40..).take_while(|_| !over.load(Ordering::Acquire)) {
                let begun = Instant::now();
                let ended = talk(address, n);
                // On a machine that is busier still, it may have been found idle.
                let is_late = ended == Err(End::Closed) && begun.elapsed() > Duration::from_millis(IDLE_MS);
                assert!(ended == Ok(()) || is_late, "without a proxy: {ended:?} after {:?}", begun.elapsed());
                green::sleep(Duration::from_millis(5));
            }
        })
    });
    hold(talk, addresses);
    over.store(true, Ordering::Release);
    beside.into_iter().for_each(|beside| beside.get().unwrap());
    let mut printed = String::new();
    for (server, quiet) in servers.into_iter().zip(quiet) {
        let closed = comes_true(SLACK, || server.open_files() <= quiet);
        assert!(closed, "{} descriptors, {quiet} before", server.open_files());
        server.kill(Signal::TERM);
        let ended = server.end_within(SLACK);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        printed += &ended.stdout;
    }
    printed
}

/// Holds a conversation over networks of every kind, all at once. The second server ends connections that are silent:
/// what was damaged may be a question, which is not answered then.
fn hold(talk: Talk, [patient, impatient]: [SocketAddr; 2]) {
    let mut held = Vec::new();
    for seed in seeds(SEEDS) {
        for network in NETWORKS {
            let is_told = matches!(network, Network::Rough | Network::Cutting);
            let address = if is_told { patient } else { impatient };
            held.push((network, seed, green::spawn(move || hold_one(talk, address, network, seed))));
        }
    }
    let mut failed = Vec::new();
    for (network, seed, one) in held {
        if let Err(problem) = one.get().unwrap() {
            failed.push(format!("{network:?} with ZINX_TEST_SEED={seed}: {problem}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn hold_one(talk: Talk, address: SocketAddr, network: Network, seed: u64) -> Result<(), String> {
    let proxy = Proxy::start(address, network, seed);
    let near = proxy.address();
    let ended = green::with_timeout(PATIENCE, || talk(near, name(seed, network)));
    proxy.end();
    match (network, ended) {
        (_, Err(_)) => Err("it hangs".to_string()),
        (_, Ok(Ok(()))) | (Network::Damaging, Ok(Err(_))) => Ok(()),
        (Network::Cutting | Network::Silencing, Ok(Err(End::Closed))) => Ok(()),
        (_, Ok(Err(end))) => Err(format!("{end:?}")),
    }
}

/// Names the people of one conversation. Damaged or not, no name is that of another's.
fn name(seed: u64, network: Network) -> u64 {
    match network {
        Network::Damaging => u64::MAX - seed,
        network => seed * 10 + NETWORKS.iter().position(|other| *other == network).unwrap() as u64,
    }
}

const NETWORKS: [Network; 4] = [Network::Rough, Network::Cutting, Network::Damaging, Network::Silencing];

/// Conversations over each kind of network.
const SEEDS: u64 = 16;

/// How long the impatient server bears silence.
const IDLE_MS: u64 = 2000;

/// The longest one may take, on however busy a machine: some pass on a thousand pieces with a pause before each.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest one test may take, in seconds.
const LIMIT: u64 = 100;
