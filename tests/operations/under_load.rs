//! The admin plane answers while no worker does. In processes of their own: all servers of a process share its workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::prelude::*;

use crate::common::child::in_child;
use crate::common::{ECHO, Peer, Running, frame, start_alone, wait_until};
use crate::http::{config, get, get_json, post};

const BURN: u32 = 30;

/// Within this, every second answer comes. The goal is 50 ms, and half a millisecond is usual; the machine of the tests may have
/// much else to do.
const LIMIT: Duration = Duration::from_millis(500);

#[test]
fn it_answers_while_all_workers_burn_the_processor() {
    in_child("under_load::it_answers_while_all_workers_burn_the_processor", || {
        let (ends, burning) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let running = start_alone(config(), |server| {
            let (ends, burning) = (Arc::clone(&ends), Arc::clone(&burning));
            let burn = move |_: &dyn IRequest| {
                burning.fetch_add(1, Ordering::SeqCst);
                while !ends.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                Ok(())
            };
            server.add_router(BURN, burn).unwrap();
        });
        let workers = get_json(&running, "/varz")["runtime"]["workers"].as_u64().unwrap() as usize;
        // Those who wait for a worker are no reason not to answer either.
        let mut peers: Vec<_> = (0..4 * workers + 4).map(|_| running.connect()).collect();
        peers.iter_mut().for_each(|peer| peer.send(&frame(BURN, b"")));
        wait_until("all workers burn", || burning.load(Ordering::SeqCst) >= workers);
        let all = ["/healthz", "/readyz", "/varz", "/connz?sort=pending", "/connz/0", "/groupz", "/greenz"];
        time_answers(&running, &all);
        let longest = get_json(&running, "/connz?sort=waiting");
        let first = &longest["entries"][0]["waits"];
        assert_eq!((&first["what"], &first["in"]), (&"runs".into(), &"the handler of message 30".into()));
        assert_eq!(post(&running, "/connz/0/kick").status, 200);
        assert_eq!(get_json(&running, "/connz/0")["state"], "closing");
        assert!(burning.load(Ordering::SeqCst) >= workers && !ends.load(Ordering::SeqCst));
        ends.store(true, Ordering::SeqCst);
        peers.iter().for_each(Peer::finish);
    });
}

#[test]
fn it_answers_beside_sixteen_floods() {
    in_child("under_load::it_answers_beside_sixteen_floods", || {
        let running = start_alone(config(), |_| {});
        let ends = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = (0..16)
            .map(|_| {
                let (peer, ends) = (running.connect(), Arc::clone(&ends));
                std::thread::spawn(move || flood(peer, &ends))
            })
            .collect();
        let requests = || get_json(&running, "/varz")["counters"]["requests"].as_u64().unwrap();
        wait_until("they flow", || requests() > 2000);
        time_answers(&running, &["/varz", "/connz?sort=messages&limit=1"]);
        let busiest = get_json(&running, "/connz?sort=messages&limit=1");
        assert!(busiest["entries"][0]["messages"].as_u64().unwrap() > 0, "{busiest}");
        ends.store(true, Ordering::Relaxed);
        let sent: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        assert!(requests() <= sent && sent > 0, "{} messages of {sent}", requests());
    });
}

/// Sends and reads as fast as it can; returns how many messages that were.
fn flood(mut peer: Peer, ends: &AtomicBool) -> u64 {
    let frames = frame(ECHO, &[b'x'; 40]).repeat(200);
    let mut sent = 0;
    while !ends.load(Ordering::Relaxed) {
        peer.send(&frames);
        peer.read_exactly(frames.len());
        sent += 200;
    }
    sent
}

/// Asks for all of these paths, ten times.
fn time_answers(running: &Running, paths: &[&str]) {
    let mut times = Vec::new();
    for path in paths.iter().cycle().take(10 * paths.len()) {
        let begun = Instant::now();
        assert_eq!(get(running, path).status, 200, "{path}");
        times.push(begun.elapsed());
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("answers: median {median:?}, most {most:?}");
    assert!(median < LIMIT, "{times:?}");
}
