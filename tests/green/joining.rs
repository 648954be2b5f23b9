//! Coroutines end: joining, results, panics, groups, and work that blocks on threads of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, runtime, within};
use crate::common::wait_until;
use zinx::green::{self, Builder, Event, Greenlet, Group};

#[test]
fn many_coroutines_and_threads_join_one_coroutine() {
    within(30, || {
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        let joined = Arc::new(green::spawn(move || theirs.wait()));
        assert!(!joined.ready());
        assert!(!joined.join_timeout(Duration::from_millis(2)));
        let coroutines: Vec<_> = (0..10)
            .map(|_| {
                let joined = Arc::clone(&joined);
                green::spawn(move || joined.join())
            })
            .collect();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let joined = Arc::clone(&joined);
                thread::spawn(move || joined.join())
            })
            .collect();
        go.set();
        coroutines.iter().for_each(Greenlet::join);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        joined.join();
        joined.join();
        assert!(joined.ready() && joined.successful());
    });
}

#[test]
fn get_gives_the_result_to_a_thread_and_to_a_coroutine() {
    within(30, || {
        assert_eq!(green::spawn(|| 7).get().unwrap(), 7);
        assert_eq!(green::run(|| green::spawn(|| "seven".to_string()).get().unwrap()), "seven");
    });
}

#[test]
fn a_dropped_handle_lets_its_coroutine_go_on() {
    within(30, || {
        let (go, done) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, ended) = (Arc::clone(&go), Arc::clone(&done));
        drop(green::spawn(move || {
            theirs.wait();
            ended.set();
        }));
        go.set();
        assert!(done.wait_timeout(LONG));
    });
}

#[test]
fn a_panic_is_an_error_with_its_payload() {
    within(30, || {
        let text = green::spawn(|| -> () { panic!("number {}", 7) });
        text.join();
        assert!(text.ready() && !text.successful());
        assert_eq!(text.get().unwrap_err().to_string(), "number 7");

        let value = green::spawn(|| -> () { std::panic::panic_any(7u64) }).get().unwrap_err();
        assert_eq!(*value.into_payload().downcast::<u64>().unwrap(), 7);

        let caught = std::panic::catch_unwind(|| green::run(|| -> () { panic!("through run") }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"through run"));
        assert_eq!(green::run(|| 7), 7, "the workers live");
    });
}

#[test]
fn a_group_joins_when_its_last_member_ends() {
    within(30, || {
        let (group, go, ran) = (Group::new(), Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        group.join();
        for n in 0..100 {
            let (go, ran) = (Arc::clone(&go), Arc::clone(&ran));
            let member = move || {
                go.wait();
                ran.fetch_add(1, Ordering::Relaxed);
                assert!(n % 10 != 0, "on purpose: a member that panics has ended too");
            };
            group.spawn(Builder::new().name("member"), member).unwrap();
        }
        assert_eq!(group.len(), 100);
        assert!(!group.join_timeout(Duration::from_millis(2)));
        let theirs = group.clone();
        let joiner = green::spawn(move || theirs.join());
        go.set();
        group.join();
        joiner.join();
        assert_eq!((ran.load(Ordering::Relaxed), group.is_empty()), (100, true));
    });
}

#[test]
fn a_panic_of_a_call_on_exit_reaches_nobody() {
    within(30, || {
        let (go, after) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let theirs = Arc::clone(&go);
        let greenlet = green::spawn(move || theirs.wait());
        let count = || {
            let after = Arc::clone(&after);
            move |_| drop(after.fetch_add(1, Ordering::AcqRel).to_string())
        };
        // Called by the coroutine at its end, and by the caller that adds it later.
        for _ in 0..2 {
            greenlet.on_exit(|_| panic!("on purpose"));
            greenlet.on_exit(count());
            go.set();
            greenlet.join();
        }
        wait_until("both calls", || after.load(Ordering::Acquire) == 2);
    });
}

#[test]
fn blocking_work_holds_up_no_worker() {
    within(60, || {
        let release = Arc::new(Event::new());
        // As many as there are workers, and more: each would block one.
        let blocked: Vec<_> = (0..runtime().workers.min(6) + 4)
            .map(|n| {
                let release = Arc::clone(&release);
                green::spawn(move || green::blocking(move || (n, release.wait_timeout(LONG))))
            })
            .collect();
        assert_eq!(green::run(|| green::spawn(|| 7).get().unwrap()), 7);
        release.set();
        for (n, greenlet) in blocked.into_iter().enumerate() {
            assert_eq!(greenlet.get().unwrap(), (n, true));
        }
        assert_eq!(green::blocking(|| 7), 7, "also from a thread");
    });
}

#[test]
fn a_panic_of_blocking_work_goes_on_in_the_caller() {
    within(30, || {
        let panicked = green::spawn(|| green::blocking(|| -> () { panic!("on purpose") })).get();
        assert_eq!(panicked.unwrap_err().to_string(), "on purpose");
        let many: Vec<_> = (0..100).map(|n| green::spawn(move || green::blocking(move || n))).collect();
        let sum: i32 = many.into_iter().map(|greenlet| greenlet.get().unwrap()).sum();
        assert_eq!(sum, 4950, "the pool lives, and a hundred take their turns");
    });
}
