//! Thousands of connections: answers have a part of them, and so has the live page.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use zinx::green::raise_open_files;

use crate::common::child::in_child;
use crate::common::{Peer, Running, start_alone, wait_until};
use crate::http::{config, get, get_json};

/// `ZINX_TEST_CROWD` says how many connections, in place of 2,000; each takes two descriptors of this process.
fn size() -> usize {
    let asked = std::env::var("ZINX_TEST_CROWD").map_or(2000, |count| count.parse().unwrap());
    let room = getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |most| most as usize);
    asked.min(room.saturating_sub(400) / 2)
}

#[test]
fn answers_and_the_live_page_have_a_part_of_thousands_of_connections() {
    in_child("crowd::answers_and_the_live_page_have_a_part_of_thousands_of_connections", || {
        let size = size();
        raise_open_files(2 * size + 400);
        let mut config = config();
        config.max_conn = size;
        // Most of them never say anything, however long a busy machine takes for all this.
        config.first_frame_timeout_ms = 0;
        let running = start_alone(config, |_| {});
        let mut peers: Vec<_> = (0..size).map(|_| running.connect()).collect();
        wait_until("all are connected", || get_json(&running, "/connz?limit=1")["matched"] == size);
        peers.iter_mut().rev().take(10).for_each(Peer::check_echo);
        for query in
            ["", "sort=waiting", "sort=pending", "sort=rtt", "sort=messages", "search=127", "user=ann"]
        {
            time(&running, &format!("/connz?{query}"), 100);
        }
        time(&running, "/connz?limit=10000", 10_000);
        time(&running, "/connz?sort=rtt&limit=50&offset=1000", 50);
        assert_eq!(get(&running, "/connz?limit=10001").status, 400);
        time(&running, "/greenz?limit=100", 100);
        let begun = Instant::now();
        assert!(get(&running, "/metrics").body.contains(&format!("\nzinx_connections {size}\n")));
        eprintln!("/metrics of {size} connections: {:?}", begun.elapsed());
        look_in_chromium(&running, size);
    });
}

/// Asks for a list, which has so many entries at most.
fn time(running: &Running, path: &str, most: usize) {
    let begun = Instant::now();
    let answer = get_json(running, path);
    let took = begun.elapsed();
    let list = if answer["entries"].is_null() { &answer["coroutines"] } else { &answer };
    let shown = list["entries"].as_array().unwrap().len();
    let matched = list["matched"].as_u64().unwrap() as usize;
    assert!(shown <= most && shown <= matched, "{path}: {shown} of {matched}");
    eprintln!("{path}: {shown} of {matched} in {took:?}");
    // The page and the command wait for ten.
    assert!(took < Duration::from_secs(10), "{path} took {took:?}");
}

fn look_in_chromium(running: &Running, size: usize) {
    if std::env::var_os("ZINX_TEST_CHROMIUM").is_none() {
        return eprintln!(
            "skipped: the live page of a crowd in Chromium, because ZINX_TEST_CHROMIUM names none"
        );
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operations/crowd.mjs");
    let plane = format!("http://{}/", running.server.admin_addr().unwrap());
    let mut node = Command::new("node");
    let said = node.args(["--experimental-websocket", script, &plane, &size.to_string()]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    eprint!("{out}");
}
