//! Timers: never early, repeated without drift, cancelled for good; work is on its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::common::child::in_child;
use crate::common::coroutines::runtime;
use crate::common::{Watchdog, wait_until};
use zinx::green::{self, Event};
use zinx::ztimer::TimerScheduler;
use zinx::zutils::IdWorker;

#[test]
fn timers_are_never_early_whatever_the_order_they_are_set_in() {
    let (_watchdog, timers) = start();
    let begun = Instant::now();
    let rung = Arc::new(Mutex::new(Vec::new()));
    for ms in [90, 10, 50, 30, 70] {
        let rung = Arc::clone(&rung);
        timers.create_timer_after(ms * MS, move || rung.lock().unwrap().push((ms, begun.elapsed())));
    }
    wait_until("all timers", || rung.lock().unwrap().len() == 5);
    let mut rung = rung.lock().unwrap();
    rung.sort_unstable();
    assert_eq!(rung.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [10, 30, 50, 70, 90]);
    assert!(rung.iter().all(|(ms, after)| *after >= *ms * MS), "{rung:?}");
}

#[test]
fn thousands_of_timers_ring_once_each_and_not_early() {
    let (_watchdog, timers) = start();
    let (rung, early) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for n in 0..5000_u32 {
        let (rung, early, due) = (Arc::clone(&rung), Arc::clone(&early), (n * 37 % 200) * MS);
        let set = Instant::now();
        timers.create_timer_after(due, move || {
            early.fetch_add(usize::from(set.elapsed() < due), Ordering::AcqRel);
            rung.fetch_add(1, Ordering::AcqRel);
        });
    }
    wait_until("all timers", || rung.load(Ordering::Acquire) == 5000);
    assert_eq!(early.load(Ordering::Acquire), 0);
    wait_until("none left", || timers.is_empty());
    assert!(timers.stop(Duration::from_secs(10)));
    assert_eq!(rung.load(Ordering::Acquire), 5000);
}

#[test]
fn a_timer_whose_work_or_what_it_owns_panics_or_kills_itself_stops_no_other() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("on purpose, in a drop");
        }
    }
    let (_watchdog, timers) = start();
    let rung = Arc::new(AtomicUsize::new(0));
    let bad = Bad;
    timers.create_timer_after(MS, move || {
        let _owned = &bad;
    });
    timers.create_timer_after(MS, || panic!("on purpose"));
    timers.create_timer_every(MS, || green::current().unwrap().kill());
    let theirs = Arc::clone(&rung);
    timers.create_timer_every(2 * MS, move || {
        theirs.fetch_add(1, Ordering::AcqRel);
    });
    wait_until("the others to ring on", || rung.load(Ordering::Acquire) > 5);
    timers.create_timer_after(Duration::ZERO, move || {
        rung.fetch_add(1, Ordering::AcqRel);
    });
    wait_until("all but the two that repeat", || timers.len() == 2);
}

#[test]
fn a_time_of_the_wall_clock_may_have_passed() {
    let (_watchdog, timers) = start();
    let (past, future) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (first, second) = (Arc::clone(&past), Arc::clone(&future));
    let begun = Instant::now();
    timers.create_timer_at(SystemTime::UNIX_EPOCH, move || first.set());
    timers.create_timer_at(SystemTime::now() + 60 * MS, move || second.set());
    assert!(past.wait_timeout(Duration::from_secs(10)) && future.wait_timeout(Duration::from_secs(10)));
    // The two clocks may differ by what the system slews in between.
    assert!(begun.elapsed() >= 55 * MS);
}

#[test]
fn a_repeating_timer_keeps_its_times_until_it_is_cancelled() {
    let (_watchdog, timers) = start();
    let begun = Instant::now();
    let rung = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&rung);
    let timer = timers.create_timer_every(10 * MS, move || noted.lock().unwrap().push(begun.elapsed()));
    wait_until("ten times", || rung.lock().unwrap().len() >= 10);
    assert!(timers.cancel_timer(timer));
    assert!(!timers.cancel_timer(timer));
    assert!(timers.stop(Duration::from_secs(10)));
    let rung = rung.lock().unwrap();
    assert!((1..).zip(rung.iter()).all(|(n, at)| *at >= n * 10 * MS), "{rung:?}");
}

#[test]
fn work_that_waits_is_not_done_twice_at_once_and_holds_up_no_other_timer() {
    let (_watchdog, timers) = start();
    let (running, overlaps, others) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
    let (its_running, its_overlaps, its_done, its_go_on) =
        (Arc::clone(&running), Arc::clone(&overlaps), Arc::clone(&done), Arc::clone(&go_on));
    timers.create_timer_every(2 * MS, move || {
        its_overlaps.fetch_add(usize::from(its_running.swap(true, Ordering::AcqRel)), Ordering::AcqRel);
        its_go_on.wait();
        its_running.store(false, Ordering::Release);
        its_done.fetch_add(1, Ordering::AcqRel);
    });
    let counted = Arc::clone(&others);
    timers.create_timer_every(2 * MS, move || {
        counted.fetch_add(1, Ordering::AcqRel);
    });
    wait_until("the other timer, many times", || others.load(Ordering::Acquire) >= 20);
    assert_eq!(done.load(Ordering::Acquire), 0);
    go_on.set();
    wait_until("the work, again", || done.load(Ordering::Acquire) >= 3);
    assert_eq!(overlaps.load(Ordering::Acquire), 0);
}

#[test]
fn a_cancelled_timer_never_rings_and_drops_its_work() {
    let (_watchdog, timers) = start();
    let owned = Arc::new(());
    let (theirs, rung) = (Arc::clone(&owned), Arc::new(Event::new()));
    let timer = timers.create_timer_after(Duration::from_secs(3600), move || drop(theirs));
    assert!(timers.cancel_timer(timer) && timers.is_empty());
    assert_eq!(Arc::strong_count(&owned), 1);
    let bell = Arc::clone(&rung);
    timers.create_timer_after(MS, move || bell.set());
    assert!(rung.wait_timeout(Duration::from_secs(10)), "a later timer still rings");
}

#[test]
fn a_timer_that_is_cancelled_before_its_work_begins_never_rings() {
    in_child("timers::a_timer_that_is_cancelled_before_its_work_begins_never_rings", || {
        green::Runtime { workers: 1, ..green::Runtime::default() }.start().unwrap();
        let (timers, rung) = (TimerScheduler::new(), Arc::new(AtomicUsize::new(0)));
        let (held, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (holds, over) = (Arc::clone(&held), Arc::clone(&ends));
        let holder = green::spawn(move || {
            holds.store(true, Ordering::Release);
            while !over.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        });
        wait_until("the only worker is held", || held.load(Ordering::Acquire));
        let ring = || {
            let rung = Arc::clone(&rung);
            move || {
                rung.fetch_add(1, Ordering::AcqRel);
            }
        };
        let due = [timers.create_timer_after(Duration::ZERO, ring()), timers.create_timer_every(MS, ring())];
        wait_until("both are due", || green::dump().matches("\"timer\" has not started").count() == 2);
        assert_eq!(timers.len(), 2);
        assert!(due.into_iter().all(|timer| timers.cancel_timer(timer)));
        ends.store(true, Ordering::Release);
        holder.join();
        wait_until("they have ended", || !green::dump().contains("\"timer\""));
        assert_eq!(rung.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_timer_that_rings_for_the_last_time_is_none_any_more() {
    let (_watchdog, timers) = start();
    let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (tells, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
    let timer = timers.create_timer_after(Duration::ZERO, move || {
        tells.set();
        waits.wait();
    });
    assert!(begun.wait_timeout(Duration::from_secs(10)));
    assert!(timers.is_empty() && !timers.cancel_timer(timer), "it cannot be cancelled any more");
    go_on.set();
    assert!(timers.stop(Duration::from_secs(10)));
}

#[test]
fn a_repeating_timer_goes_on_when_its_coroutine_was_killed() {
    let (_watchdog, timers) = start();
    let (rung, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(green::Queue::unbounded()));
    let (counted, told) = (Arc::clone(&rung), Arc::clone(&stuck));
    timers.create_timer_every(MS, move || {
        if counted.fetch_add(1, Ordering::AcqRel) == 0 {
            told.try_put(green::current().unwrap()).unwrap();
            Event::new().wait();
        }
    });
    let coroutine = stuck.get_timeout(Duration::from_secs(10)).unwrap();
    assert!(coroutine.kill_timeout(Duration::from_secs(10)));
    wait_until("it rings again", || rung.load(Ordering::Acquire) > 2);
    assert_eq!(timers.len(), 1);
}

#[test]
fn dropping_the_scheduler_cancels_its_timers() {
    let (_watchdog, timers) = start();
    let owned = Arc::new(());
    let theirs = Arc::clone(&owned);
    timers.create_timer_every(Duration::from_secs(3600), move || drop(Arc::clone(&theirs)));
    drop(timers);
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[test]
fn a_panic_is_contained_and_a_repeating_timer_goes_on() {
    let (_watchdog, timers) = start();
    let rung = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rung);
    timers.create_timer_every(2 * MS, move || {
        assert!(counted.fetch_add(1, Ordering::AcqRel) > 2, "on purpose");
    });
    wait_until("more rings than panics", || rung.load(Ordering::Acquire) > 5);
}

#[test]
fn work_may_set_timers_and_sleep() {
    let (_watchdog, timers) = start();
    let (timers, rung) = (Arc::new(timers), Arc::new(Event::new()));
    let (theirs, bell) = (Arc::clone(&timers), Arc::clone(&rung));
    timers.create_timer_after(MS, move || {
        green::sleep(MS);
        theirs.create_timer_after(MS, move || bell.set());
    });
    assert!(rung.wait_timeout(Duration::from_secs(10)));
}

#[test]
fn snowflake_ids_are_unique_and_grow() {
    let (here, there) = (IdWorker::new(1).unwrap(), IdWorker::new(2).unwrap());
    let ids: Vec<_> = (0..20_000).map(|_| here.next_id()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    let other = there.next_id();
    assert!(!ids.contains(&other) && IdWorker::worker_of(other) == 2);
}

fn start() -> (Watchdog, TimerScheduler) {
    runtime();
    (Watchdog::start(Duration::from_secs(60)), TimerScheduler::new())
}

const MS: Duration = Duration::from_millis(1);
