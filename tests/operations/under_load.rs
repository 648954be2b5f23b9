//! The admin plane answers while no worker does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::prelude::*;

use crate::common::{Peer, frame, start_alone, wait_until};
use crate::http::{config, get, get_json, post};

const BURN: u32 = 30;

/// Fifty milliseconds are the goal on a machine that has nothing else to do; the machine of the tests has.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn it_answers_while_all_workers_burn_the_processor() {
    let (ends, burning) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (ends, burning) = (Arc::clone(&ends), Arc::clone(&burning));
        move |_: &dyn IRequest| {
            burning.fetch_add(1, Ordering::SeqCst);
            while !ends.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            Ok(())
        }
    };
    let running = start_alone(config(), |server| server.add_router(BURN, handler).unwrap());
    let workers = get_json(&running, "/varz")["runtime"]["workers"].as_u64().unwrap() as usize;
    // Connections that wait for a worker for ever are no reason not to answer either.
    let mut peers: Vec<_> = (0..4 * workers + 4).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.send(&frame(BURN, b"")));
    wait_until("all workers burn", || burning.load(Ordering::SeqCst) >= workers);
    let mut times = Vec::new();
    let paths =
        ["/healthz", "/readyz", "/varz", "/connz?sort=pending", "/connz/0", "/groupz", "/userz", "/greenz"];
    for path in paths.iter().cycle().take(10 * paths.len()) {
        let begun = Instant::now();
        assert_eq!(get(&running, path).status, 200, "{path}");
        times.push(begun.elapsed());
    }
    assert!(burning.load(Ordering::SeqCst) >= workers && !ends.load(Ordering::SeqCst));
    times.sort();
    println!(
        "answers while {workers} workers burn: median {:?}, most {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(times[times.len() - 1] < LIMIT, "{times:?}");
    assert_eq!(post(&running, "/connz/0/kick").status, 200);
    assert_eq!(get_json(&running, "/connz/0")["state"], "closing");
    ends.store(true, Ordering::SeqCst);
    peers.iter().for_each(Peer::finish);
}

#[test]
fn it_answers_beside_sixteen_floods() {
    let running = start_alone(config(), |_| {});
    let flood = frame(crate::common::ECHO, b"0123456789012345678901234567890123456789").repeat(200);
    let ends = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..16)
        .map(|_| {
            let (mut peer, flood, ends) = (running.connect(), flood.clone(), Arc::clone(&ends));
            std::thread::spawn(move || {
                let mut rounds = 0;
                while !ends.load(Ordering::Relaxed) {
                    peer.send(&flood);
                    peer.read_exactly(flood.len());
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    wait_until("they flow", || {
        get_json(&running, "/varz")["counters"]["requests"].as_u64().unwrap() > 10_000
    });
    let begun = Instant::now();
    for _ in 0..20 {
        let busiest = get_json(&running, "/connz?sort=messages&limit=1");
        assert!(busiest["entries"][0]["messages"].as_u64().unwrap() > 0);
    }
    assert!(begun.elapsed() < 20 * LIMIT);
    ends.store(true, Ordering::Relaxed);
    let rounds: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    let all = get_json(&running, "/varz")["counters"]["requests"].as_u64().unwrap();
    assert!(all <= rounds as u64 * 200 && rounds > 0, "{all} messages of {rounds} rounds");
}
