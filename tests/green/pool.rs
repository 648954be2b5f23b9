//! Several coroutines at once: bounded by a pool, joined, waited for in the order in which they end, with values of
//! their own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::coroutines::within;
use zinx::green::{self, Event, Exit, Failed, Greenlet, Local, Pool, Queue};

#[test]
fn a_pool_of_two_counts_its_places_and_then_waits() {
    within(30, || {
        let (pool, go) = (Pool::new(2), Arc::new(Event::new()));
        let wait = || {
            let go = Arc::clone(&go);
            move || go.wait()
        };
        assert_eq!((pool.size(), pool.free_count()), (2, 2));
        pool.spawn(wait());
        assert_eq!(pool.free_count(), 1);
        assert!(pool.try_spawn(wait()).is_ok());
        assert_eq!((pool.free_count(), pool.len()), (0, 2));
        assert!(pool.try_spawn(wait()).is_err(), "it gives the body back");
        let (theirs, third) = (pool.clone(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&third);
        let spawner = green::spawn(move || {
            theirs.spawn(move || count.fetch_add(1, Ordering::Relaxed)).join();
        });
        assert!(!spawner.join_timeout(Duration::from_millis(5)), "it waits for a place");
        assert!(!pool.join_timeout(Duration::from_millis(1)));
        go.set();
        spawner.join();
        pool.join();
        assert_eq!((third.load(Ordering::Relaxed), pool.free_count(), pool.is_empty()), (1, 2, true));
    });
}

#[test]
fn places_come_back_from_those_that_panic_or_are_killed() {
    within(30, || {
        let pool = Pool::new(3);
        let panics = pool.spawn(|| panic!("on purpose"));
        let stuck: Vec<_> = (0..2).map(|_| pool.spawn(|| green::sleep(FOR_EVER))).collect();
        assert!(matches!(panics.get(), Err::<(), _>(Failed::Panicked(_))));
        pool.kill();
        assert!(stuck.iter().all(|greenlet| greenlet.coroutine().exit() == Some(Exit::Killed)));
        assert_eq!((pool.free_count(), pool.len()), (3, 0));
        assert_eq!(pool.spawn(|| 7).get().unwrap(), 7);
    });
}

#[test]
fn a_spawner_killed_while_it_waits_for_a_place_takes_none() {
    within(30, || {
        let (pool, go) = (Pool::new(1), Arc::new(Event::new()));
        let theirs = Arc::clone(&go);
        pool.spawn(move || theirs.wait());
        let spawners: Vec<_> = (0..10)
            .map(|_| {
                let pool = pool.clone();
                green::spawn(move || pool.spawn(|| {}).join())
            })
            .collect();
        green::killall(&spawners[..5]);
        go.set();
        assert!(green::joinall_timeout(&spawners, LONG));
        pool.join();
        assert_eq!(pool.free_count(), 1);
    });
}

#[test]
fn map_keeps_the_order_and_an_error_its_place() {
    within(30, || {
        let results = Pool::new(3).map(0..10u64, |n| {
            green::sleep(Duration::from_micros(200 * (10 - n)));
            assert!(n != 4, "four");
            n
        });
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert_eq!(value, n as u64),
                Err(failed) => assert_eq!((n, failed.to_string().as_str()), (4, "four")),
            }
        }
    });
}

#[test]
fn random_schedules_never_overfill_a_pool_and_lose_nothing() {
    for seed in 1..=20 {
        println!("seed {seed}");
        within(60, move || random_schedule(seed));
    }
}

/// Members that sleep, yield, panic or are killed while others spawn: never more at once than places, each counted once.
fn random_schedule(seed: u64) {
    let mut random = Random(seed);
    let size = 1 + random.below(4) as usize;
    let (pool, running) = (Pool::new(size), Arc::new(AtomicUsize::new(0)));
    let (most, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let spawners: Vec<_> = (0..3)
        .map(|_| {
            let (pool, running) = (pool.clone(), Arc::clone(&running));
            let (most, ran, mut random) = (Arc::clone(&most), Arc::clone(&ran), Random(random.next()));
            green::spawn(move || {
                let mut members = Vec::new();
                for _ in 0..20 {
                    let (running, most, ran) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&ran));
                    let (kind, micros) = (random.below(8), random.below(300));
                    let body = move || {
                        let _inside = Inside::enter(&running, &most);
                        ran.fetch_add(1, Ordering::Relaxed);
                        match kind {
                            0 => panic!("on purpose"),
                            1 => green::sleep(FOR_EVER),
                            2 => green::yield_now(),
                            3 => {}
                            _ => green::sleep(Duration::from_micros(micros)),
                        }
                    };
                    let member = if random.below(4) == 0 {
                        pool.try_spawn(body).unwrap_or_else(|body| pool.spawn(body))
                    } else {
                        pool.spawn(body)
                    };
                    if kind == 1 {
                        member.kill_timeout(Duration::ZERO);
                    }
                    members.push(member);
                }
                members
            })
        })
        .collect();
    let members: Vec<Greenlet<()>> = green::joinall(spawners).unwrap().into_iter().flatten().collect();
    pool.join();
    assert!(green::joinall_timeout(&members, LONG));
    let killed = members.iter().filter(|member| member.coroutine().exit() == Some(Exit::Killed)).count();
    let (most, ran) = (most.load(Ordering::Relaxed), ran.load(Ordering::Relaxed));
    assert!(most <= size, "seed {seed}: {most} at once in a pool of {size}");
    assert!(ran <= 60 && ran + killed >= 60, "seed {seed}: {ran} ran, {killed} killed, of 60");
    assert_eq!((pool.free_count(), pool.len(), running.load(Ordering::Relaxed)), (size, 0, 0), "seed {seed}");
}

// Waiting for several.

#[test]
fn joinall_gives_the_values_in_order_and_reports_the_earliest_failure() {
    within(30, || {
        let sleepers = [30, 1, 10].map(|n| {
            green::spawn(move || {
                green::sleep(Duration::from_millis(n));
                n
            })
        });
        assert_eq!(green::joinall(sleepers).unwrap(), [30, 1, 10]);
        let gate = Arc::new(Event::new());
        let theirs = Arc::clone(&gate);
        let late = green::spawn(move || {
            theirs.wait();
            panic!("late")
        });
        let early = green::spawn(|| -> () { panic!("early") });
        let failed = green::joinall([late, early, green::spawn(|| green::sleep(FOR_EVER))]).unwrap_err();
        assert_eq!(failed.to_string(), "early");
        gate.set();
        assert!(green::joinall(Vec::<Greenlet<()>>::new()).unwrap().is_empty());
    });
}

#[test]
fn iwait_gives_each_once_in_the_order_of_their_ends() {
    within(30, || {
        let gates: Vec<_> = (0..4).map(|_| Arc::new(Event::new())).collect();
        let waiting = gates.iter().enumerate().map(|(n, gate)| {
            let gate = Arc::clone(gate);
            green::spawn(move || {
                gate.wait();
                n
            })
        });
        let mut ends = green::iwait(waiting);
        assert_eq!(ends.size_hint(), (4, Some(4)));
        for n in [3, 1, 0, 2] {
            gates[n].set();
            assert_eq!(ends.next().unwrap().get().unwrap(), n);
        }
        assert!(ends.next().is_none());
    });
}

#[test]
fn wait_any_says_what_is_ready_and_takes_nothing() {
    within(30, || {
        let (event, queue) = (Arc::new(Event::new()), Arc::new(Queue::bounded(2)));
        let ends = green::spawn(|| green::sleep(FOR_EVER));
        assert_eq!(green::wait_any_timeout(&[&*event, &*queue, &ends], Duration::from_millis(5)), None);
        let theirs = Arc::clone(&queue);
        let putter = green::spawn(move || theirs.put(7).unwrap());
        assert_eq!(green::wait_any(&[&*event, &*queue, &ends]), 1);
        assert_eq!(queue.try_get(), Ok(7), "it is still there");
        putter.join();
        ends.kill();
        assert_eq!(green::wait_any(&[&*event, &*queue, &ends]), 2);
        event.set();
        assert_eq!(green::wait_any(&[&*event, &*queue, &ends]), 0, "the first of several");
    });
}

#[test]
fn spawn_later_begins_later_and_never_where_it_is_killed_before() {
    within(30, || {
        let start = Instant::now();
        let began = green::spawn_later(Duration::from_millis(5), Instant::now).get().unwrap();
        assert!(began - start >= Duration::from_millis(5));
        let never = green::spawn_later(FOR_EVER, || ());
        never.kill();
        assert!(matches!(never.get(), Err(Failed::Killed)));
    });
}

// Values of their own.

#[test]
fn each_coroutine_has_its_own_local_value_wherever_it_runs() {
    static NUMBER: Local<usize> = Local::new(|| 0);
    within(30, || {
        NUMBER.set(1000);
        let coroutines = (1..=100).map(|n| {
            green::spawn(move || {
                assert_eq!(NUMBER.replace(n), 0);
                for _ in 0..10 {
                    green::yield_now();
                    green::sleep(Duration::from_micros(50));
                    assert_eq!(NUMBER.get(), n);
                }
            })
        });
        green::joinall(coroutines).unwrap();
        assert_eq!((NUMBER.take(), NUMBER.get()), (1000, 0));
    });
}

#[test]
fn local_values_are_dropped_when_their_coroutine_ends() {
    static GUARD: Local<Option<Arc<()>>> = Local::new(|| None);
    within(30, || {
        let guard = Arc::new(());
        for kill in [false, true] {
            let theirs = Arc::clone(&guard);
            let holder = green::spawn(move || {
                GUARD.set(Some(theirs));
                if kill {
                    green::current().unwrap().kill();
                }
            });
            holder.join();
            assert_eq!(Arc::strong_count(&guard), 1);
        }
    });
}

#[test]
fn everybody_alive_is_listed_with_what_it_waits_for() {
    within(30, || {
        let names = ["reads", "sleeps"];
        let queue = Arc::new(Queue::<()>::bounded(1));
        let theirs = Arc::clone(&queue);
        let reads = green::Builder::new().name(names[0]).spawn(move || theirs.get()).unwrap();
        let sleeps = green::Builder::new().name(names[1]).spawn(|| green::sleep(FOR_EVER)).unwrap();
        let listed = || {
            let dump = green::dump();
            dump.contains("\"reads\" waits for an item") && dump.contains("\"sleeps\" sleeps")
        };
        while !listed() {
            thread::sleep(Duration::from_millis(1));
        }
        let ids: BTreeSet<_> = green::coroutines().iter().map(green::Coroutine::id).collect();
        assert!(ids.contains(&reads.coroutine().id()) && ids.contains(&sleeps.coroutine().id()));
        let both = [reads.coroutine().clone(), sleeps.coroutine().clone()];
        both.iter().for_each(green::Coroutine::kill);
        assert!(both.iter().all(|ended| !green::coroutines().contains(ended)));
    });
}

/// Counts those inside, and the most at once.
struct Inside<'a>(&'a AtomicUsize);

impl<'a> Inside<'a> {
    fn enter(running: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        let now = running.fetch_add(1, Ordering::Relaxed) + 1;
        most.fetch_max(now, Ordering::Relaxed);
        Self(running)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const LONG: Duration = Duration::from_secs(10);
const FOR_EVER: Duration = Duration::from_secs(3600);
