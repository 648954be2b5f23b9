//! A server for hours on bad networks and under attack: churn, floods, slow readers, silent peers, panics, crowds, drains,
//! and all who make it hold, wait or compute as much as they can. After each round descriptors, coroutines, hooks and memory
//! are what they were, and healthy clients have been answered.
//!
//! It takes a few seconds; `.ci/soak` takes an hour, and says what it measures.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block no worker"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

#[path = "soak/attackers.rs"]
mod attackers;
#[path = "soak/healthy.rs"]
mod healthy;
#[path = "soak/people.rs"]
mod people;
#[path = "soak/server.rs"]
mod server;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::child::open_files;
use common::comes_true;
use common::coroutines::{runtime, within};
use common::process::Process;
use common::random::seeds;
use healthy::Tally;
use people::People;
use server::{Control, MODES, Quiet};
use zinx::green;

#[test]
fn after_hours_of_chaos_all_is_as_it_was() {
    const NAME: &str = "after_hours_of_chaos_all_is_as_it_was";
    if std::env::var_os(server::CHILD).is_some() {
        return server::run();
    }
    let seconds = std::env::var("ZINX_TEST_SOAK").map_or(4, |seconds| seconds.parse().unwrap());
    within(5 * seconds + 100, move || {
        runtime();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let process =
            Process::listening(child.args([NAME, "--exact", "--nocapture"]).env(server::CHILD, "1"));
        soak(&process, Duration::from_secs(seconds));
    });
}

/// Rounds, for about so long. The first warms up.
fn soak(process: &Process, time: Duration) {
    let begun = Instant::now();
    let round = (time / 8).clamp(Duration::from_secs(1), Duration::from_secs(30));
    let mut control = Control::open(process);
    let first_seed = seeds(1).start;
    // Proxies and people have made what stays, here and there.
    one_round(&mut control, process, round, first_seed, 0);
    let warm = measure(&mut control, process, None);
    let here = (green::live_coroutines(), open_files());
    eprintln!("warm: {warm}");
    for n in 1.. {
        let tally = one_round(&mut control, process, round, first_seed + n, n);
        let now = measure(&mut control, process, Some(&warm));
        eprintln!("{:.0?}: {now}; {tally}", begun.elapsed());
        now.check(&warm);
        let back = comes_true(LONG, || (green::live_coroutines(), open_files()) <= here);
        assert!(back, "here: {:?}, {here:?} before", (green::live_coroutines(), open_files()));
        if begun.elapsed() >= time {
            return;
        }
    }
}

/// Everybody at once, a drain in the middle, and all gone at the end. Returns what the healthy have seen.
fn one_round(control: &mut Control, process: &Process, time: Duration, seed: u64, n: u64) -> Arc<Tally> {
    let mode = n as usize % MODES.len();
    control.drain(mode);
    let people = People::come(process.address, seed);
    green::sleep(time / 2);
    control.drain((mode + 1) % MODES.len());
    green::sleep(time / 2);
    // On a busy machine a short round ends before.
    assert!(comes_true(2 * LONG, || people.one_came_back()), "nobody could come back: {}", people.tally());
    people.go()
}

/// What is there when all peers have gone and their last coroutine has ended.
fn measure(control: &mut Control, process: &Process, warm: Option<&Quiet>) -> Quiet {
    let gone = comes_true(LONG, || control.open_connections() == 0);
    assert!(gone, "{} connections are still open:\n{}", control.open_connections(), control.dump());
    // Of all servers the same kind, so that the same number of workers waits.
    control.drain(0);
    let (mut last, mut same) = (control.quiet(process), 0);
    let settled = comes_true(LONG, || {
        let before = std::mem::replace(&mut last, control.quiet(process)).coroutines();
        same = if last.coroutines() == before { same + 1 } else { 0 };
        same >= SETTLED && warm.is_none_or(|warm| last.is_back(warm))
    });
    let before = || warm.map_or_else(String::new, Quiet::to_string);
    assert!(settled, "{last}, {} when warm:\n{}", before(), control.dump());
    last
}

/// Drains while all are there.
const DRAINS: usize = 1;

/// What must happen happens by then.
const LONG: Duration = Duration::from_secs(20);

/// Looks in a row that find as many coroutines.
const SETTLED: usize = 50;
