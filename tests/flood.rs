//! Floods: connections that always have more to read do not hold up the others.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{ECHO, config, frame, start, wait_until};
use zinx::ziface::IRequest;

/// The message id whose handler takes a while and answers nothing.
const WORK: u32 = 7;

const FLOODERS: usize = 16;
const ROUNDS: usize = 200;

#[test]
fn sixteen_flooding_connections_hold_up_nobody_else() {
    let worked = Arc::new(AtomicUsize::new(0));
    let done = Arc::clone(&worked);
    let running = start(config(), |server| {
        let router = move |_: &dyn IRequest| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        server.add_router(WORK, router).unwrap();
    });
    let mut peer = running.connect();
    let flooders: Vec<_> = (0..FLOODERS).map(|_| running.connect()).collect();
    let closers: Vec<_> = flooders.iter().map(|flooder| flooder.stream.try_clone().unwrap()).collect();
    let threads: Vec<_> = flooders
        .into_iter()
        .map(|mut flooder| {
            let requests = frame(WORK, &[0; 32]).repeat(1000);
            thread::spawn(move || while flooder.stream.write_all(&requests).is_ok() {})
        })
        .collect();
    wait_until("the flood", || worked.load(Ordering::Relaxed) > 1000);

    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            peer.check_echo();
            start.elapsed()
        })
        .collect();
    times.sort();
    let (half, most, worst) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100], times[ROUNDS - 1]);
    eprintln!("beside {FLOODERS} floods: p50 {half:?}, p99 {most:?}, at most {worst:?}");
    // Where a flood is served to its end first, an answer takes a second and more. Floods, clients and workers share the
    // processors with whatever else runs, so only the median is a matter of the server alone.
    assert!(half < Duration::from_millis(250), "p50 {half:?}, p99 {most:?}, at most {worst:?}");

    closers.iter().for_each(|flooder| flooder.shutdown(std::net::Shutdown::Both).unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    peer.send(&frame(ECHO, b""));
    assert_eq!(peer.read_frame(), (ECHO, vec![]));
}
