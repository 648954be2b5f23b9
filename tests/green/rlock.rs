//! A reentrant lock: one holder at a time, however often it has it, and back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, all_at_once, with_seeds};
use zinx::green::{self, RLock};

#[test]
fn the_holder_takes_it_again_and_others_wait_until_all_is_given_back() {
    within(30, || {
        let lock = Arc::new(RLock::new(7));
        let outer = lock.acquire();
        let inner = lock.try_acquire().unwrap();
        let third = lock.acquire_timeout(Duration::ZERO).unwrap();
        assert_eq!((*outer, *inner, *third), (7, 7, 7));
        let theirs = Arc::clone(&lock);
        assert!(green::run(move || theirs.try_acquire().is_none()), "a coroutine is another than its thread");
        let theirs = Arc::clone(&lock);
        let timed = green::run(move || theirs.acquire_timeout(Duration::from_millis(2)).is_none());
        assert!(timed);
        let theirs = Arc::clone(&lock);
        let waiting = green::spawn(move || *theirs.acquire());
        drop(outer);
        drop(third);
        assert!(!waiting.join_timeout(Duration::from_millis(5)), "it is still held once");
        drop(inner);
        assert_eq!(waiting.get().unwrap(), 7);
        assert!(!lock.is_locked());
    });
}

#[test]
fn it_is_kept_across_a_wait_also_where_the_coroutine_goes_on_on_another_thread() {
    within(30, || {
        let lock = Arc::new(RLock::new(()));
        let holders: Vec<_> = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                green::spawn(move || {
                    for _ in 0..20 {
                        let _outer = lock.acquire();
                        green::sleep(Duration::from_micros(50));
                        assert!(lock.try_acquire().is_some(), "it knows its holder");
                    }
                })
            })
            .collect();
        holders.into_iter().for_each(|holder| holder.get().unwrap());
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_panic_gives_it_back() {
    within(30, || {
        let lock = Arc::new(RLock::new(()));
        let theirs = Arc::clone(&lock);
        let panicked = green::spawn(move || {
            let _outer = theirs.acquire();
            let _inner = theirs.acquire();
            panic!("on purpose: with the lock in hand");
        });
        panicked.join();
        let theirs = Arc::clone(&lock);
        assert!(thread::spawn(move || theirs.acquire_timeout(LONG).is_some()).join().unwrap());
    });
}

#[test]
fn there_is_one_holder_at_a_time_under_random_schedules() {
    within(120, || with_seeds(15, check));
}

fn check(seed: u64) {
    let lock = Arc::new(RLock::new(AtomicU64::new(0)));
    let theirs = Arc::clone(&lock);
    all_at_once(6, move |actor| {
        let mut random = Random::new(seed * 100 + actor);
        for _ in 0..40 {
            random.pause();
            let outer = match random.below(3) {
                0 => Some(theirs.acquire()),
                1 => theirs.acquire_timeout(random.short()),
                _ => theirs.try_acquire(),
            };
            let Some(outer) = outer else { continue };
            assert_eq!(outer.swap(actor + 1, Ordering::AcqRel), 0, "seed {seed}");
            random.pause();
            let inner = theirs.acquire();
            random.pause();
            assert_eq!(inner.swap(0, Ordering::AcqRel), actor + 1, "seed {seed}");
            // Either may go first.
            if random.below(2) == 0 { drop(outer) } else { drop(inner) }
        }
    });
    assert!(!lock.is_locked(), "seed {seed}");
}
