//! `gevent.Timeout` and `gevent.with_timeout`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zinx::green::{self, Event, Queue, Timeout};

use super::common::coroutines::LONG;
use super::{SHORT, comes_true, test, until_it, waiting};

fn never() {
    Event::new().wait();
}

#[test]
fn a_timeout_that_is_not_started_ends_nothing() {
    test(|| {
        let timeout = Timeout::new(Duration::from_millis(1));
        assert!(!timeout.pending() && !timeout.expired());
        assert_eq!(timeout.run(|| green::sleep(SHORT)), Ok(()));
        assert_eq!(timeout.limit(), Duration::from_millis(1));
    });
}

#[test]
fn a_timeout_that_runs_ends_the_wait_and_says_so() {
    test(|| {
        assert!(Timeout::start_new(LONG).pending());
        let timeout = Timeout::start_new(SHORT);
        let ended = timeout.run(never).unwrap_err();
        assert_eq!((ended.limit(), ended.to_string()), (SHORT, "not done within 20 ms".to_string()));
        assert!(timeout.expired() && !timeout.pending());
        let timeout = Timeout::new(SHORT);
        let begun = Instant::now();
        let ended = timeout.run(|| {
            timeout.start();
            never();
        });
        assert!(ended.is_err() && begun.elapsed() >= SHORT);
    });
}

#[test]
fn seconds_are_understood_as_gevent_has_them() {
    test(|| {
        assert_eq!(Timeout::seconds(0.5).limit(), Duration::from_millis(500));
        assert_eq!(Timeout::seconds(2.0).limit(), Duration::from_secs(2));
        for at_once in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Timeout::seconds(at_once).limit(), Duration::ZERO);
        }
        for never in [f64::INFINITY, 1e300] {
            let timeout = Timeout::seconds(never);
            assert_eq!(timeout.limit(), Duration::MAX);
            timeout.start();
            assert!(!timeout.expired());
        }
        let at_once = Timeout::seconds(-1.0);
        at_once.start();
        assert!(at_once.run(never).is_err());
    });
}

#[test]
fn a_closed_timeout_ends_nothing_and_closing_twice_is_once() {
    test(|| {
        let timeout = Timeout::start_new(SHORT);
        timeout.close();
        timeout.close();
        assert!(!timeout.pending() && !timeout.expired());
        assert_eq!(timeout.run(|| green::sleep(2 * SHORT)), Ok(()));
        Timeout::new(SHORT).close();
        timeout.start();
        assert!(timeout.run(never).is_err());
        timeout.close();
        assert!(!timeout.expired(), "closed, it is as before the start");
    });
}

#[test]
fn one_that_was_over_before_ends_the_next_run_at_its_first_wait() {
    test(|| {
        let timeout = Timeout::start_new(Duration::from_millis(1));
        comes_true(|| timeout.expired());
        let begun = AtomicBool::new(false);
        let ended = timeout.run(|| {
            begun.store(true, Ordering::Relaxed);
            never();
        });
        assert!(ended.is_err() && begun.load(Ordering::Relaxed));
        assert_eq!(timeout.run(|| 7), Ok(7), "a body that does not wait is not ended");
    });
}

#[test]
fn a_renewed_timeout_counts_from_then_on() {
    test(|| {
        let mut begun = Instant::now();
        let timeout = Timeout::start_new(SHORT);
        let ended = timeout.run(|| {
            for _ in 0..4 {
                green::sleep(SHORT / 2);
                begun = Instant::now();
                timeout.start();
            }
            never();
        });
        assert!(ended.is_err() && begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
        timeout.renew(LONG);
        assert!(timeout.pending() && !timeout.expired());
        assert_eq!((timeout.limit(), timeout.run(|| green::sleep(2 * SHORT))), (LONG, Ok(())));
        timeout.renew(Duration::ZERO);
        assert!(timeout.run(never).is_err());
    });
}

#[test]
fn others_may_renew_and_close_it() {
    test(|| {
        let (timeout, inbox) = (Timeout::start_new(LONG), Arc::new(Queue::<u32>::unbounded()));
        let (theirs, queue) = (timeout.clone(), Arc::clone(&inbox));
        let runs = waiting(move || theirs.run(|| queue.get()));
        until_it(runs.coroutine(), "waits for an item of a queue");
        let other = timeout.clone();
        green::spawn(move || other.renew(Duration::ZERO)).join();
        assert!(runs.get().unwrap().is_err());
        let closed_in_time = || {
            let begun = Instant::now();
            timeout.renew(SHORT);
            let (theirs, queue) = (timeout.clone(), Arc::clone(&inbox));
            let runs = waiting(move || theirs.run(|| queue.get_timeout(3 * SHORT).is_err()));
            timeout.close();
            // Else it may have been over before.
            let in_time = begun.elapsed() < SHORT;
            let outcome = runs.get().unwrap();
            assert!(outcome == Ok(true) || !in_time, "closed, it has ended a run");
            in_time
        };
        comes_true(closed_in_time);
    });
}

#[test]
fn timeouts_nest_and_the_one_that_was_over_can_be_told() {
    test(|| {
        let (outer, inner) = (Timeout::start_new(SHORT), Timeout::start_new(LONG));
        let ended = outer.run(|| inner.run(never));
        assert!(ended.is_err() && outer.expired() && !inner.expired());
        let (outer, inner) = (Timeout::start_new(LONG), Timeout::start_new(SHORT));
        let ended = outer.run(|| inner.run(never));
        assert!(matches!(ended, Ok(Err(elapsed)) if elapsed.limit() == SHORT));
        assert!(inner.expired() && outer.pending());
        let ended = green::with_timeout(SHORT, || outer.run(never));
        assert_eq!(ended.unwrap_err().limit(), SHORT);
        let ended = outer.run(|| green::with_timeout(SHORT, never));
        assert!(matches!(ended, Ok(Err(_))));
    });
}

#[test]
fn run_within_itself_ends_at_the_outermost() {
    test(|| {
        let timeout = Timeout::start_new(SHORT);
        let ended = timeout.run(|| {
            let inner = timeout.run(never);
            assert!(inner.is_ok(), "never here");
        });
        assert!(ended.is_err());
        assert_eq!(timeout.clone().limit(), SHORT);
    });
}

#[test]
fn nothing_is_lost_when_a_timeout_ends_a_wait() {
    test(|| {
        let queue = Arc::new(Queue::<u32>::unbounded());
        let timeout = Timeout::start_new(SHORT);
        assert!(timeout.run(|| queue.get()).is_err());
        queue.put(1).unwrap();
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(Timeout::start_new(LONG).run(|| 5), Ok(5));
        assert!(format!("{timeout:?}").contains("expired: true"));
    });
}

#[test]
fn a_panic_and_a_kill_pass_through() {
    test(|| {
        let panics = green::spawn(|| Timeout::start_new(LONG).run(|| std::panic::resume_unwind(Box::new(1))));
        let payload = panics.get().unwrap_err().into_payload();
        assert_eq!(payload.downcast_ref(), Some(&1));
        let killed = waiting(|| Timeout::start_new(LONG).run(never));
        killed.kill();
        assert!(killed.get().is_err());
    });
}

#[test]
fn with_timeout_returns_the_value_or_elapsed() {
    test(|| {
        assert_eq!(green::with_timeout(LONG, || 3), Ok(3));
        assert_eq!(green::with_timeout(SHORT, never).unwrap_err().limit(), SHORT);
        assert!(green::with_timeout(Duration::ZERO, never).is_err());
        assert_eq!(green::with_timeout(Duration::MAX, || 4), Ok(4));
    });
}
