//! Ten thousand timers while handlers block: none is early, none waits for the handlers, and heartbeats are on time.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Peer, config, frame, start_alone};
use zinx::green::{self, Builder};
use zinx::ziface::{HEART_BEAT_DEFAULT_MSG_ID, IRequest};

/// Sleeps, and then blocks its thread, again and again.
const BLOCK: u32 = 7;

const TIMERS: u64 = 10_000;

const BEAT: Duration = Duration::from_millis(100);

#[test]
fn ten_thousand_timers_are_on_time_and_so_are_heartbeats_while_handlers_block_after_a_sleep() {
    let over = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&over);
    let running = start_alone(config(), |server| {
        server.start_heart_beat(BEAT).unwrap();
        let block = move |_: &dyn IRequest| {
            while !end.load(Ordering::Acquire) {
                green::sleep(Duration::from_millis(20));
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        };
        server.add_router(BLOCK, block).unwrap();
    });
    let mut blocking: Vec<_> = (0..2).map(|_| running.connect()).collect();
    blocking.iter_mut().for_each(|peer| peer.send(&frame(BLOCK, b"")));
    let mut peer = running.connect();
    peer.read_frame();
    // One try is enough: the machine may stand still for seconds in another.
    let on_time = (0..3).any(|_| are_on_time(&mut peer));
    over.store(true, Ordering::Release);
    assert!(on_time, "three times late");
}

/// Starts the timers and hears heartbeats meanwhile. Whether all were on time.
fn are_on_time(peer: &mut Peer) -> bool {
    let timers: Vec<_> = (0..TIMERS)
        .map(|n| {
            let body = move || {
                let asked = Duration::from_micros(n * 7919 % 2_000_000);
                let begun = Instant::now();
                green::sleep(asked);
                begun.elapsed().checked_sub(asked).expect("not early")
            };
            Builder::new().spawn(body).unwrap()
        })
        .collect();
    let mut gaps: Vec<_> = (0..25)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(peer.read_frame().0, HEART_BEAT_DEFAULT_MSG_ID);
            begun.elapsed()
        })
        .collect();
    let mut late: Vec<_> = timers.into_iter().map(|timer| timer.get().unwrap()).collect();
    gaps.sort();
    late.sort();
    let (half, most) = (late[late.len() / 2], late[late.len() * 99 / 100]);
    eprintln!(
        "late by {half:?} (half), {most:?} (99 %); heartbeats every {:?} to {:?}, half {:?}",
        gaps[0], gaps[24], gaps[12]
    );
    // Timers that run one after the other behind what blocks would be seconds late.
    let timers_are = half < Duration::from_millis(500) && most < Duration::from_secs(3);
    timers_are && gaps[12] < 5 * BEAT && gaps[24] < Duration::from_secs(3)
}
