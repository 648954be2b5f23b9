//! `gevent.lock`, and the rest of Python's `threading` that a monkey-patched program uses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zinx::green::{
    self, Barrier, BoundedSemaphore, BrokenBarrier, Condition, DummySemaphore, Failed, RLock, Semaphore,
};

use super::common::coroutines::LONG;
use super::{Count, SHORT, comes_true, endless, test, until_it, waiting};

const AWAITS_CONDITION: &str = "waits for a condition";
const AWAITS_BARRIER: &str = "waits at a barrier";

#[test]
fn a_semaphore_counts_and_says_whether_it_is_locked() {
    test(|| {
        let semaphore = Semaphore::new(2);
        assert_eq!((semaphore.available(), semaphore.is_locked()), (2, false));
        let (one, two) = (semaphore.acquire(), semaphore.try_acquire());
        assert!(two.is_some());
        assert_eq!((semaphore.available(), semaphore.is_locked()), (0, true));
        assert!(semaphore.try_acquire().is_none());
        assert!(semaphore.acquire_timeout(SHORT).is_none());
        drop(one);
        assert_eq!(semaphore.available(), 1);
        two.unwrap().forget();
        assert_eq!(semaphore.available(), 1);
        semaphore.release();
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn a_semaphore_serves_in_the_order_of_arrival_and_nobody_overtakes() {
    test(|| {
        let (semaphore, order) = (Semaphore::new(0), Arc::new(Mutex::new(Vec::new())));
        let waiters: Vec<_> = (0..5)
            .map(|n| {
                let (semaphore, order) = (semaphore.clone(), Arc::clone(&order));
                waiting(move || {
                    let _permit = semaphore.acquire();
                    order.lock().unwrap().push(n);
                })
            })
            .collect();
        semaphore.release();
        green::joinall(waiters).unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_permit_meant_for_one_that_is_killed_goes_to_the_next() {
    test(|| {
        let semaphore = Semaphore::new(0);
        let (theirs, others) = (semaphore.clone(), semaphore.clone());
        let victim = waiting(move || drop(theirs.acquire()));
        let next = waiting(move || drop(others.acquire()));
        victim.kill();
        semaphore.release();
        next.get().unwrap();
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_bounded_semaphore_refuses_one_release_too_many() {
    test(|| {
        let semaphore = BoundedSemaphore::new(1);
        let refused = semaphore.release().unwrap_err();
        assert_eq!(refused.bound, 1);
        assert_eq!(refused.to_string(), "released more often than acquired: all 1 permits are free");
        semaphore.acquire().forget();
        assert!(semaphore.is_locked());
        assert!(semaphore.try_acquire().is_none());
        assert!(semaphore.acquire_timeout(Duration::ZERO).is_none());
        assert_eq!(semaphore.release(), Ok(()));
        assert!(semaphore.release().is_err());
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_dummy_semaphore_holds_nobody_back() {
    test(|| {
        let semaphore = DummySemaphore::new();
        let permits: Vec<_> = (0..100).map(|_| semaphore.acquire()).collect();
        assert!(semaphore.try_acquire().is_some());
        assert!(semaphore.acquire_timeout(Duration::ZERO).is_some());
        assert!(!semaphore.is_locked());
        semaphore.release();
        drop(permits);
        assert_eq!(semaphore.available(), usize::MAX);
        assert_eq!(size_of::<DummySemaphore>(), 0);
    });
}

#[test]
fn an_rlock_belongs_to_the_coroutine_that_took_it() {
    test(|| {
        let lock = Arc::new(RLock::new(()));
        assert!(!lock.is_owned() && !lock.is_locked());
        let outer = lock.acquire();
        let inner = lock.try_acquire();
        assert!(inner.is_some() && lock.is_owned());
        let theirs = Arc::clone(&lock);
        let refused = green::spawn(move || {
            (theirs.is_owned(), theirs.try_acquire().is_some(), theirs.acquire_timeout(SHORT).is_some())
        });
        assert_eq!(refused.get().unwrap(), (false, false, false));
        drop(outer);
        assert!(lock.is_owned(), "taken twice, given back once");
        drop(inner);
        assert!(!lock.is_owned() && !lock.is_locked());
        let theirs = Arc::clone(&lock);
        assert!(green::spawn(move || theirs.try_acquire().is_some()).get().unwrap());
    });
}

#[test]
fn an_rlock_is_fair_and_comes_back_after_a_panic_and_a_kill() {
    test(|| {
        let lock = Arc::new(RLock::new(()));
        for ends in [true, false] {
            let theirs = Arc::clone(&lock);
            let holder = waiting(move || {
                let _held = theirs.acquire();
                if ends {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                green::sleep(LONG);
            });
            holder.kill();
            assert!(!lock.is_locked());
        }
        let held = lock.acquire();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let (lock, order) = (Arc::clone(&lock), Arc::clone(&order));
                waiting(move || {
                    let _held = lock.acquire();
                    order.lock().unwrap().push(n);
                })
            })
            .collect();
        drop(held);
        green::joinall(waiters).unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_condition_lets_its_lock_go_while_it_waits() {
    test(|| {
        let condition = Arc::new(Condition::new(AtomicUsize::new(0)));
        let theirs = Arc::clone(&condition);
        let waiter = green::spawn(move || {
            let held = theirs.acquire();
            held.wait();
            let owned = theirs.is_locked();
            (held.load(Ordering::Relaxed), owned)
        });
        until_it(waiter.coroutine(), AWAITS_CONDITION);
        assert!(!condition.is_locked());
        let held = condition.acquire();
        held.store(7, Ordering::Relaxed);
        held.notify(1);
        // It has been notified, and cannot go on before the lock is free.
        until_it(waiter.coroutine(), "waits for a lock");
        assert!(!waiter.ready() && condition.is_locked());
        drop(held);
        assert_eq!(waiter.get().unwrap(), (7, true));
        assert!(!condition.is_locked());
    });
}

#[test]
fn notify_wakes_as_many_as_it_says_the_longest_waiting_first() {
    test(|| {
        let (condition, order) = (Arc::new(Condition::default()), Arc::new(Mutex::new(Vec::new())));
        let waiters: Vec<_> = (0..5)
            .map(|n| {
                let (condition, order): (Arc<Condition>, _) = (Arc::clone(&condition), Arc::clone(&order));
                let waiter = green::spawn(move || {
                    let held = condition.acquire();
                    held.wait();
                    order.lock().unwrap().push(n);
                });
                until_it(waiter.coroutine(), AWAITS_CONDITION);
                waiter
            })
            .collect();
        condition.acquire().notify(0);
        condition.acquire().notify(1);
        assert!(waiters[0].join_timeout(LONG));
        assert_eq!(*order.lock().unwrap(), [0]);
        condition.acquire().notify(2);
        assert!(green::joinall_timeout(&waiters[1..3], LONG));
        assert!(waiters[3..].iter().all(|waiter| !waiter.ready()));
        condition.acquire().notify_all();
        green::joinall(waiters).unwrap();
        assert_eq!(order.lock().unwrap().len(), 5);
        // None waits: nothing is kept for the next to come.
        condition.acquire().notify(9);
        assert!(!condition.acquire().wait_timeout(SHORT));
    });
}

#[test]
fn a_condition_taken_several_times_is_free_while_it_waits_and_held_as_often_after() {
    test(|| {
        let condition = Arc::new(Condition::new(()));
        let (theirs, looks) = (Arc::clone(&condition), Arc::clone(&condition));
        let waiter = green::spawn(move || {
            let outer = theirs.acquire();
            let inner = theirs.acquire();
            inner.wait();
            drop(inner);
            assert!(theirs.is_locked(), "the outer guard still holds it");
            drop(outer);
            theirs.is_locked()
        });
        until_it(waiter.coroutine(), AWAITS_CONDITION);
        let notifier = green::spawn(move || looks.try_acquire().map(|held| held.notify_all()).is_some());
        assert!(notifier.get().unwrap());
        assert!(!waiter.get().unwrap());
    });
}

#[test]
fn wait_for_looks_first_and_then_after_each_notification() {
    test(|| {
        let (condition, looked) = (Arc::new(Condition::new(AtomicUsize::new(3))), Count::default());
        assert!(condition.acquire().wait_for(|count| count.load(Ordering::Relaxed) == 3));
        let (theirs, looks) = (Arc::clone(&condition), looked.clone());
        let waiter = green::spawn(move || {
            theirs.acquire().wait_for(|count| {
                looks.up();
                count.load(Ordering::Relaxed) == 0
            })
        });
        for left in [2, 1, 0] {
            until_it(waiter.coroutine(), AWAITS_CONDITION);
            let held = condition.acquire();
            held.store(left, Ordering::Relaxed);
            held.notify_all();
            drop(held);
            comes_true(|| looked.get() > 3 - left);
        }
        assert!(waiter.get().unwrap());
        assert_eq!(looked.get(), 4);
        assert!(!condition.acquire().wait_for_timeout(|count| count.load(Ordering::Relaxed) == 1, SHORT));
        assert!(condition.acquire().wait_for_timeout(|count| count.load(Ordering::Relaxed) == 0, LONG));
        assert!(!condition.acquire().wait_for_timeout(|_| false, Duration::ZERO));
    });
}

#[test]
fn a_wait_on_a_condition_that_is_ended_from_outside_has_the_lock_again() {
    test(|| {
        let condition = Arc::new(Condition::new(()));
        let theirs = Arc::clone(&condition);
        let limited = green::spawn(move || {
            let held = theirs.acquire();
            let ended = green::with_timeout(SHORT, || held.wait());
            // The guard still promises the lock.
            let locked = theirs.is_locked();
            (ended.is_err(), locked)
        });
        assert_eq!(limited.get().unwrap(), (true, true));
        assert!(!condition.is_locked());
        let theirs = Arc::clone(&condition);
        let killed = waiting(move || theirs.acquire().wait());
        until_it(killed.coroutine(), AWAITS_CONDITION);
        let held = condition.acquire();
        assert!(!killed.kill_timeout(SHORT), "it has to have the lock before it unwinds");
        drop(held);
        killed.join();
        assert!(matches!(killed.get(), Err(Failed::Killed)));
        assert!(!condition.is_locked());
        // The one that was killed is no longer among those who wait.
        let theirs = Arc::clone(&condition);
        let next = waiting(move || theirs.acquire().wait_timeout(LONG));
        until_it(next.coroutine(), AWAITS_CONDITION);
        condition.acquire().notify(1);
        assert!(next.get().unwrap());
    });
}

#[test]
fn taking_a_condition_has_a_time_limit_and_need_not_wait() {
    test(|| {
        let condition = Arc::new(Condition::new(5));
        let held = condition.acquire();
        assert_eq!(*held, 5);
        let theirs = Arc::clone(&condition);
        let other =
            green::spawn(move || (theirs.try_acquire().is_none(), theirs.acquire_timeout(SHORT).is_none()));
        assert_eq!(other.get().unwrap(), (true, true));
        assert!(condition.try_acquire().is_some() && condition.acquire_timeout(SHORT).is_some());
        drop(held);
        assert!(format!("{condition:?}").contains("5"));
    });
}

#[test]
fn threads_and_coroutines_meet_at_a_condition() {
    test(|| {
        let condition = Arc::new(Condition::new(AtomicUsize::new(0)));
        let theirs = Arc::clone(&condition);
        let thread = std::thread::spawn(move || {
            theirs.acquire().wait_for_timeout(|count| count.load(Ordering::Relaxed) > 0, LONG)
        });
        let theirs = Arc::clone(&condition);
        green::spawn(move || {
            let held = theirs.acquire();
            held.store(1, Ordering::Relaxed);
            held.notify_all();
        });
        assert!(thread.join().unwrap());
    });
}

#[test]
fn a_barrier_lets_all_pass_together_round_after_round() {
    test(|| {
        let (barrier, passed) = (Arc::new(Barrier::new(3)), Count::default());
        assert_eq!((barrier.parties(), barrier.n_waiting(), barrier.is_broken()), (3, 0, false));
        for round in 1..=4 {
            let runners: Vec<_> = (0..2)
                .map(|_| {
                    let (barrier, passed) = (Arc::clone(&barrier), passed.clone());
                    green::spawn(move || {
                        let index = barrier.wait().unwrap();
                        passed.up();
                        index
                    })
                })
                .collect();
            comes_true(|| barrier.n_waiting() == 2);
            assert_eq!(passed.get(), 2 * (round - 1));
            assert_eq!(barrier.wait(), Ok(2), "the last to come");
            let mut indices = green::joinall(runners).unwrap();
            indices.sort_unstable();
            assert_eq!(indices, [0, 1]);
            assert_eq!((passed.get(), barrier.n_waiting()), (2 * round, 0));
        }
    });
}

#[test]
fn a_barrier_for_one_or_none_holds_nobody() {
    test(|| {
        assert_eq!(Barrier::new(1).wait(), Ok(0));
        let none = Barrier::new(0);
        assert_eq!((none.wait(), none.parties()), (Ok(0), 1));
        assert_eq!(none.wait_timeout(Duration::ZERO), Ok(0));
    });
}

#[test]
fn the_last_one_acts_before_anybody_passes() {
    test(|| {
        let acted = Count::default();
        let acts = acted.clone();
        let action = move || {
            green::sleep(Duration::from_millis(5));
            acts.up();
        };
        let barrier = Arc::new(Barrier::with_action(2, action));
        let (theirs, seen) = (Arc::clone(&barrier), acted.clone());
        let first = green::spawn(move || theirs.wait().map(|_| seen.get()));
        comes_true(|| barrier.n_waiting() == 1);
        assert_eq!(barrier.wait(), Ok(1));
        assert_eq!(first.get().unwrap(), Ok(1));
        assert_eq!(acted.get(), 1);
    });
}

#[test]
fn an_action_that_panics_breaks_the_barrier() {
    test(|| {
        let barrier = Arc::new(Barrier::with_action(2, || std::panic::resume_unwind(Box::new("no"))));
        let theirs = Arc::clone(&barrier);
        let first = green::spawn(move || theirs.wait());
        comes_true(|| barrier.n_waiting() == 1);
        let outcome = catch_unwind(AssertUnwindSafe(|| barrier.wait()));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"no"));
        assert_eq!(first.get().unwrap(), Err(BrokenBarrier));
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
    });
}

#[test]
fn a_barrier_breaks_when_a_time_is_up_and_is_whole_again_after_reset() {
    test(|| {
        let barrier = Arc::new(Barrier::new(3));
        let theirs = Arc::clone(&barrier);
        let patient = green::spawn(move || theirs.wait());
        comes_true(|| barrier.n_waiting() == 1);
        assert_eq!(barrier.wait_timeout(SHORT), Err(BrokenBarrier));
        assert_eq!(patient.get().unwrap(), Err(BrokenBarrier));
        assert_eq!((barrier.is_broken(), barrier.n_waiting()), (true, 0));
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        barrier.reset();
        assert!(!barrier.is_broken());
        let theirs = Arc::clone(&barrier);
        let waits = waiting(move || theirs.wait());
        until_it(waits.coroutine(), AWAITS_BARRIER);
        barrier.reset();
        assert_eq!(waits.get().unwrap(), Err(BrokenBarrier), "a reset sends those away who wait");
        assert!(!barrier.is_broken());
    });
}

#[test]
fn abort_breaks_a_barrier_at_once_and_twice_is_once() {
    test(|| {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&barrier);
        let waits = waiting(move || theirs.wait());
        barrier.abort();
        barrier.abort();
        assert_eq!(waits.get().unwrap(), Err(BrokenBarrier));
        assert_eq!(barrier.wait_timeout(LONG), Err(BrokenBarrier));
        assert_eq!(BrokenBarrier.to_string(), "the barrier is broken");
    });
}

#[test]
fn one_that_is_killed_at_a_barrier_is_not_counted() {
    test(|| {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&barrier);
        let victim = waiting(move || theirs.wait());
        comes_true(|| barrier.n_waiting() == 1);
        victim.kill();
        assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
        let theirs = Arc::clone(&barrier);
        let limited = green::spawn(move || green::with_timeout(SHORT, || theirs.wait()).is_err());
        assert!(limited.get().unwrap());
        let theirs = Arc::clone(&barrier);
        let first = waiting(move || theirs.wait());
        assert_eq!(barrier.wait(), Ok(1));
        assert_eq!(first.get().unwrap(), Ok(0));
        let stranger = endless();
        stranger.kill();
    });
}

#[test]
fn each_number_at_a_barrier_is_given_once_though_one_was_killed() {
    test(|| {
        let barrier = Arc::new(Barrier::new(3));
        let arrive = |count: usize| {
            let theirs = Arc::clone(&barrier);
            let one = waiting(move || theirs.wait());
            comes_true(|| barrier.n_waiting() == count);
            one
        };
        let (victim, first) = (arrive(1), arrive(2));
        victim.kill();
        let second = arrive(2);
        assert_eq!(barrier.wait(), Ok(2));
        assert_eq!((first.get().unwrap(), second.get().unwrap()), (Ok(0), Ok(1)));
    });
}
