//! Every timed call, with the shortest and the longest times there are: zero is "at once", what the clock cannot reach is
//! "forever". Nothing panics.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests are plain threads")]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

#[path = "durations/settings.rs"]
mod settings;
#[path = "durations/waits.rs"]
mod waits;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use common::coroutines::{LONG, runtime};
use common::{Running, Watchdog};
use settings::SETTINGS;
use waits::WAITS;
use zinx::prelude::*;

/// Times that end after the process, if at all.
const FOR_EVER: [Duration; 4] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX / 2),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(1000 * 365 * 24 * 3600),
];

#[test]
fn the_longest_times_are_for_ever() {
    let _watchdog = Watchdog::start(6 * LONG);
    runtime();
    for longest in FOR_EVER {
        let waits: Vec<_> = WAITS.iter().map(|(name, begin)| (name, begin(longest))).collect();
        std::thread::sleep(Duration::from_millis(50));
        for (name, wait) in &waits {
            let early = wait.ended.try_recv();
            assert_eq!(early, Err(mpsc::TryRecvError::Empty), "{name} with {longest:?}");
        }
        for (name, wait) in waits {
            (wait.end)();
            assert_eq!(wait.ended.recv_timeout(LONG), Ok(true), "{name} with {longest:?}");
        }
    }
}

#[test]
fn zero_is_at_once() {
    let _watchdog = Watchdog::start(6 * LONG);
    runtime();
    for (name, begin) in WAITS {
        let wait = begin(Duration::ZERO);
        assert_eq!(wait.ended.recv_timeout(LONG), Ok(false), "{name}");
    }
}

#[test]
fn settings_take_every_time() {
    let _watchdog = Watchdog::start(6 * LONG);
    runtime();
    for time in FOR_EVER.into_iter().chain([Duration::ZERO]) {
        for (name, set) in SETTINGS {
            println!("{name} with {time:?}");
            set(time);
        }
    }
}

/// So that a new timed call comes into the tables above.
#[test]
fn every_timed_call_is_in_the_tables() {
    let mut timed = BTreeSet::new();
    timed_calls(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut timed);
    // The typed forms of a call hand the time on to it.
    let typed =
        |name: &str| ["_json", "_proto"].iter().find_map(|form| name.strip_suffix(form)).map(str::to_string);
    let all = timed.clone();
    timed.retain(|name| typed(name).is_none_or(|call| !all.contains(&call)));
    let names = WAITS.iter().map(|(name, _)| *name).chain(SETTINGS.iter().map(|(name, _)| *name));
    let tested: BTreeSet<_> = names.map(|name| name.rsplit("::").next().unwrap().to_string()).collect();
    assert_eq!(timed, tested);
}

/// Names of public functions with a parameter that is a `Duration`.
fn timed_calls(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            timed_calls(&path, found);
            continue;
        }
        // Methods of a public trait do not say that they are public.
        let openings: &[_] =
            if folder.ends_with("ziface") { &["pub fn ", "fn "] } else { &["pub fn ", "pub const fn "] };
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices('\n') {
            let line = text[at..].trim_start();
            let Some(rest) = openings.iter().find_map(|opening| line.strip_prefix(opening)) else { continue };
            let signature = rest.split(['{', ';']).next().unwrap();
            if signature.contains(": Duration") || signature.contains(": Option<Duration>") {
                found.insert(signature.split(['(', '<']).next().unwrap().to_string());
            }
        }
    }
}

/// Servers that are not waited for when the test is over.
fn config() -> Config {
    let mut config = common::config();
    config.drain_ms = 100;
    // Nothing but what a wait is for ends it, however long a busy machine takes to look at all of them.
    (config.first_frame_timeout_ms, config.write_timeout_ms) = (0, 0);
    (config.max_msg_chan_len, config.max_msg_chan_bytes) = (10_000, 2 * LARGE);
    config.max_packet_size = LARGE as u32;
    config
}

fn server() -> Server {
    new_server_with_config(config()).unwrap()
}

/// A client of a server that runs.
fn client_of(running: &Running) -> Client {
    new_client_with_config("127.0.0.1", running.server.local_addr().unwrap().port(), config()).unwrap()
}

/// Longer than what the system still takes once it seems to be full.
const LARGE: usize = 1 << 20;
