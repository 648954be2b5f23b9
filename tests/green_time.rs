//! Coroutines and time: sleeps are never early, and none that is busy starves the others.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::coroutines::{LONG, echo_once, runtime, within};
use zinx::green::{self, Builder, Event, Group, Queue};

#[test]
fn sleep_is_never_early() {
    within(30, || {
        let sleepers: Vec<_> = (0..400u64)
            .map(|n| {
                green::spawn(move || {
                    let duration = Duration::from_micros(n * 97 % 20_000);
                    let start = Instant::now();
                    green::sleep(duration);
                    (duration, start.elapsed())
                })
            })
            .collect();
        for sleeper in sleepers {
            let (asked, slept) = sleeper.get().unwrap();
            assert!(slept >= asked, "asked {asked:?}, slept {slept:?}");
        }
        let start = Instant::now();
        green::sleep(Duration::from_millis(3));
        assert!(start.elapsed() >= Duration::from_millis(3), "also on a thread");
    });
}

#[test]
fn a_coroutine_that_blocks_after_its_sleep_holds_up_no_timer() {
    within(60, || {
        if runtime().workers < 2 {
            return eprintln!("skipped: with one worker, what blocks it holds up all");
        }
        let (blocked, release) = (Arc::new(Event::new()), Arc::new(AtomicBool::new(false)));
        let (theirs, end) = (Arc::clone(&blocked), Arc::clone(&release));
        let blocker = green::spawn(move || {
            green::sleep(Duration::from_millis(2));
            theirs.set();
            // On may's timer thread this would hold up every timer of the process.
            while !end.load(Ordering::Acquire) {
                thread::yield_now();
            }
        });
        assert!(blocked.wait_timeout(LONG));
        // Spawned from threads, so spread over the workers: at least one is free to take them all.
        let (awake, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        for n in 0..20 {
            let (awake, done) = (Arc::clone(&awake), Arc::clone(&done));
            green::spawn(move || {
                green::sleep(Duration::from_millis(n));
                if awake.fetch_add(1, Ordering::AcqRel) == 0 {
                    done.set();
                }
            });
        }
        let woke = done.wait_timeout(LONG);
        release.store(true, Ordering::Release);
        blocker.join();
        assert!(woke, "no timer fired while a coroutine blocked");
    });
}

#[test]
fn loops_of_yield_now_starve_neither_a_sleeper_nor_a_socket() {
    within(60, || {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = Group::new();
        for _ in 0..runtime().workers * 8 {
            let stop = Arc::clone(&stop);
            let spinner = move || {
                while !stop.load(Ordering::Acquire) {
                    green::yield_now();
                }
            };
            flood.spawn(Builder::new(), spinner).unwrap();
        }
        let sleeper = green::spawn(|| (0..20).for_each(|_| green::sleep(Duration::from_millis(1))));
        let (listener, echo) = echo_once();
        let mut stream = std::net::TcpStream::connect(listener).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        for n in 0..100u8 {
            stream.write_all(&[n]).unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [n]);
        }
        drop(stream);
        let slept = sleeper.join_timeout(LONG);
        let answered = echo.join_timeout(LONG);
        stop.store(true, Ordering::Release);
        assert!(flood.join_timeout(LONG));
        assert!(slept && answered, "slept: {slept}, answered: {answered}");
    });
}

#[test]
fn a_busy_pair_on_a_queue_starves_no_socket() {
    within(60, || {
        let queue = Arc::new(Queue::bounded(8));
        let pairs = Group::new();
        for _ in 0..runtime().workers * 2 {
            let (put, get) = (Arc::clone(&queue), Arc::clone(&queue));
            pairs.spawn(Builder::new(), move || while put.put(7).is_ok() {}).unwrap();
            pairs.spawn(Builder::new(), move || while get.get().is_some() {}).unwrap();
        }
        let (listener, echo) = echo_once();
        let mut stream = std::net::TcpStream::connect(listener).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        for n in 0..100u8 {
            stream.write_all(&[n]).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        drop(stream);
        let answered = echo.join_timeout(LONG);
        queue.close();
        assert!(pairs.join_timeout(LONG) && answered);
    });
}
