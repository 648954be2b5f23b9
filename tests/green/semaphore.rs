//! A semaphore: never more holders than permits, first come first served, no permit lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, all_at_once, with_seeds};
use zinx::green::{self, BoundedSemaphore, Greenlet, Queue, Semaphore, TooManyPermits};

#[test]
fn permits_come_back_when_they_are_dropped() {
    within(30, || {
        let semaphore = Semaphore::new(2);
        let (first, second) = (semaphore.acquire(), semaphore.try_acquire());
        assert!(second.is_some() && semaphore.is_locked());
        assert!(semaphore.try_acquire().is_none());
        assert!(semaphore.acquire_timeout(Duration::from_millis(2)).is_none());
        drop(first);
        assert_eq!(semaphore.available(), 1);
        let panicked = green::spawn({
            let semaphore = semaphore.clone();
            move || {
                let _permit = semaphore.acquire();
                panic!("on purpose: with a permit in hand");
            }
        });
        panicked.join();
        assert_eq!(semaphore.available(), 1);
        second.unwrap().forget();
        assert_eq!(semaphore.available(), 1, "forgotten, it does not come back");
        semaphore.release();
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn a_bounded_semaphore_refuses_one_release_too_many() {
    within(30, || {
        let semaphore = BoundedSemaphore::new(1);
        assert_eq!(semaphore.release(), Err(TooManyPermits { bound: 1 }));
        let permit = semaphore.acquire();
        assert!(semaphore.is_locked());
        permit.forget();
        semaphore.release().unwrap();
        assert_eq!(semaphore.available(), 1);
        drop(semaphore.acquire_timeout(LONG).unwrap());
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn the_one_that_has_waited_longest_is_served_first() {
    within(60, || {
        let first_come_first_served = || {
            let semaphore = Semaphore::new(1);
            let order = Arc::new(Queue::unbounded());
            let permit = semaphore.acquire();
            let waiting: Vec<_> = (0..5)
                .map(|n| {
                    let (theirs, order) = (semaphore.clone(), Arc::clone(&order));
                    let waiting = green::spawn(move || {
                        let _permit = theirs.acquire();
                        order.put(n).unwrap();
                        // Held while others wait: they must not get past.
                        green::yield_now();
                    });
                    // Nothing tells from outside that it waits: on a busy machine it may not yet.
                    waiting.join_timeout(Duration::from_millis(5));
                    waiting
                })
                .collect();
            drop(permit);
            if semaphore.try_acquire().is_some() {
                assert_eq!(order.len(), 5, "overtaken: a permit that comes back belongs to who waits");
            }
            waiting.iter().for_each(Greenlet::join);
            order.close();
            order.iter().is_sorted()
        };
        assert!((0..10).any(|_| first_come_first_served()));
    });
}

#[test]
fn there_are_never_more_holders_than_permits_and_none_is_lost_under_random_schedules() {
    within(120, || with_seeds(20, check));
}

fn check(seed: u64) {
    let permits = 1 + seed as usize % 3;
    let semaphore = BoundedSemaphore::new(permits);
    let (theirs, holders) = (semaphore.clone(), AtomicUsize::new(0));
    let held: usize = all_at_once(9, move |actor| {
        let mut random = Random::new(seed * 100 + actor);
        let mut held = 0;
        for _ in 0..60 {
            random.pause();
            let permit = match random.below(3) {
                0 => Some(theirs.acquire()),
                1 => theirs.acquire_timeout(random.short()),
                _ => theirs.try_acquire(),
            };
            let Some(permit) = permit else { continue };
            assert!(holders.fetch_add(1, Ordering::AcqRel) < permits, "seed {seed}");
            random.pause();
            holders.fetch_sub(1, Ordering::AcqRel);
            held += 1;
            drop(permit);
        }
        held
    })
    .into_iter()
    .sum();
    assert_eq!(semaphore.available(), permits, "seed {seed}");
    assert!(held >= 9 * 60 / 10, "seed {seed}: {held} times");
}
